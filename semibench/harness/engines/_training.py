"""One training, the same under every engine: what a checkpoint holds, and what a step is made of."""

import math
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer
from torch.utils._pytree import tree_map

from semibench.errors import RunFailedError
from semibench.harness import checkpoint, cost, processes
from semibench.harness.engines.base import FitSummary, Plan, TrainState
from semibench.harness.optimizers import build_optimizer, set_learning_rate
from semibench.harness.schedules import multiplier
from semibench.hashing import derive_seed
from semibench.methods.method import Batch, Method, Progress, StepOutput

_DIVERGED = "The last checkpoint is kept. Lower recipe.optimizer.lr, set recipe.clip_norm, or use --precision fp32."
_HALVES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Training:
    """A method, its optimizer and how far they are; an engine calls the parts of a step in the order of the contract.

    ``module`` is what every forward pass goes through, and what an engine may wrap; ``method`` stays bare, and so do the names
    in a checkpoint. Of several processes each carries one out on its share of every batch; all hold the same after each step.
    """

    def __init__(self, method: Method, plan: Plan, scaler: GradScaler | None = None) -> None:
        method.to(plan.device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
        if plan.compile:
            torch._dynamo.config.trace_numpy = False  # draws are NumPy's, in integers that torch does not have
            method.compile()  # in place: neither names nor predictors change  # type: ignore[no-untyped-call]
        self.method = method
        self.module: nn.Module = _averaging(_Forward(method, plan))
        self.own_parts = plan.recipe.accumulation // processes.count()  # of each batch
        self.optimizer: Optimizer = build_optimizer(method, plan.recipe.optimizer)
        self.scaler = scaler
        self.plan = plan
        self.device = torch.device(plan.device)
        self.rate = 0.0  # of the step to come
        self.state = TrainState(method, plan.total, self.save)
        self.seconds = self.data_seconds = 0.0  # of all steps of this process
        self.images = 0

    def start(self, resume_from: Path | None) -> int:
        """Take up a checkpoint where one is given, and the first learning rate; return the number of steps done.

        From here on the peak of memory is measured.
        """
        self.state.step = self.restore(resume_from) if resume_from else 0
        self.set_rate(self.state.step)
        self.method.train()
        cost.reset_peak_memory(self.device)
        return self.state.step

    def parts(self, batch: Batch) -> list[Batch]:
        """Cut this process's share of a batch along its first axis into those whose gradients are accumulated."""
        parts = self.own_parts
        if parts == 1:
            return [batch]
        return [tree_map(lambda tensor, part=part: tensor.tensor_split(parts)[part], batch) for part in range(parts)]

    def forward(self, batch: Batch, step: int, part: int) -> StepOutput:
        """Return the losses of one part of this process's share of a batch.

        Layers draw from (seed, step, part of the whole batch) alone. Gradients are exchanged with those of the last part.
        """
        number = processes.rank() * self.own_parts + part
        torch.manual_seed(derive_seed(self.plan.seed, "layers", step, number))  # dropout and the like
        is_last = part == self.own_parts - 1
        with self.module.no_sync() if isinstance(self.module, DistributedDataParallel) and not is_last else nullcontext():
            output: StepOutput = self.module(_place(batch, self.device), Progress(step, self.plan.total))
        return output

    def loss(self, output: StepOutput) -> Tensor:
        """Return what a part adds to the loss whose gradient is taken."""
        parts = self.own_parts
        loss = torch.stack([loss.float() for loss in output.losses.values()]).sum()
        return loss / parts if parts > 1 else loss

    def report(self, step: int, outputs: Sequence[StepOutput], batch: Batch) -> None:
        """Fetch losses and scalars, means over all parts; raise RunFailedError when a loss is not finite."""
        state = self.state
        state.losses = _average([output.losses for output in outputs])
        state.scalars = _average([output.scalars for output in outputs])
        state.learning_rate = self.rate
        own = len(batch.labeled.image) + sum(len(crop.weak) for crop in batch.unlabeled[:1])
        state.images = own * processes.count()
        if not math.isfinite(state.loss):
            named = ", ".join(f"{name} = {value:g}" for name, value in state.losses.items())
            raise RunFailedError(f"the loss of step {step} is not finite ({named})", _DIVERGED)
        state.step = step + 1

    def finish(self, step: int) -> None:
        """Do what follows the optimizer's step, before the callbacks."""
        self.method.after_step(Progress(step, self.plan.total))
        processes.share_buffers(self.method)
        self.set_rate(step + 1)

    def count(self, data_seconds: float, seconds: float) -> None:
        """Take note of how long the last step took, waiting for data included and alone."""
        self.state.data_seconds, self.state.seconds = data_seconds, seconds
        self.data_seconds += data_seconds
        self.seconds += seconds
        self.images += self.state.images

    def summary(self) -> FitSummary:
        """Return what the training says about itself at its end."""
        peak = processes.largest(cost.peak_memory(self.device))
        return FitSummary(self.plan.total, self.seconds, self.data_seconds, self.images, self.plan.device, peak)

    def set_rate(self, step: int) -> None:
        """Set the learning rate with which step ``step`` will be done."""
        recipe = self.plan.recipe
        rate = recipe.optimizer.lr * multiplier(recipe.schedule, step, self.plan.total)
        self.rate = set_learning_rate(self.optimizer, rate)

    def save(self, path: Path) -> None:
        """Write everything that resuming needs; randomness follows from the step.

        Raises RunFailedError when a weight is not finite: the last good checkpoint must outlive a diverged run.
        """
        if not all(bool(tensor.isfinite().all()) for tensor in self.method.state_dict().values() if tensor.is_floating_point()):
            raise RunFailedError(f"the weights after step {self.state.step} are not finite", _DIVERGED)
        checkpoint.save(
            path,
            {
                "step": self.state.step,
                "method": self.method.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "scaler": self.scaler.state_dict() if self.scaler is not None else {},
            },
        )

    def restore(self, path: Path) -> int:
        """Take up a checkpoint; return the number of steps done."""
        content = checkpoint.load(path)
        self.method.load_state_dict(content["method"])
        self.optimizer.load_state_dict(content["optimizer"])
        if self.scaler is not None:
            self.scaler.load_state_dict(content["scaler"])
        return int(content["step"])


def _averaging(forward: nn.Module) -> nn.Module:
    """Wrap a forward pass so that its backward pass averages gradients over the processes, where there are several.

    Parameters without a gradient need no search: a method promises that each step reaches all that it trains. The wrapper
    shares buffers before a pass; ``finish`` does after the step, so that an evaluation sees the same network everywhere.
    """
    if processes.count() == 1:
        return forward
    return DistributedDataParallel(forward)


def use_device(plan: Plan) -> None:
    """Make the plan's GPU the current one, and its precision that of matrix products."""
    device = torch.device(plan.device)
    if device.index is not None:
        torch.cuda.set_device(device)  # engines' libraries take the current GPU, whichever the plan names
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = plan.recipe.precision == "tf32"


class _Forward(nn.Module):
    """A method's forward pass in the precision of the recipe: all that is inside whatever an engine wraps around it."""

    def __init__(self, method: Method, plan: Plan) -> None:
        super().__init__()
        self.method = method
        self.device_type = torch.device(plan.device).type
        self.autocast = _HALVES.get(plan.recipe.precision)

    def forward(self, batch: Batch, progress: Progress) -> StepOutput:
        with torch.autocast(self.device_type, self.autocast, enabled=self.autocast is not None):
            output: StepOutput = self.method(batch, progress)
        return output


def _place(batch: Batch, device: torch.device) -> Batch:
    def place(tensor: Tensor) -> Tensor:
        if tensor.ndim == 4:
            return tensor.to(device, non_blocking=True, memory_format=torch.channels_last)
        return tensor.to(device, non_blocking=True)

    placed: Batch = tree_map(place, batch)
    return placed


def _average(parts: list[Mapping[str, Tensor]]) -> dict[str, float]:
    names = list(parts[0])
    if not names:
        return {}
    rows = torch.stack([torch.stack([part[name].detach().float() for name in names]) for part in parts])
    return dict(zip(names, processes.mean(rows.mean(dim=0)).tolist(), strict=True))
