"""The native engine, against a bare loop written out here."""

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import torch
from accelerate.optimizer import AcceleratedOptimizer
from torch import Tensor, nn

from semibench.errors import RunFailedError, UsageError
from semibench.harness import checkpoint
from semibench.harness.engines import _training, native
from semibench.harness.engines._training import Training
from semibench.harness.engines.base import Callback, Plan, TrainState
from semibench.harness.engines.native import NativeEngine
from semibench.harness.optimizers import build_optimizer
from semibench.harness.schedules import multiplier
from semibench.methods.blocks.draws import uniforms
from semibench.methods.method import Batch, Labeled, Method, Progress, StepOutput
from semibench.methods.networks.base import ParameterGroup
from semibench.protocols.recipe import Recipe

TOTAL = 6


class Line(Method):
    """A convolution, batch normalization and dropout; moves an average after each step."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Conv2d(4, 2, 1))
        self.register_buffer("average", torch.zeros(()))
        self.fail_at = -1

    def forward(self, batch: Batch, progress: Progress) -> StepOutput:
        loss = self.network(batch.labeled.image).square().mean()
        if progress.step == self.fail_at:
            loss = loss * float("nan")
        return StepOutput({"first": loss, "second": loss / 2}, {"mean": batch.labeled.image.mean()})

    def after_step(self, progress: Progress) -> None:
        self.average.mul_(0.9).add_(0.1 * (progress.step + 1))

    def parameter_groups(self) -> list[ParameterGroup]:
        return [ParameterGroup("all", list(self.parameters()))]

    def predictors(self) -> Mapping[str, nn.Module]:
        return {"network": self.network}


class Record(Callback):
    def __init__(self) -> None:
        self.losses: list[float] = []
        self.rates: list[float] = []
        self.saved: Path | None = None
        self.save_at = -1

    def on_step(self, state: TrainState) -> None:
        self.losses.append(state.loss)
        self.rates.append(state.learning_rate)
        if state.step == self.save_at and self.saved is not None:
            state.save(self.saved)


def batches(start: int) -> Iterator[Batch]:
    for step in range(start, TOTAL):
        generator = torch.Generator().manual_seed(step)
        image = torch.randn(4, 3, 8, 8, generator=generator)
        yield Batch(Labeled(image, torch.zeros(4, 8, 8, dtype=torch.int64), torch.arange(4)))


def recipe(**changes: object) -> Recipe:
    values = {
        "optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.9, "weight_decay": 1e-4},
        "schedule": {"name": "poly"},
        "steps": TOTAL,
        "batch": {"labeled": 4, "unlabeled": 4},
        "crop": (8, 8),
        "augmentation": {},
        "normalization": {"mean": (0.5, 0.5, 0.5), "std": (1, 1, 1)},
    }
    return Recipe.model_validate(values | changes)


def train(settings: Recipe, callback: Record, resume_from: Path | None = None, seed: int = 0) -> dict[str, Tensor]:
    torch.manual_seed(0)
    method = Line()
    NativeEngine().fit(method, batches, Plan(settings, TOTAL, seed, "cpu"), [callback], resume_from=resume_from)
    return method.state_dict()


def equal(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_the_engine_is_the_loop_one_would_write_by_hand() -> None:
    from semibench.hashing import derive_seed

    settings, record = recipe(), Record()
    trained = train(settings, record)
    torch.manual_seed(0)
    method = Line().to(memory_format=torch.channels_last)
    optimizer = build_optimizer(method, settings.optimizer)
    losses, rates = [], []
    for step, batch in enumerate(batches(0)):
        rate = 0.1 * multiplier(settings.schedule, step, TOTAL)
        optimizer.param_groups[0]["lr"] = rate
        torch.manual_seed(derive_seed(0, "layers", step, 0))
        image = batch.labeled.image.to(memory_format=torch.channels_last)
        output = method(batch._replace(labeled=batch.labeled._replace(image=image)), Progress(step, TOTAL))
        loss = output.losses["first"] + output.losses["second"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        method.after_step(Progress(step, TOTAL))
        losses.append(output.losses["first"].item() + output.losses["second"].item())
        rates.append(rate)
    assert equal(trained, method.state_dict())
    assert record.losses == losses
    assert record.rates == rates


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("moment", [1, 3, 5])
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(
    tmp_path: Path, precision: str, optimizer: str, moment: int
) -> None:
    values = {"name": optimizer, "lr": 0.1, "weight_decay": 1e-4} | ({"momentum": 0.9} if optimizer == "sgd" else {})
    settings = recipe(precision=precision, optimizer=values)
    whole = Record()
    whole.saved, whole.save_at = tmp_path / "checkpoint.pt", moment
    uninterrupted = train(settings, whole)
    rest = Record()
    assert equal(train(settings, rest, resume_from=tmp_path / "checkpoint.pt"), uninterrupted)
    assert rest.losses == whole.losses[moment:]


@pytest.mark.skipif(shutil.which(os.environ.get("CXX", "g++")) is None, reason="torch.compile needs a C++ compiler")
@pytest.mark.filterwarnings("ignore")  # of torch's compiler, about itself
def test_a_compiled_training_is_the_same_but_for_rounding_and_resumes_to_the_bit(tmp_path: Path) -> None:
    class Plain(Line):  # a compiler draws its own dropout, but not what samples draw
        def __init__(self) -> None:
            super().__init__()
            self.network[2] = nn.Identity()

        def forward(self, batch: Batch, progress: Progress) -> StepOutput:
            drawn = uniforms(torch.arange(len(batch.labeled.image)) + progress.step, "channels", 3).float()
            loss = self.network(batch.labeled.image * drawn[..., None, None]).square().mean()
            return StepOutput({"first": loss}, {})

    def fit(compiled: bool, callback: Record, resume_from: Path | None = None) -> Method:
        torch.manual_seed(0)
        method = Plain()
        plan = Plan(recipe(), TOTAL, 0, "cpu", compiled)
        NativeEngine().fit(method, batches, plan, [callback], resume_from=resume_from)
        return method

    whole, rest, plain = Record(), Record(), Record()
    whole.saved, whole.save_at = tmp_path / "checkpoint.pt", 3
    method = fit(True, whole)
    fit(False, plain)
    assert method._compiled_call_impl is not None
    assert whole.losses == pytest.approx(plain.losses, rel=1e-4)
    assert equal(fit(True, rest, tmp_path / "checkpoint.pt").state_dict(), method.state_dict())


def test_the_scale_of_gradients_is_a_part_of_the_checkpoint(tmp_path: Path) -> None:
    torch.manual_seed(0)
    plan = Plan(recipe(), TOTAL, 0, "cpu")
    training = Training(Line(), plan, torch.amp.GradScaler("cpu", init_scale=2.0, growth_interval=1))
    training.scaler.scale(torch.ones(()))
    training.scaler.update(8.0)
    training.save(tmp_path / "checkpoint.pt")
    resumed = Training(Line(), plan, torch.amp.GradScaler("cpu"))
    resumed.start(tmp_path / "checkpoint.pt")
    assert resumed.scaler.state_dict() == training.scaler.state_dict()
    assert resumed.scaler.get_scale() == 8.0


def test_the_order_of_a_step_is_that_of_the_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []

    class Noted(Line):
        def forward(self, batch: Batch, progress: Progress) -> StepOutput:
            order.append("forward")
            return super().forward(batch, progress)

        def after_step(self, progress: Progress) -> None:
            order.append("after_step")

    class Watch(Callback):
        def on_step(self, state: TrainState) -> None:
            order.append("callback")

    def note(owner: object, name: str) -> None:
        original = getattr(owner, name)
        monkeypatch.setattr(owner, name, lambda *a, **k: (order.append(name.lstrip("_")), original(*a, **k))[1])

    note(AcceleratedOptimizer, "zero_grad")
    note(AcceleratedOptimizer, "step")
    note(native.Accelerator, "backward")
    note(_training, "set_learning_rate")
    plan = Plan(recipe(accumulation=2), TOTAL, 0, "cpu")
    NativeEngine().fit(Noted(), batches, plan, [Watch()], resume_from=None)
    parts = ["forward", "zero_grad", "backward", "forward", "backward"]
    assert order == ["set_learning_rate", *([*parts, "step", "after_step", "set_learning_rate", "callback"] * TOTAL)]


def test_another_seed_draws_another_dropout() -> None:
    first, second = Record(), Record()
    train(recipe(), first)
    train(recipe(), second, seed=1)
    assert first.losses != second.losses


def test_accumulation_averages_the_parts_of_a_batch() -> None:
    record = Record()
    train(recipe(accumulation=2), record)
    assert len(record.losses) == TOTAL


def test_clipping_bounds_the_gradient() -> None:
    small = {"name": "sgd", "lr": 1.0, "momentum": 0.0, "weight_decay": 0.0}
    torch.manual_seed(0)
    before = Line().state_dict()
    method_after = train(recipe(optimizer=small, clip_norm=1e-3, schedule={"name": "constant"}), Record())
    moved = sum((method_after[name] - before[name]).square().sum() for name in before if name.endswith(("weight", "bias")))
    assert 0 < moved.sqrt() <= TOTAL * 1e-3 * 1.001


def test_a_loss_that_is_not_finite_stops_the_run_and_names_step_and_losses() -> None:
    method = Line()
    method.fail_at = 2
    with pytest.raises(RunFailedError, match=r"loss of step 2 is not finite \(first = nan, second = nan\)"):
        NativeEngine().fit(method, batches, Plan(recipe(), TOTAL, 0, "cpu"), [], resume_from=None)


def test_weights_that_are_not_finite_never_replace_a_checkpoint(tmp_path: Path) -> None:
    class Diverge(Record):
        def on_step(self, state: TrainState) -> None:
            if state.step == 2:
                next(state.method.parameters()).data.fill_(float("inf"))
            state.save(tmp_path / "last.pt")

    with pytest.raises(RunFailedError, match=r"the weights after step 2 are not finite. The last checkpoint is kept"):
        train(recipe(), Diverge())
    assert checkpoint.load(tmp_path / "last.pt")["step"] == 1


@pytest.mark.parametrize(("device", "chosen"), [("cuda:1", [1]), ("cuda", []), ("cpu", [])])
def test_a_gpu_is_used_as_named(monkeypatch: pytest.MonkeyPatch, device: str, chosen: list[int]) -> None:
    made, current = [], []
    monkeypatch.setattr(torch.cuda, "set_device", lambda named: current.append(named.index))
    monkeypatch.setattr(native, "Accelerator", lambda cpu, **_: made.append(cpu))
    with native._accelerator(Plan(recipe(), TOTAL, 0, device)):
        assert (made, current) == ([device == "cpu"], chosen)


def test_a_cpu_stays_one_on_a_machine_with_another_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert NativeEngine().fit(Line(), batches, Plan(recipe(), TOTAL, 0, "cpu"), [], resume_from=None).device == "cpu"


def test_a_recipe_that_names_an_unknown_parameter_group_is_refused() -> None:
    optimizer = {"name": "sgd", "lr": 0.1, "momentum": 0.9, "weight_decay": 0, "groups": {"decodr": {"lr_multiplier": 10}}}
    with pytest.raises(UsageError, match="parameter group 'decodr' not found"):
        train(recipe(optimizer=optimizer), Record())


def test_the_summary_counts_images_and_time() -> None:
    summary = NativeEngine().fit(Line(), batches, Plan(recipe(), TOTAL, 0, "cpu"), [], resume_from=None)
    assert summary.steps == TOTAL
    assert summary.images == 4 * TOTAL
    assert 0 < summary.data_seconds < summary.seconds
    assert summary.peak_memory > 0
