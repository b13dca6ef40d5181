"""The native engine: a plain loop on Accelerate, one process."""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor
from torch.optim import Optimizer
from torch.utils._pytree import tree_map

from semibench.errors import RunFailedError
from semibench.harness import checkpoint, cost
from semibench.harness.engines.base import Batches, Callback, Engine, FitSummary, Plan, TrainState
from semibench.harness.optimizers import build_optimizer, set_learning_rate
from semibench.harness.schedules import multiplier
from semibench.hashing import derive_seed
from semibench.methods.method import Batch, Method, Progress, StepOutput

_DIVERGED = "The last checkpoint is kept. Lower recipe.optimizer.lr, set recipe.clip_norm, or use --precision fp32."


class NativeEngine(Engine):
    """Runs the loop itself and leaves devices, precision and gradient scaling to Accelerate."""

    def fit(
        self, method: Method, batches: Batches, plan: Plan, callbacks: Sequence[Callback], *, resume_from: Path | None
    ) -> FitSummary:
        """Train ``method`` in place; see ``Engine.fit``."""
        with _accelerator(plan) as accelerator:
            method.to(plan.device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
            loop = _Loop(accelerator, method, build_optimizer(method, plan.recipe.optimizer), plan)
            start = loop.restore(resume_from) if resume_from else 0
            cost.reset_peak_memory(plan.device)
            return loop.run(batches, start, callbacks)


class _Loop:
    """The state of one training: what a checkpoint holds, and how one step changes it."""

    def __init__(self, accelerator: Accelerator, method: Method, optimizer: Optimizer, plan: Plan) -> None:
        self.accelerator = accelerator
        self.method = method
        self.optimizer = accelerator.prepare_optimizer(optimizer, device_placement=False)
        self.plan = plan
        self.device = torch.device(plan.device)
        self.rate = 0.0  # of the step to come
        self.state = TrainState(method, plan.total, self.save)

    def run(self, batches: Batches, start: int, callbacks: Sequence[Callback]) -> FitSummary:
        """Carry out the steps from ``start`` to the end of the plan."""
        state = self.state
        state.step = start
        self.set_rate(start)
        self.method.train()
        for callback in callbacks:
            callback.on_start(state)
        seconds = data_seconds = 0.0
        images = 0
        iterator = batches(start)
        for step in range(start, self.plan.total):
            began = time.perf_counter()
            batch = next(iterator)
            state.data_seconds = time.perf_counter() - began
            self.step(batch, step)
            state.seconds = time.perf_counter() - began
            seconds, data_seconds, images = seconds + state.seconds, data_seconds + state.data_seconds, images + state.images
            for callback in callbacks:
                callback.on_step(state)
        peak = cost.peak_memory(self.device)
        return FitSummary(self.plan.total, seconds, data_seconds, images, self.plan.device, peak)

    def step(self, batch: Batch, step: int) -> None:
        """Do one optimizer step, in the order that every engine keeps."""
        recipe, progress = self.plan.recipe, Progress(step, self.plan.total)
        outputs = []
        for part, micro in enumerate(_split(batch, recipe.accumulation)):
            torch.manual_seed(derive_seed(self.plan.seed, "layers", step, part))  # dropout and the like
            outputs.append(self.forward_backward(micro, progress, is_first=part == 0))
        self.report(step, outputs, len(batch.labeled.image) + sum(len(crop.weak) for crop in batch.unlabeled[:1]))
        if recipe.clip_norm is not None:
            self.accelerator.clip_grad_norm_(self.method.parameters(), recipe.clip_norm)
        self.optimizer.step()
        self.method.after_step(progress)
        self.set_rate(step + 1)

    def set_rate(self, step: int) -> None:
        """Set the learning rate with which step ``step`` will be done."""
        recipe = self.plan.recipe
        rate = recipe.optimizer.lr * multiplier(recipe.schedule, step, self.plan.total)
        self.rate = set_learning_rate(self.optimizer, rate)

    def forward_backward(self, batch: Batch, progress: Progress, *, is_first: bool) -> StepOutput:
        """Add the gradient of one part of a batch; return its detached losses and scalars."""
        with self.accelerator.autocast():
            output: StepOutput = self.method(_place(batch, self.device), progress)
        parts = self.plan.recipe.accumulation
        loss = torch.stack([loss.float() for loss in output.losses.values()]).sum()
        if is_first:
            self.optimizer.zero_grad(set_to_none=True)
        self.accelerator.backward(loss / parts if parts > 1 else loss)
        return output

    def report(self, step: int, outputs: list[StepOutput], images: int) -> None:
        """Fetch losses and scalars in one transfer; raise RunFailedError when a loss is not finite."""
        state = self.state
        state.losses = _average([output.losses for output in outputs])
        state.scalars = _average([output.scalars for output in outputs])
        state.learning_rate, state.images = self.rate, images
        if not math.isfinite(state.loss):
            named = ", ".join(f"{name} = {value:g}" for name, value in state.losses.items())
            raise RunFailedError(f"the loss of step {step} is not finite ({named})", _DIVERGED)
        state.step = step + 1

    def save(self, path: Path) -> None:
        """Write everything that resuming needs; randomness follows from the step.

        Raises RunFailedError when a weight is not finite: the last good checkpoint must outlive a diverged run.
        """
        if not all(bool(tensor.isfinite().all()) for tensor in self.method.state_dict().values() if tensor.is_floating_point()):
            raise RunFailedError(f"the weights after step {self.state.step} are not finite", _DIVERGED)
        scaler = self.accelerator.scaler
        checkpoint.save(
            path,
            {
                "step": self.state.step,
                "method": self.method.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "scaler": scaler.state_dict() if scaler is not None else {},
            },
        )

    def restore(self, path: Path) -> int:
        """Take up a checkpoint; return the number of steps done."""
        content = checkpoint.load(path)
        self.method.load_state_dict(content["method"])
        self.optimizer.load_state_dict(content["optimizer"])
        if self.accelerator.scaler is not None:
            self.accelerator.scaler.load_state_dict(content["scaler"])
        return int(content["step"])


@contextmanager
def _accelerator(plan: Plan) -> Iterator[Accelerator]:
    """Yield an Accelerator for this plan alone: Accelerate keeps its state in the process and refuses a second precision."""
    precision, device = plan.recipe.precision, torch.device(plan.device)
    if device.index is not None:
        torch.cuda.set_device(device)  # Accelerate takes the current GPU, whichever the plan names
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
    AcceleratorState._reset_state(reset_partial_state=True)
    try:
        yield Accelerator(
            cpu=device.type == "cpu",
            mixed_precision=precision if precision in ("bf16", "fp16") else "no",
            device_placement=False,
        )
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)


def _place(batch: Batch, device: torch.device) -> Batch:
    def place(tensor: Tensor) -> Tensor:
        if tensor.ndim == 4:
            return tensor.to(device, non_blocking=True, memory_format=torch.channels_last)
        return tensor.to(device, non_blocking=True)

    placed: Batch = tree_map(place, batch)
    return placed


def _split(batch: Batch, parts: int) -> list[Batch]:
    """Cut a batch along its first axis."""
    if parts == 1:
        return [batch]
    return [tree_map(lambda tensor, part=part: tensor.tensor_split(parts)[part], batch) for part in range(parts)]


def _average(parts: list[Mapping[str, Tensor]]) -> dict[str, float]:
    names = list(parts[0])
    if not names:
        return {}
    rows = torch.stack([torch.stack([part[name].detach().float() for name in names]) for part in parts])
    return dict(zip(names, rows.mean(dim=0).tolist(), strict=True))
