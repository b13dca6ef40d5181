"""What watches a run: log, checkpoints, evaluation, progress; the same under every engine."""

import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from semibench.harness import processes, signals
from semibench.harness.engines.base import Callback, TrainState
from semibench.harness.folder import Events
from semibench.harness.progress import Meter


class Log(Callback):
    """Write losses, scalars and rates every ``every`` steps to the events and, where given, to TensorBoard."""

    def __init__(self, events: Events, every: int, tensorboard: Path | None) -> None:
        self.events = events
        self.every = every
        self.tensorboard = tensorboard
        self.writer: Any = None  # SummaryWriter, which has no types

    def on_start(self, state: TrainState) -> None:
        if self.tensorboard is not None:
            from torch.utils.tensorboard import SummaryWriter  # a second of imports

            self.writer = SummaryWriter(str(self.tensorboard), purge_step=state.step + 1)

    def on_step(self, state: TrainState) -> None:
        if state.step % self.every and state.step != state.total:
            return
        times = {"seconds": state.seconds, "data_seconds": state.data_seconds}
        figures = {"losses": state.losses, "scalars": state.scalars}  # nested: a method may name them as it likes
        self.events.append("log", state.step, **figures, learning_rate=state.learning_rate, **times)
        if self.writer is not None:
            self.writer.add_scalar("learning_rate", state.learning_rate, state.step)
            for kind, values in figures.items():
                for name, value in values.items():
                    self.writer.add_scalar(f"{kind}/{name}", value, state.step)

    def close(self) -> None:
        if self.tensorboard is None:
            return
        if self.writer is not None:
            self.writer.close()
        for path in self.tensorboard.glob("events.out.tfevents.*"):  # TensorBoard puts the host's name into the file's
            path.replace(path.with_name(path.name.replace(f".{socket.gethostname()}.", ".run.")))


class Energy(Callback):
    """Add up the energy of training: the watts that are drawn every ``every`` steps, times the seconds since.

    Each process measures its own device; ``total`` is of all.
    """

    def __init__(self, power: Callable[[], float | None], every: int) -> None:
        self.power = power
        self.every = every
        self.readings: list[float | None] = []  # joules since the one before; None: nothing measures them
        self.seconds = 0.0  # since the last reading

    def on_step(self, state: TrainState) -> None:
        self.seconds += state.seconds
        if None in self.readings or (state.step % self.every and state.step != state.total):
            return
        watts = self.power()
        self.readings.append(None if watts is None else watts * self.seconds)
        self.seconds = 0.0

    def total(self) -> float | None:
        """Return the joules of all processes together; None where one of them has read none, or failed to."""
        known = [joules for own in processes.gather(self.readings or [None]) for joules in own]
        return None if None in known else sum(filter(None, known))


class Checkpoint(Callback):
    """Save everything that resuming needs every ``every`` steps and at the end."""

    def __init__(
        self, path: Path, every: int, on_saved: Callable[[int], None], before: Callable[[TrainState], None] | None = None
    ) -> None:
        self.path = path
        self.every = every
        self.on_saved = on_saved  # called with the step
        self.before = before  # writes down what has to be there where a checkpoint is

    def on_step(self, state: TrainState) -> None:
        if state.step % self.every == 0 or state.step == state.total:
            self.save(state)

    def save(self, state: TrainState) -> None:
        """Save now, in the main process."""
        if processes.is_main():
            if self.before is not None:
                self.before(state)
            state.save(self.path)
            self.on_saved(state.step)


class Evaluate(Callback):
    """Score the headline predictor every ``every`` steps and at the end; keep the checkpoint of the best score.

    What was scored is read from the events, so that a resumed run neither repeats nor forgets an evaluation. All processes
    score, the main one keeps.
    """

    def __init__(
        self,
        score: Callable[[], float],
        events: Events,
        every: int,
        best: Path,
        before: Callable[[TrainState], None] | None = None,
    ) -> None:
        self.score = score
        self.events = events
        self.every = every
        self.best = best
        self.before = before  # as that of Checkpoint
        self.scores: dict[int, float] = {}

    def on_start(self, state: TrainState) -> None:
        self.scores = processes.from_main(self._read)
        if state.step > 0:
            self.on_step(state)  # the run may have ended between this step's checkpoint and its evaluation

    def on_step(self, state: TrainState) -> None:
        if (state.step % self.every and state.step != state.total) or state.step in self.scores:
            return
        began = time.perf_counter()
        miou = self.score()
        if processes.is_main():
            if miou > max(self.scores.values(), default=-1.0):
                if self.before is not None:
                    self.before(state)
                state.save(self.best)
            self.events.append("evaluate", state.step, miou=miou, seconds=time.perf_counter() - began)
        self.scores[state.step] = miou

    def _read(self) -> dict[int, float]:
        return {event["step"]: event["miou"] for event in self.events.read() if event["event"] == "evaluate"}

    @property
    def best_step(self) -> int:
        """The step of the highest score, the first of equals."""
        return max(self.scores, key=lambda step: (self.scores[step], -step))


class SaveOnSignal(Callback):
    """On the first signal finish the step, save and raise InterruptedRunError; a second Ctrl-C ends at once.

    One process that was signalled stops all after the same step. It stands before ``Evaluate``, so that nothing is scored
    any more: the resumed run makes up for that.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        self.received: int | None = None
        self.is_patient = True  # False: what is being done can be done again
        self.former: dict[int, Any] = {}

    def on_start(self, state: TrainState) -> None:
        self.state = state
        for number in (signal.SIGINT, *signals.OF_THE_SYSTEM):
            self.former[number] = signal.signal(number, self._receive)

    def on_step(self, state: TrainState) -> None:
        if received := processes.largest(self.received or 0):
            self._stop(received)

    @contextmanager
    def impatient(self) -> Iterator[None]:
        """Let a signal end what is done inside, between two steps, where it stands; several processes finish it together."""
        self.is_patient = processes.count() > 1
        try:
            yield
            if received := processes.largest(self.received or 0):
                self._stop(received)
        except KeyboardInterrupt as error:
            self.is_patient = True  # saving is not to be cut off
            self._stop(signals.number_of(error))
        finally:
            self.is_patient = True

    def close(self) -> None:
        """Give the signals back to whom they belonged."""
        for number, handler in self.former.items():
            signal.signal(number, handler)

    def _stop(self, number: int) -> None:
        state = self.state
        self.checkpoint.save(state)
        processes.gather(None)  # none leaves before the state is saved: the first to leave ends the others
        raise signals.stopped(number, f"stopped by {{}} after step {state.step} of {state.total}, state saved")

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if not self.is_patient:
            raise signals.Signalled(number)


class Bar(Callback):
    """Show steps, their rate, the remaining time and the loss."""

    def __init__(self, meter: Meter, title: str) -> None:
        self.meter = meter
        self.title = title

    def on_start(self, state: TrainState) -> None:
        self.meter.show(self.title, state.step, state.total)

    def on_step(self, state: TrainState) -> None:
        self.meter.show(self.title, state.step, state.total, f"loss {state.loss:.3f}")
