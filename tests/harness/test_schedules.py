"""Schedules, against values worked out by hand and against published ones."""

import pytest

from semibench.harness.schedules import multiplier
from semibench.protocols.recipe import Schedule


def test_poly_halfway_is_the_published_figure() -> None:
    assert multiplier(Schedule(name="poly"), 50, 100) == pytest.approx(0.535887, abs=1e-6)


def test_cosine_goes_from_one_to_zero_through_one_half() -> None:
    assert [multiplier(Schedule(name="cosine"), step, 10) for step in (0, 5, 10)] == pytest.approx([1, 0.5, 0], abs=1e-12)


def test_a_constant_schedule_is_constant() -> None:
    assert {multiplier(Schedule(name="constant"), step, 10) for step in range(10)} == {1.0}


def test_a_lag_of_one_repeats_the_first_rate_as_the_reference_does() -> None:
    lagging = [multiplier(Schedule(name="poly", lag=1), step, 10) for step in range(4)]
    assert lagging[0] == lagging[1] == 1
    assert lagging[2] == multiplier(Schedule(name="poly"), 1, 10)


def test_the_rate_changes_only_every_so_many_steps() -> None:
    rates = [multiplier(Schedule(name="poly", every=10), step, 100) for step in range(20)]
    assert len(set(rates[:10])) == len(set(rates[10:])) == 1
    assert rates[0] != rates[10]


def test_the_floor_holds_after_the_warm_up() -> None:
    assert multiplier(Schedule(name="poly", floor=0.1), 999, 1000) == 0.1


def test_a_horizon_beyond_the_run_stretches_the_curve() -> None:
    assert multiplier(Schedule(name="poly", horizon=200), 100, 100) == multiplier(Schedule(name="poly"), 50, 100)


def test_a_horizon_before_the_end_stays_at_the_curve_s_end() -> None:
    assert multiplier(Schedule(name="poly", horizon=50), 80, 100) == 0


@pytest.mark.parametrize(
    ("step", "rate"),
    [(0, 1.0e-5), (1, 1.998980e-5), (500, 4.979968e-3), (999, 9.890154e-3), (1000, 9.899944e-3), (45_000, 5.358867e-3)],
)
def test_warm_up_times_poly_gives_detectron2_s_rates(step: int, rate: float) -> None:
    schedule = Schedule(name="poly", warmup=1000, warmup_start=0.001)
    assert 0.01 * multiplier(schedule, step, 90_000) == pytest.approx(rate, rel=1e-6)
