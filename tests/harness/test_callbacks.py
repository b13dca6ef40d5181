"""What watches a run, step by step, without a run."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from torch import nn

from semibench.harness import processes
from semibench.harness.callbacks import Bar, Checkpoint, Energy, Evaluate, Log, SaveOnSignal
from semibench.harness.engines.base import Callback, TrainState
from semibench.harness.folder import Events
from semibench.harness.progress import Meter
from semibench.harness.signals import InterruptedRunError, PreemptedRunError

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


# Energy.


def test_energy_is_what_is_drawn_every_so_many_steps_times_the_seconds_since() -> None:
    drawn = iter((100.0, 200.0, 300.0))
    energy = Energy(lambda: next(drawn), every=4)
    play(energy, new_state())  # ten steps of two seconds, read after 4, 8 and 10
    assert energy.total() == 100 * 8 + 200 * 8 + 300 * 4


def test_energy_that_nobody_can_read_is_none_and_is_not_asked_for_again() -> None:
    asked: list[int] = []

    def nothing() -> None:
        asked.append(1)

    energy = Energy(nothing, every=1)
    play(energy, new_state())
    assert (energy.total(), len(asked)) == (None, 1)


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


def test_what_has_to_be_there_with_a_checkpoint_is_written_before_it(events: Events, tmp_path: Path) -> None:
    seen: list[tuple[int, bool, bool]] = []
    last, best = tmp_path / "last.pt", tmp_path / "best.pt"

    def before(state: TrainState) -> None:
        seen.append((state.step, last.exists(), best.exists()))

    state = new_state(total=1)
    for callback in (Checkpoint(last, 1, lambda step: None, before), Evaluate(lambda: 0.5, events, 1, best, before)):
        state.step = 0
        play(callback, state)
    assert seen == [(1, False, False), (1, True, False)]


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


SIGNALS = {signal.SIGINT: InterruptedRunError, signal.SIGTERM: PreemptedRunError, signal.SIGUSR1: PreemptedRunError}


@pytest.mark.parametrize(("number", "kind"), SIGNALS.items(), ids=lambda value: getattr(value, "name", ""))
def test_a_signal_lets_the_step_end_then_saves_and_says_how_to_continue(
    stop: SaveOnSignal, number: signal.Signals, kind: type[InterruptedRunError], tmp_path: Path, saved: list[int]
) -> None:
    state = new_state()
    stop.on_start(state)
    os.kill(os.getpid(), number)
    state.step = 3
    with pytest.raises(InterruptedRunError, match=rf"{number.name} after step 3 of 10.*Give the same command again") as raised:
        stop.on_step(state)
    assert (tmp_path / "last.pt").read_text() == "3"
    assert saved == [3]
    assert raised.type is kind


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_signal_ends_an_evaluation_where_it_stands_after_saving_the_step(
    stop: SaveOnSignal, number: signal.Signals, saved: list[int]
) -> None:
    state = new_state()
    stop.on_start(state)
    state.step = 3
    with pytest.raises(InterruptedRunError, match=f"{number.name} after step 3 of 10"), stop.impatient():
        os.kill(os.getpid(), number)
        pytest.fail("it went on")
    assert saved == [3]


def test_several_processes_finish_an_evaluation_and_stop_after_it(
    stop: SaveOnSignal, saved: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "count", lambda: 2)
    monkeypatch.setattr(processes, "largest", lambda number: max(number, signal.SIGTERM))  # the other one heard it
    monkeypatch.setattr(processes, "gather", lambda value: [value, value])
    state, scored = new_state(), []
    stop.on_start(state)
    state.step = TOTAL
    with pytest.raises(PreemptedRunError, match="SIGTERM after step 10 of 10"), stop.impatient():
        scored.append(state.step)
    assert (scored, saved) == ([TOTAL], [TOTAL])


def test_the_system_s_second_signal_changes_nothing(stop: SaveOnSignal, saved: list[int]) -> None:
    state = new_state(step=5)
    stop.on_start(state)
    for number in (signal.SIGUSR1, signal.SIGTERM):
        os.kill(os.getpid(), number)
    with pytest.raises(PreemptedRunError):
        stop.on_step(state)
    assert saved == [5]


def test_without_a_signal_nothing_is_saved(stop: SaveOnSignal, tmp_path: Path) -> None:
    play(stop, new_state())
    assert not (tmp_path / "last.pt").exists()


def test_a_second_ctrl_c_ends_at_once(stop: SaveOnSignal) -> None:
    stop.on_start(new_state())
    os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


def test_signals_go_back_to_whom_they_belonged(stop: SaveOnSignal) -> None:
    numbers = tuple(SIGNALS)
    before = [signal.getsignal(number) for number in numbers]
    stop.on_start(new_state())
    assert all(signal.getsignal(number) not in before for number in numbers)
    os.kill(os.getpid(), signal.SIGTERM)
    stop.close()
    assert [signal.getsignal(number) for number in numbers] == before


# Bar.


def test_the_bar_shows_steps_and_loss() -> None:
    shown: list[tuple[str, int, int | None, str]] = []

    class Shown(Meter):
        def show(self, title: str, done: int, total: int | None, note: str = "") -> None:
            shown.append((title, done, total, note))

    bar = Bar(Shown(), "shapes-16")
    state = new_state(step=6)
    bar.on_start(state)
    state.step = 7
    bar.on_step(state)
    assert shown == [("shapes-16", 6, 10, ""), ("shapes-16", 7, 10, "loss 0.750")]
