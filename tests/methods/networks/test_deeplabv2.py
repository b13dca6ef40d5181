"""DeepLabV2 against the reference figures of kazuto1011/deeplab-pytorch, ResNet-101, 21 classes."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from semibench.methods.networks.base import Network
from semibench.methods.networks.deeplabv2 import DeepLabV2
from semibench.plugins import NETWORK, find_class


@pytest.fixture(scope="module")
def reference() -> DeepLabV2:
    with torch.device("meta"):
        return DeepLabV2(DeepLabV2.Config(multi_grid=(1, 1, 1)), 21).eval()


@pytest.fixture
def small() -> DeepLabV2:
    torch.manual_seed(0)
    return DeepLabV2(DeepLabV2.Config(encoder="tiny", rates=(1, 2)), 5)


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_parameters_are_as_many_as_the_reference_has(reference: DeepLabV2) -> None:
    assert count(reference) == 44_048_532
    assert [count(classifier) for classifier in reference.classifiers] == [387_093] * 4
    stages = [count(getattr(reference.encoder, f"layer{stage}")) for stage in (1, 2, 3, 4)]
    assert stages == [215_808, 1_219_584, 26_090_496, 14_964_736]
    assert count(reference.encoder) - sum(stages) == 9_536


def test_operations_at_321_x_321_are_those_of_the_reference(reference: DeepLabV2) -> None:
    with FlopCounterMode(display=False) as counter:
        reference(torch.empty(1, 3, 321, 321, device="meta"))
    counts = counter.get_flop_counts()
    names = ("DeepLabV2", "DeepLabV2.encoder.layer3", "DeepLabV2.encoder.layer4")
    # Theirs include norms; ours stride in the 3x3 convolutions, which adds a quarter of a percent.
    assert [sum(counts[name].values()) / 2e9 for name in names] == pytest.approx([75.330, 43.858, 25.156], rel=0.01)
    classifiers = sum(sum(counts[f"DeepLabV2.classifiers.{index}"].values()) for index in range(4))
    assert classifiers / 2e9 == pytest.approx(2.603, abs=0.001)


@pytest.mark.parametrize(("size", "grid"), [(321, 41), (513, 65)])
def test_the_grid_is_an_eighth_of_the_image(reference: DeepLabV2, size: int, grid: int) -> None:
    features = reference.encode(torch.empty(1, 3, size, size, device="meta"))
    assert reference.classify(features).shape == (1, 21, grid, grid)


def test_the_rates_are_2_and_4_in_the_dilated_stages(reference: DeepLabV2) -> None:
    def rates(stage: nn.Module) -> list[int]:
        return [layer.dilation[0] for layer in stage.modules() if isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3)]

    assert rates(reference.encoder.layer3) == [1] + [2] * 22  # the first keeps the rate before, see the docstring
    assert rates(reference.encoder.layer4) == [4, 4, 4]


def test_logits_are_the_sum_of_the_classifiers(small: DeepLabV2) -> None:
    high = torch.rand(2, 48, 5, 7)
    expected = small.classifiers[0](high) + small.classifiers[1](high)
    assert torch.allclose(small.classify((high,)), expected, atol=1e-6)


def test_classifiers_start_small_with_a_bias_of_zero(small: DeepLabV2) -> None:
    for classifier in small.classifiers:
        assert classifier.weight.std().item() == pytest.approx(0.01, rel=0.1)
        assert (classifier.bias == 0).all()


def test_biases_of_the_decoder_are_a_group_of_their_own(small: DeepLabV2) -> None:
    groups = {group.name: group.parameters for group in small.parameter_groups()}
    assert [parameter.shape for parameter in groups["decoder_biases"]] == [(5,), (5,)]
    assert [parameter.ndim for parameter in groups["decoder"]] == [4, 4]
    assert sum(map(len, groups.values())) == len(list(small.parameters()))


def test_forward_is_decode_after_encode(small: DeepLabV2) -> None:
    image = torch.rand(2, 3, 40, 56)
    small.eval()
    features = small.encode(image)
    logits = small.resize(small.classify(features), (40, 56))
    assert torch.equal(small(image), logits)
    assert logits.shape == (2, 5, 40, 56)


def test_the_network_is_found_by_its_file_name() -> None:
    assert find_class(NETWORK, "deeplabv2", Network) is DeepLabV2
