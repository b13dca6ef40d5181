from copy import deepcopy

import pytest
import torch
from torch import nn

from semibench.methods.networks._norm import set_norm
from semibench.methods.networks.deeplabv3plus import DeepLabV3Plus


def build(encoder: str = "tiny") -> DeepLabV3Plus:
    torch.manual_seed(0)
    return DeepLabV3Plus(DeepLabV3Plus.Config(encoder=encoder, output_stride=8, rates=(1, 2), channels=16, low_channels=8), 4)


def norms(network: nn.Module) -> list[nn.Module]:
    return [module for module in network.modules() if "BatchNorm" in type(module).__name__]


IMAGE = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("kind", ["bn", "syncbn", "frozen"])
def test_no_kind_changes_a_name_or_what_the_network_computes(kind):
    network = build("mobilenetv2").eval()
    names, expected = list(network.state_dict()), network(IMAGE)
    changed = set_norm(network, kind).eval()
    assert list(changed.state_dict()) == names
    assert torch.equal(changed(IMAGE), expected)


def test_plain_layers_learn_their_statistics():
    network = set_norm(build(), "bn").train()
    network(IMAGE)
    assert all(layer.running_mean.any() for layer in norms(network))


def test_synchronized_layers_replace_all_others():
    network = set_norm(build("mobilenetv2"), "syncbn")
    assert norms(network)
    assert all(isinstance(layer, nn.SyncBatchNorm) for layer in norms(network))


@pytest.mark.parametrize("copied", [False, True], ids=["itself", "a copy, as a teacher is"])
def test_frozen_layers_stay_in_evaluation_mode_when_the_network_trains(copied):
    network = set_norm(build(), "frozen")
    network = deepcopy(network) if copied else network
    expected = network.eval()(IMAGE)
    assert torch.equal(network.train()(IMAGE), expected)
    assert not any(layer.running_mean.any() for layer in norms(network))


def test_frozen_layers_are_not_trained():
    network = set_norm(build(), "frozen")
    frozen = {id(parameter) for layer in norms(network) for parameter in layer.parameters()}
    trained = {id(parameter) for group in network.parameter_groups() for parameter in group.parameters}
    assert frozen
    assert not frozen & trained


def test_a_frozen_network_takes_a_single_image():
    assert set_norm(build(), "frozen").train()(IMAGE[:1]).shape == (1, 4, 32, 32)
