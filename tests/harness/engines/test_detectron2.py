"""The Detectron2 engine against the native one: the same numbers, bit for bit, and checkpoints that fit both.

``SEMIBENCH_PARITY_STEPS=30`` in the environment lengthens the comparison of every method.
"""

import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.amp.grad_scaler import GradScaler

from semibench import plugins
from semibench.errors import MissingPackageError, RunFailedError
from semibench.harness.conformance.subject import Subject, draw
from semibench.harness.engines import _training
from semibench.harness.engines.base import Callback, Engine, FitSummary, Plan, TrainState
from semibench.harness.engines.detectron2 import Detectron2Engine, _Losses
from semibench.harness.engines.native import NativeEngine
from semibench.methods.method import Batch, Method, Progress, StepOutput
from semibench.methods.networks import _detectron2
from semibench.protocols.protocol import load

STEPS = int(os.environ.get("SEMIBENCH_PARITY_STEPS", "3"))
TRAINED = [
    name
    for name in plugins.summaries(plugins.METHOD)
    if plugins.real_name(plugins.METHOD, name) == name and plugins.find_class(plugins.METHOD, name, Method).trains
]
VARIANTS = {
    "plain": {},
    "bf16": {"precision": "bf16"},
    "clipped": {"clip_norm": 0.1},
    "accumulated": {"accumulation": 2},
    "all": {"precision": "bf16", "clip_norm": 0.1, "accumulation": 2},
}

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Record(Callback):
    """Keeps what each step said, and a checkpoint of the step ``save_at``."""

    def __init__(self, save_at: int = -1, path: Path = Path()) -> None:
        self.save_at, self.path = save_at, path
        self.steps: list[tuple[object, ...]] = []

    def on_step(self, state: TrainState) -> None:
        self.steps.append((state.step, dict(state.losses), dict(state.scalars), state.learning_rate, state.images))
        if state.step == self.save_at:
            state.save(self.path)


class Trained:
    """A method after its training, and the record of that."""

    def __init__(
        self,
        engine: type[Engine],
        name: str = "supervised",
        *,
        steps: int = STEPS,
        record: Record | None = None,
        resume_from: Path | None = None,
        **changes: object,
    ) -> None:
        recipe = load("shapes-16").recipe.model_copy(update={"precision": "fp32", **changes})
        self.method = Subject.find(name).build()
        self.record = record or Record()
        plan = Plan(recipe, steps, 0, "cpu")
        views = self.method.views

        def batches(start: int) -> Iterator[Batch]:
            return (draw(views, 4, 4, seed=step) for step in range(start, steps))

        self.summary: FitSummary = engine().fit(self.method, batches, plan, [self.record], resume_from=resume_from)


def assert_same(one: Trained, other: Trained) -> None:
    assert one.record.steps == other.record.steps
    ours, theirs = one.method.state_dict(), other.method.state_dict()
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []


@pytest.mark.usefixtures("detectron2")
@pytest.mark.parametrize("name", TRAINED)
def test_both_engines_give_the_same_losses_and_weights(name: str) -> None:
    assert_same(Trained(NativeEngine, name), Trained(Detectron2Engine, name))


@pytest.mark.usefixtures("either")
@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_both_engines_agree_under_every_option_of_the_recipe(changes: dict[str, object]) -> None:
    assert_same(Trained(NativeEngine, "fixmatch", **changes), Trained(Detectron2Engine, "fixmatch", **changes))


def test_a_method_trains_under_the_unmodified_simple_trainer(detectron2: Callable[[str], Any]) -> None:
    engine, seen = detectron2("detectron2.engine"), []
    original = engine.SimpleTrainer.run_step

    def noted(trainer: object) -> None:
        seen.append(type(trainer))
        original(trainer)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine.SimpleTrainer, "run_step", noted)
        Trained(Detectron2Engine, precision="bf16", clip_norm=0.1)
    assert seen == [engine.SimpleTrainer] * STEPS


def test_a_scaler_is_left_to_the_amp_trainer(detectron2: Callable[[str], Any]) -> None:
    plan = Plan(load("shapes-16").recipe.model_copy(update={"precision": "fp16"}), STEPS, 0, "cpu")
    training = _training.Training(Subject.find("supervised").build(), plan, GradScaler("cpu"))
    trainer = Detectron2Engine()._trainer(_Losses(training, iter))
    assert type(trainer) is detectron2("detectron2.engine").AMPTrainer
    assert trainer.grad_scaler is training.scaler


def test_a_method_trains_under_a_simple_trainer_set_up_by_hand(detectron2: Callable[[str], Any]) -> None:
    engine, native, steps = detectron2("detectron2.engine"), Trained(NativeEngine), list(range(STEPS))
    recipe = load("shapes-16").recipe
    method = Subject.find("supervised").build()

    class Wrapped(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.method = method.to(memory_format=torch.channels_last)

        def forward(self, step: int) -> dict[str, Tensor]:
            torch.manual_seed(_training.derive_seed(0, "layers", step, 0))
            batch = _training._place(draw(method.views, 4, 4, seed=step), torch.device("cpu"))
            return dict(self.method(batch, Progress(step, STEPS)).losses)

    class Rates(engine.HookBase):
        def before_step(self) -> None:
            rate = recipe.optimizer.lr * _training.multiplier(recipe.schedule, self.trainer.iter, STEPS)
            _training.set_learning_rate(self.trainer.optimizer, rate)

        def after_step(self) -> None:
            method.after_step(Progress(self.trainer.iter, STEPS))

    trainer = engine.SimpleTrainer(Wrapped(), steps, _training.build_optimizer(method, recipe.optimizer))
    trainer.register_hooks([Rates()])
    trainer.train(0, STEPS)
    ours, theirs = native.method.state_dict(), method.state_dict()
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []


@pytest.mark.usefixtures("either")
@pytest.mark.parametrize("moment", [1, 3, 5])
def test_a_run_that_it_resumes_equals_an_uninterrupted_one(tmp_path: Path, moment: int) -> None:
    path = tmp_path / "checkpoint.pt"
    whole = Trained(Detectron2Engine, "mean_teacher", steps=6, record=Record(moment, path))
    rest = Trained(Detectron2Engine, "mean_teacher", steps=6, resume_from=path)
    assert len(rest.record.steps) == 6 - moment
    rest.record.steps = whole.record.steps[:moment] + rest.record.steps
    assert_same(whole, rest)


@pytest.mark.usefixtures("either")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_run_may_change_engines_twice(tmp_path: Path, precision: str) -> None:
    whole = Trained(NativeEngine, "mean_teacher", steps=6, precision=precision)
    files = tmp_path / "native.pt", tmp_path / "detectron2.pt"
    options = {"name": "mean_teacher", "steps": 6, "precision": precision}
    Trained(NativeEngine, **options, record=Record(2, files[0]))
    Trained(Detectron2Engine, **options, record=Record(4, files[1]), resume_from=files[0])
    last = Trained(NativeEngine, **options, resume_from=files[1])
    last.record.steps = whole.record.steps[:4] + last.record.steps
    assert_same(whole, last)


@pytest.mark.usefixtures("either")
@pytest.mark.parametrize("accumulation", [1, 2])
def test_the_order_of_a_step_is_that_of_the_contract(monkeypatch: pytest.MonkeyPatch, accumulation: int) -> None:
    order: list[str] = []

    def note(owner: object, name: str) -> None:
        original = getattr(owner, name)
        monkeypatch.setattr(owner, name, lambda *a, **k: (order.append(name), original(*a, **k))[1])

    class Watch(Record):
        def on_start(self, state: TrainState) -> None:
            order.append("on_start")

        def on_step(self, state: TrainState) -> None:
            order.append("on_step")

    supervised = Subject.find("supervised").method_class
    note(supervised, "forward")
    note(supervised, "after_step")
    note(torch.optim.SGD, "zero_grad")
    note(torch.optim.SGD, "step")
    note(torch.Tensor, "backward")
    note(_training.Training, "report")
    note(_training, "set_learning_rate")
    Trained(Detectron2Engine, accumulation=accumulation, record=Watch())
    parts = ["forward", "zero_grad", "backward", *(["forward", "backward"] * (accumulation - 1))]
    step = [*parts, "report", "step", "after_step", "set_learning_rate", "on_step"]
    assert order == ["set_learning_rate", "on_start", *(step * STEPS)]


@pytest.mark.usefixtures("either")
def test_a_loss_that_is_not_finite_stops_the_run_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    method = Subject.find("supervised").method_class
    nan = StepOutput({"supervised": torch.tensor(float("nan"), requires_grad=True)})
    monkeypatch.setattr(method, "forward", lambda self, batch, progress: nan)
    with caplog.at_level(logging.ERROR), pytest.raises(RunFailedError, match="loss of step 0 is not finite"):
        Trained(Detectron2Engine)
    assert caplog.records == []


@pytest.mark.usefixtures("either")
def test_what_a_callback_raises_ends_the_run_at_once() -> None:
    class Stop(Record):
        def on_step(self, state: TrainState) -> None:
            raise RunFailedError("enough", "Stop.")

    with pytest.raises(RunFailedError, match="enough"):
        Trained(Detectron2Engine, steps=1, record=Stop())


@pytest.mark.usefixtures("either")
def test_a_run_that_was_at_its_end_takes_no_step(tmp_path: Path) -> None:
    ended = Trained(NativeEngine, record=Record(STEPS, tmp_path / "last.pt"))
    again = Trained(Detectron2Engine, resume_from=tmp_path / "last.pt")
    assert again.record.steps == []
    again.record = ended.record
    assert_same(ended, again)


@pytest.mark.usefixtures("either")
def test_the_summary_counts_images_and_time() -> None:
    summary = Trained(Detectron2Engine, "fixmatch").summary
    assert (summary.steps, summary.images, summary.device) == (STEPS, 8 * STEPS, "cpu")
    assert 0 < summary.data_seconds < summary.seconds


def test_detectron2_keeps_its_own_log(detectron2: Callable[[str], Any], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="detectron2"):
        Trained(Detectron2Engine, steps=20)
    lines = [record.getMessage() for record in caplog.records if record.name == "detectron2.utils.events"]
    assert len(lines) == 1
    assert "iter: 19" in lines[0]
    assert "total_loss" in lines[0]
    assert "lr: N/A" not in lines[0]


def test_where_detectron2_is_absent_the_engine_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "detectron2", None)
    monkeypatch.setitem(sys.modules, "detectron2.engine", None)
    with pytest.raises(
        MissingPackageError, match=r"Detectron2 cannot be imported: ..*detectron2.readthedocs.io.*, or use --engine native"
    ):
        Detectron2Engine()


@pytest.mark.parametrize(("usable", "chosen"), [(True, "detectron2"), (False, "native")])
def test_auto_is_detectron2_where_it_can_be_imported(monkeypatch: pytest.MonkeyPatch, usable: bool, chosen: str) -> None:
    monkeypatch.setattr(_detectron2, "is_usable", lambda: usable)
    assert plugins.real_name(plugins.ENGINE, "auto") == chosen
    assert plugins.find_class(plugins.ENGINE, "auto", Engine).__module__ == f"semibench.harness.engines.{chosen}"


def test_an_absent_detectron2_is_found_out_without_importing_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(_detectron2, "load", asked.append)
    monkeypatch.setattr(_detectron2.importlib.util, "find_spec", lambda name: None)
    assert not _detectron2.is_usable()
    assert asked == []


def test_a_detectron2_that_cannot_be_imported_is_as_good_as_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> None:
        raise AttributeError("module 'PIL.Image' has no attribute 'LINEAR'")

    monkeypatch.setattr(_detectron2.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(_detectron2.importlib, "import_module", broken)
    assert not _detectron2.is_usable()
