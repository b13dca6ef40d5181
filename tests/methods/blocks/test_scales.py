"""Ensembles of predictions at several scales."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from semibench.methods.blocks.scales import ensemble, scaled_side

SCALES = (0.75, 1.0, 1.25)


class Recorder(nn.Conv2d):
    """A network of three classes that remembers what it was shown."""

    def __init__(self) -> None:
        super().__init__(3, 3, 3, padding=1)
        self.shown: list[Tensor] = []

    def forward(self, image: Tensor) -> Tensor:
        self.shown.append(image)
        return super().forward(image)


@pytest.fixture
def network() -> Recorder:
    torch.manual_seed(0)
    return Recorder()


@pytest.fixture
def image() -> Tensor:
    return 3 * torch.randn(2, 3, 33, 49, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("side", "expected"),
    [(321, [241, 321, 401]), (801, [609, 801, 1009]), (513, [385, 513, 641])],
)
def test_scaled_sides_are_those_of_the_specification(side: int, expected: list[int]) -> None:
    assert [scaled_side(side, scale) for scale in SCALES] == expected


@given(st.integers(1, 2000), st.floats(0.1, 3))
def test_scaled_sides_meet_the_grid_of_the_network(side: int, scale: float) -> None:
    assert scaled_side(side, scale) % 16 == 1
    assert scaled_side(side, scale) >= 17


def test_one_scale_is_the_plain_softmax(network: Recorder, image: Tensor) -> None:
    with torch.no_grad():
        assert torch.equal(ensemble(network, image, (1.0,)), network(image).softmax(dim=1))


def test_at_scale_one_the_network_sees_the_image_itself_and_else_the_image_resized(network: Recorder, image: Tensor) -> None:
    ensemble(network, image, SCALES)
    smaller, same, larger = network.shown
    assert same is image
    assert torch.equal(smaller, F.interpolate(image, (33, 33), mode="bilinear", align_corners=True))
    assert larger.shape[-2:] == (49, 65)


def test_probabilities_of_all_scales_have_image_size_and_sum_to_one(network: Recorder, image: Tensor) -> None:
    probabilities = ensemble(network, image, SCALES)
    assert probabilities.shape == (2, 3, 33, 49)
    assert torch.allclose(probabilities.sum(dim=1), torch.ones(2, 33, 49), atol=1e-5)


def test_the_order_of_the_scales_does_not_matter(network: Recorder, image: Tensor) -> None:
    assert torch.allclose(ensemble(network, image, SCALES), ensemble(network, image, SCALES[::-1]), atol=1e-6)


def test_the_ensemble_is_never_surer_than_the_surest_scale_and_keeps_a_common_label(network: Recorder, image: Tensor) -> None:
    each = torch.stack([ensemble(network, image, (scale,)) for scale in SCALES])
    confidence, label = ensemble(network, image, SCALES).max(dim=1)
    assert (confidence <= each.amax(dim=(0, 2)) + 1e-6).all()
    labels = each.argmax(dim=2)
    is_common = (labels == labels[0]).all(dim=0)
    assert 0 < is_common.sum() < is_common.numel()
    assert torch.equal(label[is_common], labels[0][is_common])


def test_a_constant_prediction_is_kept_whatever_the_scales(network: Recorder, image: Tensor) -> None:
    nn.init.zeros_(network.weight)
    constant = network.bias.softmax(dim=0).reshape(1, 3, 1, 1)
    for scales in ((1.0,), SCALES, (0.5, 2.0)):
        assert torch.allclose(ensemble(network, image, scales), constant.expand(2, 3, 33, 49), atol=1e-6)


def test_every_scale_weighs_the_same(network: Recorder, image: Tensor) -> None:
    each = [ensemble(network, image, (scale,)) for scale in SCALES]
    assert torch.allclose(ensemble(network, image, SCALES), sum(each) / 3, atol=1e-6)
