"""Passing images through a network without leaving a trace."""

from copy import deepcopy

import pytest
import torch
from torch import nn

from semibench.methods.blocks.modes import evaluating, keeping_statistics


@pytest.fixture
def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Dropout(0.5)).train()


@pytest.fixture
def image() -> torch.Tensor:
    return 5 + torch.randn(4, 3, 2, 2)


def test_every_module_gets_its_own_mode_back(network: nn.Sequential) -> None:
    network[1].eval()  # a frozen part
    with evaluating(network):
        assert not any(module.training for module in network.modules())
    assert [module.training for module in network.modules()] == [True, True, False, True]


def test_the_mode_comes_back_after_an_error(network: nn.Sequential) -> None:
    with pytest.raises(ValueError, match="wrong"), evaluating(network):
        raise ValueError("wrong")
    assert network.training


def test_kept_statistics_do_not_depend_on_the_images(network: nn.Sequential, image: torch.Tensor) -> None:
    before = deepcopy(network.state_dict())
    with keeping_statistics(network):
        network(image)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    network(image)
    assert not torch.equal(network[1].running_mean, before["1.running_mean"])
    assert network[1].num_batches_tracked == 1


def test_the_batch_s_own_statistics_are_used_while_the_running_ones_are_kept(
    network: nn.Sequential, image: torch.Tensor
) -> None:
    with keeping_statistics(network[:2]):
        kept = network[:2](image)
    assert torch.equal(kept, network[:2](image))
    assert kept.mean(dim=(0, 2, 3)).abs().max() < 1e-5


def test_a_layer_that_is_frozen_goes_on_using_its_running_statistics(network: nn.Sequential, image: torch.Tensor) -> None:
    network[1].eval()
    expected = network[:2](image)
    with keeping_statistics(network[:2]):
        assert torch.equal(network[:2](image), expected)
