"""What watches a run, step by step, without a run."""

import os
import re
import signal
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from torch import nn

from semibench.harness.callbacks import Bar, Checkpoint, Evaluate, InterruptedRunError, Log, SaveOnSignal
from semibench.harness.engines.base import Callback, TrainState
from semibench.harness.folder import Events

TOTAL = 10


def new_state(step: int = 0, total: int = TOTAL) -> TrainState:
    """A run whose checkpoints are text files that hold the step."""
    state = TrainState(nn.Identity(), total, lambda path: path.write_text(str(state.step)), step)  # type: ignore[arg-type]
    state.losses, state.scalars = {"supervised": 0.5, "consistency": 0.25}, {"coverage": 0.75}
    state.learning_rate, state.seconds, state.data_seconds = 0.1, 2.0, 0.5
    return state


def play(callback: Callback, state: TrainState, until: int | None = None) -> None:
    """Carry out the steps of a run as an engine does."""
    callback.on_start(state)
    for step in range(state.step + 1, (until or state.total) + 1):
        state.step = step
        callback.on_step(state)
    callback.close()


@pytest.fixture
def events(tmp_path: Path) -> Events:
    return Events(tmp_path / "events.jsonl")


# Log.


def test_the_log_is_written_every_so_many_steps_and_at_the_end(events: Events) -> None:
    play(Log(events, every=4, tensorboard=None), new_state())
    assert [event["step"] for event in events.read()] == [4, 8, 10]


def test_a_line_of_the_log_holds_losses_figures_rate_and_times(events: Events) -> None:
    play(Log(events, every=1, tensorboard=None), new_state(total=1))
    (event,) = events.read()
    assert event == {
        "event": "log",
        "step": 1,
        "losses": {"supervised": 0.5, "consistency": 0.25},
        "scalars": {"coverage": 0.75},
        "learning_rate": 0.1,
        "seconds": 2.0,
        "data_seconds": 0.5,
    }


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of TensorBoard's own imports
def test_the_curves_are_what_tensorboard_reads(events: Events, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    play(Log(events, every=5, tensorboard=tmp_path / "curves"), new_state())
    curves = EventAccumulator(str(tmp_path / "curves")).Reload()
    assert {"scalars/coverage", "learning_rate"} <= set(curves.Tags()["scalars"])
    assert [(point.step, point.value) for point in curves.Scalars("losses/supervised")] == [(5, 0.5), (10, 0.5)]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # as above
def test_the_curves_of_an_interrupted_run_are_whole_and_do_not_name_the_host(
    events: Events, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    monkeypatch.setattr("socket.gethostname", lambda: "laptop.of.someone")
    play(Log(events, every=1, tensorboard=tmp_path / "curves"), new_state(), until=3)
    assert len(EventAccumulator(str(tmp_path / "curves")).Reload().Scalars("losses/supervised")) == 3
    (path,) = (tmp_path / "curves").iterdir()
    assert "laptop" not in path.name


def test_a_method_may_name_its_losses_and_scalars_as_it_likes(events: Events) -> None:
    state = new_state(total=1)
    state.losses, state.scalars = {"step": 1.0, "event": 2.0}, {"step": 3.0, "seconds": 4.0}
    play(Log(events, every=1, tensorboard=None), state)
    (event,) = events.read()
    assert (event["event"], event["step"], event["losses"], event["scalars"]) == ("log", 1, state.losses, state.scalars)


# Checkpoint.


def test_a_checkpoint_is_saved_every_so_many_steps_and_at_the_end_and_then_told(tmp_path: Path) -> None:
    path, seen = tmp_path / "last.pt", []
    play(Checkpoint(path, every=4, on_saved=lambda step: seen.append((step, path.read_text()))), new_state())
    assert seen == [(4, "4"), (8, "8"), (10, "10")]


# Evaluate.


@pytest.fixture
def evaluate(events: Events, tmp_path: Path) -> Callable[..., Evaluate]:
    """Return a callback whose evaluations give these scores one after the other, and fail when there are more."""

    def with_scores(*scores: float, every: int = 2) -> Evaluate:
        left = iter(scores)
        return Evaluate(lambda: next(left), events, every, tmp_path / "best.pt")

    return with_scores


def evaluated(events: Events) -> dict[int, float]:
    return {event["step"]: event["miou"] for event in events.read() if event["event"] == "evaluate"}


def test_every_so_many_steps_and_at_the_end_the_predictor_is_scored(evaluate: Callable[..., Evaluate], events: Events) -> None:
    play(evaluate(0.1, 0.2, 0.3, every=4), new_state())
    assert evaluated(events) == {4: 0.1, 8: 0.2, 10: 0.3}


def test_the_first_of_equally_good_scores_is_the_best(evaluate: Callable[..., Evaluate], tmp_path: Path) -> None:
    callback = evaluate(0.2, 0.5, 0.5, 0.3, 0.5)
    play(callback, new_state())
    assert callback.best_step == 4
    assert (tmp_path / "best.pt").read_text() == "4"


def test_a_score_of_zero_is_kept_too(evaluate: Callable[..., Evaluate], tmp_path: Path) -> None:
    callback = evaluate(0.0)
    play(callback, new_state(total=2))
    assert (tmp_path / "best.pt").read_text() == "2"
    assert callback.best_step == 2


def test_a_resumed_run_repeats_no_evaluation_and_remembers_the_best(
    evaluate: Callable[..., Evaluate], events: Events, tmp_path: Path
) -> None:
    play(evaluate(0.2, 0.9), new_state(), until=4)
    callback = evaluate(0.3, 0.9, 0.4)
    play(callback, new_state(step=4))
    assert evaluated(events) == {2: 0.2, 4: 0.9, 6: 0.3, 8: 0.9, 10: 0.4}
    assert callback.best_step == 4
    assert (tmp_path / "best.pt").read_text() == "4"


def test_an_evaluation_that_the_end_of_a_process_cut_off_is_made_up_for(
    evaluate: Callable[..., Evaluate], events: Events
) -> None:
    play(evaluate(0.2), new_state(), until=2)
    callback = evaluate(0.4, 0.6)
    callback.on_start(new_state(step=4))
    assert evaluated(events) == {2: 0.2, 4: 0.4}


@pytest.mark.parametrize("step", [0, 3], ids=["new", "between two evaluations"])
def test_starting_elsewhere_evaluates_nothing(evaluate: Callable[..., Evaluate], events: Events, step: int) -> None:
    evaluate().on_start(new_state(step))
    assert evaluated(events) == {}


# SaveOnSignal.


@pytest.fixture
def saved() -> list[int]:
    """The steps of which the run was told that they are saved."""
    return []


@pytest.fixture
def stop(tmp_path: Path, saved: list[int]) -> Iterator[SaveOnSignal]:
    callback = SaveOnSignal(Checkpoint(tmp_path / "last.pt", TOTAL, lambda step: saved.append(step)))
    yield callback
    callback.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_signal_lets_the_step_end_then_saves_and_says_how_to_continue(
    stop: SaveOnSignal, number: signal.Signals, tmp_path: Path, saved: list[int]
) -> None:
    state = new_state()
    stop.on_start(state)
    os.kill(os.getpid(), number)
    state.step = 3
    with pytest.raises(InterruptedRunError, match=rf"{number.name} after step 3 of 10.*Give the same command again"):
        stop.on_step(state)
    assert (tmp_path / "last.pt").read_text() == "3"
    assert saved == [3]
    assert InterruptedRunError.exit_code == 130


def test_without_a_signal_nothing_is_saved(stop: SaveOnSignal, tmp_path: Path) -> None:
    play(stop, new_state())
    assert not (tmp_path / "last.pt").exists()


def test_a_second_ctrl_c_ends_at_once(stop: SaveOnSignal) -> None:
    stop.on_start(new_state())
    os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


def test_signals_go_back_to_whom_they_belonged(stop: SaveOnSignal) -> None:
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    stop.on_start(new_state())
    assert all(signal.getsignal(number) not in before for number in numbers)
    os.kill(os.getpid(), signal.SIGTERM)
    stop.close()
    assert [signal.getsignal(number) for number in numbers] == before


# Bar.


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[float], None]]:
    """Set the time that the bar sees."""
    now = [0.0]
    monkeypatch.setattr("semibench.harness.callbacks.time.monotonic", lambda: now[0])

    def set_time(seconds: float) -> None:
        now[0] = seconds

    yield set_time
    monkeypatch.undo()


def walk(bar: Bar, state: TrainState, clock: Callable[[float], None], seconds_per_step: float) -> None:
    bar.on_start(state)
    first = state.step
    for step in range(first + 1, state.total + 1):
        state.step = step
        clock((step - first) * seconds_per_step)
        bar.on_step(state)
    bar.close()


def test_without_a_terminal_there_is_a_plain_line_now_and_then(clock: Callable[[float], None]) -> None:
    shown = StringIO()
    walk(Bar("shapes-16", Console(file=shown, width=20), seconds_between_lines=2.0), new_state(), clock, seconds_per_step=0.5)
    assert shown.getvalue().splitlines() == [
        "shapes-16: step 4/10  2.0 steps/s  loss 0.750  3 s left",
        "shapes-16: step 8/10  2.0 steps/s  loss 0.750  1 s left",
        "shapes-16: step 10/10  2.0 steps/s  loss 0.750  0 s left",
    ]


def test_the_rate_of_a_resumed_run_counts_its_own_steps_alone(clock: Callable[[float], None]) -> None:
    shown = StringIO()
    walk(Bar("t", Console(file=shown), seconds_between_lines=4.0), new_state(step=6), clock, seconds_per_step=4.0)
    assert shown.getvalue().splitlines()[0] == "t: step 7/10  0.2 steps/s  loss 0.750  12 s left"


def test_a_terminal_gets_a_bar_and_no_lines(capsys: pytest.CaptureFixture[str]) -> None:
    shown = StringIO()
    bar = Bar("shapes-16", Console(file=shown, force_terminal=True, width=120))
    state = new_state()
    bar.on_start(state)
    state.step = 4
    bar.on_step(state)
    bar.progress.refresh()
    bar.close()
    assert capsys.readouterr().err == ""
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.getvalue())
    assert "4/10" in text
    assert "loss 0.750" in text
