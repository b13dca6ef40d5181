"""A short training of a method under test, interrupted and resumed."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from semibench.harness.conformance.subject import Subject, draw
from semibench.harness.engines.base import Batches, Callback, Plan, TrainState
from semibench.harness.engines.native import NativeEngine
from semibench.methods.method import Batch, Method, Views
from semibench.protocols.protocol import load

_STEPS = 3
_SAVED = 2  # step after which the checkpoint is written


def interrupted(subject: Subject) -> tuple[Method, Method]:
    """Return a method at the end of a training, and one that resumed from its checkpoint with other initial weights."""
    recipe = load("shapes-16").recipe.model_copy(update={"precision": "fp32"})
    plan = Plan(recipe, _STEPS, seed=0, device="cpu")
    whole, resumed = subject.build(), subject.build(seed=1)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "checkpoint.pt"
        NativeEngine().fit(whole, _batches(whole.views), plan, [_Save(path)], resume_from=None)
        NativeEngine().fit(resumed, _batches(resumed.views), plan, [], resume_from=path)
    return whole, resumed


class _Save(Callback):
    def __init__(self, path: Path) -> None:
        self.path = path

    def on_step(self, state: TrainState) -> None:
        if state.step == _SAVED:
            state.save(self.path)


def _batches(views: Views) -> Batches:
    def stream(start: int) -> Iterator[Batch]:
        return (draw(views, seed=step) for step in range(start, _STEPS))

    return stream
