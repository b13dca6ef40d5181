"""Detectron2 for tests of its engine: the package where it is installed, and a stand-in with its documented hook order."""

from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

import pytest
from torch import nn
from torch.optim import Optimizer

from semibench.methods.networks import _detectron2


class HookBase:
    trainer: Any

    def before_train(self) -> None: ...
    def before_step(self) -> None: ...
    def after_backward(self) -> None: ...
    def after_step(self) -> None: ...
    def after_train(self) -> None: ...


class SimpleTrainer:
    def __init__(self, model: nn.Module, data_loader: Iterable[Any], optimizer: Optimizer, gather_metric_period: int) -> None:
        self.model = model.train()
        self.optimizer = optimizer
        self._data_loader_iter = iter(data_loader)
        self.hooks: list[HookBase] = []
        self.storage = SimpleNamespace(put_scalar=lambda *args, **kwargs: None)

    def register_hooks(self, hooks: list[HookBase]) -> None:
        for hook in hooks:
            hook.trainer = self
        self.hooks += hooks

    def train(self, start: int, total: int) -> None:
        self.tell("before_train")
        for _ in range(start, total):
            self.tell("before_step")
            self.run_step()
            self.tell("after_step")
        self.tell("after_train")

    def run_step(self) -> None:
        losses = self.model(next(self._data_loader_iter))
        self.optimizer.zero_grad()
        sum(losses.values()).backward()
        self.after_backward()
        self.optimizer.step()

    def after_backward(self) -> None:
        self.tell("after_backward")

    def tell(self, moment: str) -> None:
        for hook in self.hooks:
            getattr(hook, moment)()

    def _write_metrics(self, losses: object, data_seconds: float) -> None: ...


def stand_in(module: str, instead: str = "") -> Any:
    if module == "detectron2.utils.events":
        return SimpleNamespace(CommonMetricPrinter=lambda total: None)
    hooks = SimpleNamespace(IterationTimer=HookBase, PeriodicWriter=lambda writers, period: HookBase())
    return SimpleNamespace(SimpleTrainer=SimpleTrainer, HookBase=HookBase, hooks=hooks)


@pytest.fixture(params=["stand-in", "package"])
def either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Detectron2, or what stands in for it."""
    if request.param == "package":
        return request.getfixturevalue("detectron2")
    monkeypatch.setattr(_detectron2, "load", stand_in)
    return stand_in
