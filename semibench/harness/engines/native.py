"""The native engine: a plain loop on Accelerate, in one process or as one of several."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from semibench.harness.engines._training import Training, use_device
from semibench.harness.engines.base import Batches, Callback, Engine, FitSummary, Plan
from semibench.methods.method import Batch, Method


class NativeEngine(Engine):
    """Runs the loop itself and leaves devices and gradient scaling to Accelerate."""

    def fit(
        self, method: Method, batches: Batches, plan: Plan, callbacks: Sequence[Callback], *, resume_from: Path | None
    ) -> FitSummary:
        """Train ``method`` in place; see ``Engine.fit``."""
        with _accelerator(plan) as accelerator:
            loop = _Loop(accelerator, Training(method, plan, accelerator.scaler))
            start = loop.training.start(resume_from)
            return loop.run(batches, start, callbacks)


class _Loop:
    """The steps of one training."""

    def __init__(self, accelerator: Accelerator, training: Training) -> None:
        self.accelerator = accelerator
        self.training = training
        self.optimizer = accelerator.prepare_optimizer(training.optimizer, device_placement=False)

    def run(self, batches: Batches, start: int, callbacks: Sequence[Callback]) -> FitSummary:
        """Carry out the steps from ``start`` to the end of the plan."""
        state, plan = self.training.state, self.training.plan
        for callback in callbacks:
            callback.on_start(state)
        iterator = batches(start)
        for step in range(start, plan.total):
            began = time.perf_counter()
            batch = next(iterator)
            data_seconds = time.perf_counter() - began
            self.step(batch, step)
            self.training.count(data_seconds, time.perf_counter() - began)
            for callback in callbacks:
                callback.on_step(state)
        return self.training.summary()

    def step(self, batch: Batch, step: int) -> None:
        """Do one optimizer step, in the order that every engine keeps."""
        training, outputs = self.training, []
        for part, micro in enumerate(training.parts(batch)):
            output = training.forward(micro, step, part)
            if part == 0:
                self.optimizer.zero_grad(set_to_none=True)
            self.accelerator.backward(training.loss(output))
            outputs.append(output)
        training.report(step, outputs, batch)
        clip_norm = training.plan.recipe.clip_norm
        if clip_norm is not None:
            self.accelerator.clip_grad_norm_(training.method.parameters(), clip_norm)
        self.optimizer.step()
        training.finish(step)


@contextmanager
def _accelerator(plan: Plan) -> Iterator[Accelerator]:
    """Yield an Accelerator for this plan alone: Accelerate keeps its state in the process and refuses a second precision."""
    use_device(plan)
    precision = plan.recipe.precision
    AcceleratorState._reset_state(reset_partial_state=True)
    try:
        yield Accelerator(
            cpu=torch.device(plan.device).type == "cpu",
            mixed_precision=precision if precision in ("bf16", "fp16") else "no",
            device_placement=False,
        )
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)
