"""Optimizers from recipes."""

from types import SimpleNamespace

import torch
from torch import nn
from torch.optim import Optimizer

from semibench.harness.optimizers import build_optimizer
from semibench.methods.networks.base import ParameterGroup
from semibench.protocols.recipe import SGD


def build(counts: dict[str, int], rules: dict[str, dict[str, float]], weight_decay: float = 0.0) -> Optimizer:
    """Build one over groups of so many parameters each."""
    groups = [ParameterGroup(name, [nn.Parameter(torch.zeros(1)) for _ in range(count)]) for name, count in counts.items()]
    method = SimpleNamespace(parameter_groups=lambda: groups)
    return build_optimizer(
        method, SGD.model_validate({"name": "sgd", "lr": 0.1, "momentum": 0.9, "weight_decay": weight_decay, "groups": rules})
    )


def test_groups_scale_the_rate_and_replace_the_weight_decay() -> None:
    (group,) = build({"all": 3}, {"all": {"lr_multiplier": 10, "weight_decay": 0.0}}, weight_decay=1.0).param_groups
    assert (group["lr"], group["weight_decay"]) == (1.0, 0.0)


def test_biases_without_a_rule_of_their_own_follow_that_of_their_group() -> None:
    optimizer = build({"decoder": 1, "decoder_biases": 5}, {"decoder": {"lr_multiplier": 10}})
    assert [group["lr"] for group in optimizer.param_groups] == [1.0, 1.0]


def test_a_group_of_which_nothing_is_trained_is_left_out_with_its_rule() -> None:
    (group,) = build({"encoder": 0, "all": 6}, {"encoder": {"lr_multiplier": 10}, "all": {"lr_multiplier": 2}}).param_groups
    assert group["lr"] == 0.2
