"""Networks that are asked and not trained."""

from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

from semibench.methods.networks._frozen import Frozen
from semibench.methods.networks.deeplabv3plus import DeepLabV3Plus

SMALL = {"encoder": "tiny", "output_stride": 8, "rates": (1,), "channels": 8, "low_channels": 4}


@pytest.fixture
def network() -> DeepLabV3Plus:
    torch.manual_seed(0)
    return DeepLabV3Plus(DeepLabV3Plus.Config.model_validate(SMALL), 3)


@pytest.fixture
def image() -> Tensor:
    return torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))


class Method(nn.Module):
    def __init__(self, teacher: Frozen) -> None:
        super().__init__()
        self.own = nn.Linear(1, 1)
        self.teacher = teacher


def test_it_is_in_neither_state_nor_parameters(network: DeepLabV3Plus) -> None:
    method = Method(Frozen(network))
    assert set(method.state_dict()) == {"own.weight", "own.bias"}
    assert len(list(method.parameters())) == 2
    method.load_state_dict(method.state_dict())


def test_training_mode_does_not_reach_it(network: DeepLabV3Plus) -> None:
    Method(Frozen(network)).train()
    assert not any(module.training for module in network.modules())


@pytest.mark.parametrize("statistics", ["running", "batch"])
def test_asking_changes_nothing_and_needs_no_gradient(network: DeepLabV3Plus, image: Tensor, statistics) -> None:
    before = deepcopy(network.state_dict())
    method = Method(Frozen(network, statistics)).train()
    outputs = [method.teacher(image), method.teacher.label(image), method.teacher.represent(image)]
    assert not any(output.requires_grad for output in outputs)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in network.parameters())


def test_running_statistics_give_the_logits_of_evaluation_mode(network: DeepLabV3Plus, image: Tensor) -> None:
    expected = deepcopy(network).eval()(image)
    assert torch.equal(Frozen(network)(image), expected)


def test_statistics_of_the_batch_give_the_logits_of_training_mode(network: DeepLabV3Plus, image: Tensor) -> None:
    expected = deepcopy(network).train()(image)
    assert torch.allclose(Frozen(network, "batch")(image), expected, atol=1e-6)


def test_it_labels_by_the_highest_logit_and_represents_what_the_classifier_reads(network: DeepLabV3Plus, image: Tensor) -> None:
    teacher = Frozen(network)
    assert torch.equal(teacher.label(image), teacher(image).argmax(dim=1))
    logits = network.resize(network.classify(teacher.represent(image)), (32, 32))
    assert torch.equal(logits, teacher(image))


def test_it_moves_with_the_module_that_has_it(network: DeepLabV3Plus) -> None:
    Method(Frozen(network)).double()
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float64}
