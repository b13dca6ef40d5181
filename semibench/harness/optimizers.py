"""Optimizers from recipes, the same under every engine."""

from typing import Any

import torch
from torch.optim import Optimizer

from semibench.errors import unknown
from semibench.methods.method import Method
from semibench.protocols.recipe import SGD, AdamW, GroupRule


def build_optimizer(method: Method, settings: SGD | AdamW) -> Optimizer:
    """Build the optimizer over the method's parameter groups.

    Each group carries its ``lr_multiplier``.

    ``decoder_biases`` without a rule of its own follows ``decoder``. A group in which nothing is trained is left out, and so is
    its rule. Raises UsageError when the recipe names a group that the method does not have.
    """
    groups = method.parameter_groups()
    for name in settings.groups:
        if name not in {group.name for group in groups}:
            known = [group.name for group in groups]
            raise unknown("parameter group", name, known, "Correct recipe.optimizer.groups.")
    parameters: list[dict[str, Any]] = []
    for group in groups:
        trained = [parameter for parameter in group.parameters if parameter.requires_grad]
        if not trained:
            continue
        whole = group.name.partition("_")[0]
        rule = settings.groups.get(group.name) or settings.groups.get(whole) or GroupRule()
        decay = settings.weight_decay if rule.weight_decay is None else rule.weight_decay
        parameters.append(
            {
                "params": trained,
                "lr": settings.lr * rule.lr_multiplier,
                "lr_multiplier": rule.lr_multiplier,
                "weight_decay": decay,
            }
        )
    if isinstance(settings, SGD):
        return torch.optim.SGD(parameters, lr=settings.lr, momentum=settings.momentum, nesterov=settings.nesterov)
    return torch.optim.AdamW(parameters, lr=settings.lr, betas=settings.betas)


def set_learning_rate(optimizer: Optimizer, rate: float) -> float:
    """Set every group's rate to ``rate`` times its multiplier; return that of the first group."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["lr_multiplier"]
    return float(optimizer.param_groups[0]["lr"])
