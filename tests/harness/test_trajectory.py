"""Following a training: the same trajectory with and without interruptions, and warnings that name the quantity."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from torch import nn

from semibench.harness.engines.base import TrainState
from semibench.harness.folder import Events
from semibench.harness.trajectory import Follow, read_trajectory
from semibench.reports import result as record
from semibench.reports.result import Result
from semibench.reports.trajectory import Bands, Deviation, Trajectory, part_ends

Call = Callable[..., tuple[int, str, str]]
TOTAL = 400


@pytest.fixture
def events(tmp_path: Path) -> Events:
    return Events(tmp_path / "events.jsonl")


def play(follow: Follow, first: int = 0, until: int = TOTAL, factor: float = 1.0, saved: int | None = None) -> None:
    """Carry out steps as an engine does, with losses that are a function of the step."""
    state = TrainState(nn.Identity(), TOTAL, lambda path: None, first)  # type: ignore[arg-type]
    follow.on_start(state)
    for step in range(first + 1, until + 1):
        state.step, state.losses = step, {"supervised": factor * (1 + 1 / 3 / step)}
        state.scalars = {"coverage": float("nan") if step % 3 else step / TOTAL}
        follow.on_step(state)
        if step == saved:
            follow.note(state)


def ignored(deviation: Deviation) -> None:
    pytest.fail(str(deviation))


def test_the_trajectory_holds_losses_scalars_and_rate(events: Events) -> None:
    play(Follow(events, None, ignored))
    found = read_trajectory(events.read(), TOTAL)
    assert found is not None
    assert set(found.quantities) == {"losses.supervised", "scalars.coverage", "learning_rate"}
    assert found.steps == part_ends(TOTAL)
    assert found.quantities["losses.supervised"][0] == pytest.approx(1 + (1 / 3 + 1 / 6) / 2)


def test_steps_whose_share_is_of_no_pixels_are_left_out(events: Events) -> None:
    play(Follow(events, None, ignored))
    found = read_trajectory(events.read(), TOTAL)
    assert found is not None
    assert found.quantities["scalars.coverage"][:3] == (None, 3 / TOTAL, 6 / TOTAL)


@pytest.mark.parametrize("saved", [1, 7, 200, 399])
def test_a_resumed_run_has_the_trajectory_of_an_uninterrupted_one_to_the_bit(
    events: Events, tmp_path: Path, saved: int
) -> None:
    whole = Events(tmp_path / "whole.jsonl")
    play(Follow(whole, None, ignored))
    play(Follow(events, None, ignored), until=min(saved + 5, TOTAL), saved=saved)  # killed five steps after its checkpoint
    events.cut(saved)
    play(Follow(events, None, ignored), first=saved)
    assert read_trajectory(events.read(), TOTAL) == read_trajectory(whole.read(), TOTAL)
    last = [[event for event in log.read() if event["step"] == TOTAL] for log in (events, whole)]
    assert last[0] == last[1]


def test_a_run_that_an_earlier_version_began_has_none(events: Events) -> None:
    play(Follow(events, Bands([reference()]), ignored), first=5, factor=9.0)
    assert read_trajectory(events.read(), TOTAL) is None


def reference(loss: float = 1.0) -> Trajectory:
    return Trajectory(steps=part_ends(TOTAL), quantities={"losses.supervised": (loss,) * 200, "learning_rate": (0.0,) * 200})


def test_a_training_as_before_goes_without_a_warning(events: Events) -> None:
    play(Follow(events, Bands([reference()]), ignored))


def test_leaving_the_band_is_said_once_a_quantity_and_written_down(events: Events) -> None:
    seen: list[Deviation] = []
    play(Follow(events, Bands([reference(loss=5.0), reference(loss=6.0)]), seen.append))
    (deviation,) = seen
    assert (deviation.quantity, deviation.step) == ("losses.supervised", 2)
    (event,) = [event for event in events.read() if event["event"] == "outside_reference"]
    assert event == {"event": "outside_reference", **deviation._asdict()}


def test_a_resumed_run_is_still_compared(events: Events) -> None:
    seen: list[Deviation] = []
    play(Follow(events, Bands([reference()]), ignored), until=3, saved=3)
    play(Follow(events, Bands([reference()]), seen.append), first=3, factor=5.0)
    (deviation,) = seen
    assert deviation.step == 4
    assert deviation.value == pytest.approx((1 + 1 / 9 + 5 + 5 / 12) / 2)


# Through the command line.


def test_a_finished_run_is_a_reference_for_another_seed(
    finished: Path, tmp_path: Path, call: Call, train: Callable[..., list[str]]
) -> None:
    code, _, errors = call(*train(tmp_path, "--seed", "1", "--reference", str(finished), "--dry-run"))
    assert (code, errors) == (0, "")


def test_a_run_that_leaves_the_band_is_warned_about_and_goes_on(
    finished: Path, tmp_path: Path, call: Call, train: Callable[..., list[str]], save_result: Callable[..., Path]
) -> None:
    result = record.read(finished / "result.json")
    assert result.trajectory is not None
    quantities = result.trajectory.quantities | {"losses.supervised": (9.0,) * 10}
    other = result.model_copy(update={"trajectory": result.trajectory.model_copy(update={"quantities": quantities})})
    folder = save_result(other, tmp_path / "earlier")
    code, _, errors = call(*train(tmp_path / "runs", "--reference", str(folder), "--reference", str(folder / "result.json")))
    assert code == 0
    assert "Warning: losses.supervised is" in errors
    assert "at step 1, the band of the earlier runs is 4.5 to 13.5" in errors


@pytest.mark.parametrize(
    ("setting", "difference"),
    [
        ("recipe.steps=11", "recipe.steps is 10 there and 11 here"),
        ("method.threshold=0.5", "method.threshold is 0.95 there and 0.5 here"),
        ("network.channels=4", "network.channels is 8 there and 4 here"),
    ],
)
def test_a_run_of_another_configuration_is_refused_as_a_reference(
    finished: Path, tmp_path: Path, call: Call, train: Callable[..., list[str]], setting: str, difference: str
) -> None:
    code, _, errors = call(*train(tmp_path, "--set", setting, "--reference", str(finished)))
    assert code == 2
    assert difference in errors


def test_a_result_without_a_trajectory_and_a_folder_without_results_are_refused(
    finished: Path, tmp_path: Path, call: Call, train: Callable[..., list[str]], save_result: Callable[[Result], Path]
) -> None:
    (tmp_path / "empty").mkdir()
    code, _, errors = call(*train(tmp_path / "runs", "--reference", str(tmp_path / "empty")))
    assert (code, "holds no finished run" in errors) == (2, True)
    file = tmp_path / "result.json"
    content = json.loads((finished / "result.json").read_text())
    del content["trajectory"]  # as an earlier version wrote it
    file.write_text(json.dumps(content))
    code, _, errors = call(*train(tmp_path / "runs", "--reference", str(file)))
    assert (code, "stores no trajectory" in errors) == (2, True)
