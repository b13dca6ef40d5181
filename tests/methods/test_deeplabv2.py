"""DeepLabV2 as a baseline: its losses at several scales by hand, its predictor, and the CRF after it."""

from math import log

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from semibench.errors import UsageError
from semibench.harness.cost import count_operations
from semibench.methods.blocks import dense_crf
from semibench.methods.deeplabv2 import DeepLabV2, maximum, scaled_logits
from semibench.methods.method import Batch, Labeled, Progress, Task
from semibench.methods.networks import deeplabv2
from semibench.methods.networks.base import RefiningPredictor

START = Progress(0, 10)


@pytest.fixture
def task() -> Task:
    torch.manual_seed(0)
    small = deeplabv2.DeepLabV2.Config(encoder="tiny", rates=(1, 2))
    return Task("tiny", ("background", "ring"), 255, (32, 32), lambda: deeplabv2.DeepLabV2(small, 2))


@pytest.fixture
def method(task: Task) -> DeepLabV2:
    return DeepLabV2(DeepLabV2.Config(), task).train()


def image(count: int = 2) -> Tensor:
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def batch(mask: Tensor) -> Batch:
    return Batch(Labeled(image(len(mask)), mask, torch.arange(len(mask))))


def test_there_is_a_loss_for_each_scale_and_for_their_maximum(method: DeepLabV2) -> None:
    output = method(batch(torch.ones(2, 32, 32, dtype=torch.int64)), START)
    assert set(output.losses) == {"scale_1", "scale_0.75", "scale_0.5", "maximum"}


def test_each_loss_is_the_cross_entropy_at_the_grid_of_its_scale(method: DeepLabV2) -> None:
    with torch.no_grad():
        for classifier, bias in zip(method.network.classifiers, (0.0, log(3)), strict=True):
            classifier.weight.zero_()
            classifier.bias.copy_(torch.tensor([0.0, bias]))
    mask = torch.ones(2, 32, 32, dtype=torch.int64)
    mask[1] = 0
    losses = method(batch(mask), START).losses.values()
    assert [loss.item() for loss in losses] == pytest.approx([(log(4 / 3) + log(4)) / 2] * 4)


def test_labels_are_taken_from_the_nearest_pixel_and_void_ones_left_out(method: DeepLabV2) -> None:
    mask = torch.full((2, 32, 32), 255)
    mask[:, ::8, ::8] = 1  # where the grid of 4 x 4 looks
    logits = method.network.classify(method.network.encode(image()))
    loss = method(batch(mask), START).losses["scale_1"]
    assert loss.item() == pytest.approx(F.cross_entropy(logits, torch.ones(2, 4, 4, dtype=torch.int64)).item(), rel=1e-4)


def test_the_maximum_is_taken_of_each_class_at_the_grid_of_the_full_image() -> None:
    full, half = torch.zeros(1, 2, 4, 4), torch.zeros(1, 2, 2, 2)
    half[0, 0], full[0, 1] = 1, 2
    merged = maximum([full, half])
    assert merged.shape == (1, 2, 4, 4)
    assert (merged[0, 0] == 1).all()
    assert (merged[0, 1] == 2).all()


def test_the_predictor_takes_the_maximum_over_scales(method: DeepLabV2) -> None:
    method.eval()
    (predictor,) = method.predictors().values()
    with torch.no_grad():
        expected = method.network.resize(maximum(scaled_logits(method.network, image(), (0.5, 0.75))), (32, 32))
        assert torch.equal(predictor(image()), expected)


def test_without_smaller_scales_it_is_the_plain_network(task: Task) -> None:
    method = DeepLabV2(DeepLabV2.Config(scales=()), task).eval()
    (predictor,) = method.predictors().values()
    with torch.no_grad():
        assert torch.equal(predictor(image()), method.network(image()))
    assert set(method.train()(batch(torch.ones(2, 32, 32, dtype=torch.int64)), START).losses) == {"scale_1"}


def test_a_crf_is_a_step_after_the_predictor_that_costs_do_not_include(task: Task) -> None:
    plain, refining = (DeepLabV2(DeepLabV2.Config(crf=crf), task) for crf in (None, dense_crf.DenseCrf()))
    (without,), (with_crf,) = plain.predictors().values(), refining.predictors().values()
    assert not isinstance(without, RefiningPredictor)
    assert isinstance(with_crf, RefiningPredictor)
    assert count_operations(with_crf, (32, 32)) == count_operations(without, (32, 32))
    probabilities = np.full((2, 32, 32), 0.5, np.float32)
    pixels = np.zeros((32, 32, 3), np.uint8)
    assert np.array_equal(with_crf.refine(probabilities, pixels), dense_crf.refine(probabilities, pixels, dense_crf.DenseCrf()))


def test_the_published_crf_has_the_parameters_of_the_reference() -> None:
    assert dense_crf.DenseCrf().model_dump() == {
        "bilateral_weight": 4,
        "bilateral_space": 67,
        "bilateral_color": 3,
        "spatial_weight": 3,
        "spatial_space": 1,
        "iterations": 10,
    }


def test_another_network_is_refused(readable_task: Task) -> None:
    with pytest.raises(UsageError, match=r"about the network of its name\. Set network\.name to deeplabv2"):
        DeepLabV2(DeepLabV2.Config(), readable_task)
