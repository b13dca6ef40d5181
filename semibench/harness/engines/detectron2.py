"""The Detectron2 engine: its SimpleTrainer or AMPTrainer carries out the steps, its hooks what goes with them.

Read: its train_loop.py and hooks.py at 02b5c4e. Its trainers call ``forward``, ``zero_grad``, ``backward`` and the
optimizer's step in the order of the contract; a hook of ours does the rest. ``IterationTimer`` and ``PeriodicWriter`` feed
Detectron2's own log; callbacks do what ``LRScheduler``, ``PeriodicCheckpointer`` and ``EvalHook`` would. Only a batch that is
accumulated from parts has a ``run_step`` of its own.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any  # Detectron2 has no types

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler

from semibench.harness.catalogs import register as register  # for Detectron2's own users, who look for it here
from semibench.harness.engines._training import Training, use_device
from semibench.harness.engines.base import Batches, Callback, Engine, FitSummary, Plan
from semibench.methods.method import Batch, Method, StepOutput
from semibench.methods.networks import _detectron2

_PERIOD = 20  # steps between lines of Detectron2's log, as in its default trainer


class Detectron2Engine(Engine):
    """Trains under Detectron2; raises MissingPackageError when it is not there."""

    def __init__(self) -> None:
        self.package = _detectron2.load("detectron2.engine", "use --engine native")

    def fit(
        self, method: Method, batches: Batches, plan: Plan, callbacks: Sequence[Callback], *, resume_from: Path | None
    ) -> FitSummary:
        """Train ``method`` in place; see ``Engine.fit``."""
        use_device(plan)
        training = Training(method, plan, GradScaler(torch.device(plan.device).type, enabled=plan.recipe.precision == "fp16"))
        start = training.start(resume_from)
        model = _Losses(training, batches)
        trainer = self._trainer(model)
        writer = _detectron2.load("detectron2.utils.events").CommonMetricPrinter(plan.total)
        hook = type("StepHook", (_StepHook, self.package.HookBase), {})(model, callbacks)
        trainer.register_hooks(
            [self.package.hooks.IterationTimer(), hook, self.package.hooks.PeriodicWriter([writer], period=_PERIOD)]
        )
        with _no_tracebacks():
            trainer.train(start, plan.total)
        return training.summary()

    def _trainer(self, model: "_Losses") -> Any:
        """Return the trainer of Detectron2 that the recipe needs."""
        training, package = model.training_state, self.package
        common = {"model": model, "data_loader": model, "optimizer": training.optimizer, "gather_metric_period": _PERIOD}
        if training.own_parts > 1:
            return type("AccumulatingTrainer", (_Accumulating, package.SimpleTrainer), {})(**common)
        if training.scaler is not None and training.scaler.is_enabled():
            return package.AMPTrainer(**common, grad_scaler=training.scaler)
        return package.SimpleTrainer(**common)


class _Losses(nn.Module):
    """A training as Detectron2's trainers want it: an iterable of batches, and a module that makes losses of one."""

    def __init__(self, training: Training, batches: Batches) -> None:
        super().__init__()
        self.module = training.module
        self.training_state = training
        self.batches = batches
        self.outputs: list[StepOutput] = []  # of the parts of the step under way
        self.batch: Batch
        self.step = training.state.step
        self.began = self.data_seconds = 0.0

    def __iter__(self) -> Iterator[Batch]:
        """Yield the batches from the first step on, and take note of the time."""
        source = self.batches(self.step)
        for step in range(self.step, self.training_state.plan.total):
            self.step, self.began = step, time.perf_counter()
            self.batch, self.outputs = next(source), []
            self.data_seconds = time.perf_counter() - self.began
            yield self.batch

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return the losses of one part of a step."""
        output = self.training_state.forward(batch, self.step, part=len(self.outputs))
        self.outputs.append(output)
        return {name: loss.float() for name, loss in output.losses.items()}


class _StepHook:
    """What of a step is not the trainer's; becomes a hook when it is mixed with Detectron2's HookBase."""

    trainer: Any

    def __init__(self, model: _Losses, callbacks: Sequence[Callback]) -> None:
        self.model = model
        self.training = model.training_state
        self.callbacks = callbacks

    def before_train(self) -> None:
        for callback in self.callbacks:
            callback.on_start(self.training.state)

    def after_backward(self) -> None:
        training, clip_norm = self.training, self.training.plan.recipe.clip_norm
        training.report(self.model.step, self.model.outputs, self.model.batch)
        if clip_norm is not None:
            if training.scaler is not None:
                training.scaler.unscale_(training.optimizer)
            torch.nn.utils.clip_grad_norm_(training.method.parameters(), clip_norm)

    def after_step(self) -> None:
        training = self.training
        training.finish(self.model.step)
        training.count(self.model.data_seconds, time.perf_counter() - self.model.began)
        self.trainer.storage.put_scalar("lr", training.state.learning_rate, smoothing_hint=False)
        for callback in self.callbacks:
            callback.on_step(training.state)


class _Accumulating:
    """The step of a batch in parts, each with a backward pass; becomes a trainer when it is mixed with SimpleTrainer."""

    model: _Losses
    optimizer: torch.optim.Optimizer
    after_backward: Any  # what SimpleTrainer has
    _data_loader_iter: Iterator[Batch]
    _write_metrics: Any

    def run_step(self) -> None:
        training = self.model.training_state
        scaler = training.scaler or GradScaler(enabled=False)
        for part, micro in enumerate(training.parts(next(self._data_loader_iter))):
            self.model(micro)
            if part == 0:
                self.optimizer.zero_grad()
            loss: Tensor = scaler.scale(training.loss(self.model.outputs[part]))
            loss.backward()  # type: ignore[no-untyped-call]
        self.after_backward()
        losses = {name: torch.tensor(value) for name, value in training.state.losses.items()}
        self._write_metrics(losses, self.model.data_seconds)
        scaler.step(self.optimizer)
        scaler.update()


@contextmanager
def _no_tracebacks() -> Iterator[None]:
    """Keep Detectron2 from printing the traceback of an error that it raises again, and that is told where it is caught."""

    def is_news(record: logging.LogRecord) -> bool:
        return record.exc_info is None

    logger = logging.getLogger("detectron2.engine.train_loop")
    logger.addFilter(is_news)
    try:
        yield
    finally:
        logger.removeFilter(is_news)
