"""Trajectories and the bands of several of them."""

import numpy as np
import pytest

from semibench.reports.trajectory import MARGIN, Bands, Sums, Trajectory, build_trajectory, early_ends, means, part_ends


def trajectory(steps: int = 1000, seed: int = 0, level: float = 2.0, **others: tuple[float | None, ...]) -> Trajectory:
    """A loss that falls from ``level``, with noise of a seed."""
    ends = part_ends(steps)
    noise = np.random.default_rng(seed).normal(0, 0.05, len(ends))
    loss = tuple(level * np.exp(-np.array(ends) / 300) + noise)
    return Trajectory(steps=ends, quantities={"losses.supervised": loss} | others)


@pytest.mark.parametrize("total", [1, 7, 199, 200, 201, 1000, 40_000])
def test_parts_cover_every_step_once(total: int) -> None:
    ends = part_ends(total)
    assert len(ends) == min(total, 200)
    assert ends[-1] == total
    assert list(ends) == sorted(set(ends))


def test_the_first_twentieth_is_compared_and_of_a_short_training_the_first_part() -> None:
    assert early_ends(1000) == (5, 10, 15, 20, 25, 30, 35, 40, 45, 50)
    assert early_ends(10) == (1,)


def test_a_quantity_that_is_reported_now_and_then_is_averaged_over_those_steps() -> None:
    assert means({"a": (1.0, 1), "b": (4.0, 2)}, {"a": (4.0, 4), "b": (4.0, 2), "c": (6.0, 3)}) == {"a": 1.0, "c": 2.0}


def test_a_trajectory_is_the_means_of_its_parts() -> None:
    sums: dict[int, Sums] = {1: {"a": (1.0, 1)}, 2: {"a": (4.0, 2), "b": (5.0, 1)}, 3: {"a": (4.0, 3), "b": (5.0, 1)}}
    built = build_trajectory(sums, 3)
    assert built == Trajectory(steps=(1, 2, 3), quantities={"a": (1.0, 3.0, 0.0), "b": (None, 5.0, None)})


def test_without_the_sums_of_a_part_there_is_none() -> None:
    assert build_trajectory({1: {}, 3: {}}, 3) is None
    assert build_trajectory({}, 0) is None


def test_other_seeds_of_the_same_training_stay_within_the_band() -> None:
    bands = Bands([trajectory(seed=seed) for seed in range(3)])
    for seed in range(3, 20):
        other = trajectory(seed=seed).quantities["losses.supervised"]
        for step, value in zip(early_ends(1000), other, strict=False):
            assert bands.deviations(step, {"losses.supervised": value}) == []


@pytest.mark.parametrize("level", [0.5, 4.0])
def test_a_training_that_begins_elsewhere_leaves_it(level: float) -> None:
    bands = Bands([trajectory(seed=seed) for seed in range(3)])
    value = trajectory(seed=9, level=level).quantities["losses.supervised"][0]
    (deviation,) = bands.deviations(5, {"losses.supervised": value})
    assert deviation.quantity == "losses.supervised"
    assert (deviation.step, deviation.value) == (5, value)
    assert deviation.low < 2 < deviation.high


def test_the_band_is_that_of_all_runs_widened_by_a_share_of_the_largest_magnitude() -> None:
    runs = [Trajectory(steps=part_ends(40), quantities={"a": (first, -4.0, *[9.0] * 38)}) for first in (1.0, 2.0)]
    (low,) = Bands(runs).deviations(1, {"a": -10.0})
    assert (low.low, low.high) == (1 - 4 * MARGIN, 2 + 4 * MARGIN)
    assert Bands(runs).deviations(1, {"a": low.low}) == []


def test_what_the_earlier_runs_did_not_report_there_has_no_band() -> None:
    bands = Bands([trajectory(**{"scalars.coverage": (None, *[0.5] * 199)})])
    assert bands.deviations(5, {"scalars.coverage": 1.0, "scalars.other": 1.0}) == []
    assert len(bands.deviations(10, {"scalars.coverage": 1.0})) == 1


def test_beyond_the_first_twentieth_nothing_is_compared() -> None:
    assert Bands([trajectory()]).deviations(55, {"losses.supervised": 99.0}) == []


def test_a_deviation_names_quantity_value_step_and_band() -> None:
    (deviation,) = Bands([Trajectory(steps=(1,), quantities={"a": (1.0,)})]).deviations(1, {"a": 2.0})
    assert str(deviation) == "a is 2 at step 1, the band of the earlier runs is 0.5 to 1.5"
