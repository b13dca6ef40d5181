"""Follows a training: keeps its trajectory through interruptions, and compares its beginning with earlier runs."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any  # events are JSON

from semibench.harness.engines.base import Callback, TrainState
from semibench.harness.folder import Events
from semibench.reports.trajectory import Bands, Deviation, Sums, Trajectory, build_trajectory, means, part_ends

_EVENT = "sums"


class Follow(Callback):
    """Sum losses, scalars and rate over all steps; note the sums at the end of each part and before each checkpoint.

    A resumed run goes on with those of its checkpoint, so that its trajectory is that of an uninterrupted one to the bit. Where
    they are missing (a run begun by an earlier version) there is no trajectory, and nothing is compared.
    """

    def __init__(self, events: Events, bands: Bands | None, on_deviation: Callable[[Deviation], None]) -> None:
        self.events = events
        self.bands = bands
        self.on_deviation = on_deviation  # called once a quantity
        self.deviating: set[str] = set()
        self.noted: dict[int, Sums] = {}
        self.sums: Sums | None = {}

    def on_start(self, state: TrainState) -> None:
        """Take up the sums of the checkpoint."""
        events = self.events.read()
        self.noted = _read(events)
        self.deviating = {event["quantity"] for event in events if event["event"] == "outside_reference"}
        self.sums = dict(self.noted[state.step]) if state.step in self.noted else {} if state.step == 0 else None
        ends = (0, *part_ends(state.total))
        self.former = dict(zip(ends[1:], ends, strict=False))  # last step of a part -> of the part before

    def on_step(self, state: TrainState) -> None:
        """Add the values of the step; at the end of a part compare it."""
        if self.sums is None:
            return
        for name, value in _values(state).items():
            if math.isfinite(value):  # a share of no pixels is not a number
                total, count = self.sums.get(name, (0.0, 0))
                self.sums[name] = (total + value, count + 1)
        if state.step in self.former:
            self.note(state)
            self._compare(state.step)

    def note(self, state: TrainState) -> None:
        """Write the sums down, unless they are."""
        if self.sums is not None and state.step not in self.noted:
            self.noted[state.step] = dict(self.sums)
            self.events.append(_EVENT, state.step, sums=self.sums)

    def keep(self, state: TrainState) -> None:
        """Write the sums down to last: a checkpoint that is about to be written resumes with them."""
        self.note(state)
        self.events.sync()

    def _compare(self, step: int) -> None:
        before = self.noted.get(self.former[step], {})
        for deviation in self.bands.deviations(step, means(before, self.noted[step])) if self.bands else ():
            if deviation.quantity not in self.deviating:
                self.deviating.add(deviation.quantity)
                self.events.append("outside_reference", **deviation._asdict())
                self.on_deviation(deviation)


def read_trajectory(events: Sequence[Mapping[str, Any]], total: int) -> Trajectory | None:
    """Return the trajectory of a finished training from its events; None where a part of it is not known."""
    return build_trajectory(_read(events), total)


def _values(state: TrainState) -> dict[str, float]:
    named = {f"losses.{name}": value for name, value in state.losses.items()}
    named |= {f"scalars.{name}": value for name, value in state.scalars.items()}
    return named | {"learning_rate": state.learning_rate}


def _read(events: Sequence[Mapping[str, Any]]) -> dict[int, Sums]:
    found = [event for event in events if event["event"] == _EVENT]
    return {event["step"]: {name: (total, count) for name, (total, count) in event["sums"].items()} for event in found}
