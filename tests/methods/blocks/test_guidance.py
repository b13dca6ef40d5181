"""Labels from likenesses, and the losses of SemiVL, by hand on images of 2 x 2 pixels and against slow references."""

from math import log

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from semibench.methods.blocks.guidance import (
    average_confident_cross_entropy,
    guidance,
    guidance_loss,
)
from semibench.methods.blocks.losses import confident_cross_entropy
from semibench.methods.blocks.pseudo_labels import Target

VOID = 255
EVERYWHERE = torch.ones(1, 2, 2, dtype=torch.bool)


def random_logits(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


# Labels


def two_classes(*first: float) -> Tensor:
    """Return logits (1, 2, 2, 2) of which those of the second class are 0."""
    return torch.stack([torch.tensor(first).reshape(2, 2), torch.zeros(2, 2)]).unsqueeze(0)


def test_a_pixel_gets_the_class_that_is_most_likely():
    assert guidance(two_classes(20, -20, -20, 20), EVERYWHERE, 0.9, VOID).tolist() == [[[0, 1], [1, 0]]]


def test_it_gets_none_where_that_class_is_less_likely_than_the_threshold():
    nine_to_one = log(9)
    label = guidance(
        two_classes(nine_to_one + 0.01, nine_to_one - 0.01, 0.01 - nine_to_one, -0.01 - nine_to_one), EVERYWHERE, 0.9, VOID
    )
    assert label.tolist() == [[[0, VOID], [VOID, 1]]]


def test_padding_gets_no_label():
    valid = torch.tensor([[[True, False], [True, True]]])
    assert guidance(two_classes(20, 20, 20, 20), valid, 0.9, VOID).tolist() == [[[0, VOID], [0, 0]]]


# Losses


def test_the_loss_is_shared_by_all_pixels_even_those_without_a_label():
    label = torch.tensor([[[1, VOID], [VOID, VOID]]])
    logits = torch.zeros(1, 2, 2, 2)
    logits[:, 1] = log(3)
    assert guidance_loss(logits, label, VOID).item() == pytest.approx(log(4 / 3) / 4)


def test_no_label_at_all_is_a_loss_of_0_with_a_graph():
    logits = torch.zeros(1, 2, 2, 2, requires_grad=True)
    loss = guidance_loss(logits, torch.full((1, 2, 2), VOID), VOID)
    loss.backward()
    assert loss.item() == 0


def target(confidence: list[list[list[float]]], valid: Tensor) -> Target:
    return Target(torch.zeros(valid.shape, dtype=torch.int64), torch.tensor(confidence), valid)


def test_an_image_weighs_by_its_mean_confidence():
    wanted = target([[[1.0, 0.8], [0.6, 0.4]]], EVERYWHERE)
    assert average_confident_cross_entropy(torch.zeros(1, 2, 2, 2), wanted).item() == pytest.approx(0.7 * log(2))


def test_padding_counts_in_the_sum_alone():
    valid = torch.tensor([[[True, True], [False, False]]])
    wanted = target([[[1.0, 0.8], [0.0, 0.0]]], valid)
    assert average_confident_cross_entropy(torch.zeros(1, 2, 2, 2), wanted).item() == pytest.approx(0.9 * 4 * log(2) / 2)


def test_the_loss_of_several_images_is_the_mean_of_each_alone():
    logits = random_logits(3, 4, 2, 2)
    valid = torch.tensor([[[1, 1], [1, 1]], [[1, 0], [1, 0]], [[0, 0], [0, 1]]]).bool()
    wanted = Target(torch.randint(4, (3, 2, 2)), torch.rand(3, 2, 2), valid)
    alone = []
    for index in range(3):
        pixels = F.cross_entropy(logits[[index]], wanted.label[[index]], reduction="none")
        alone.append(pixels.sum() * wanted.confidence[index][valid[index]].mean() / valid[index].sum())
    found = average_confident_cross_entropy(logits, wanted)
    assert found.item() == pytest.approx(torch.stack(alone).mean().item(), rel=1e-5)


def test_an_image_that_is_all_padding_gives_0():
    wanted = target([[[1.0] * 2] * 2], torch.zeros(1, 2, 2, dtype=torch.bool))
    assert average_confident_cross_entropy(torch.zeros(1, 2, 2, 2), wanted).item() == 0


def test_both_weightings_agree_where_every_pixel_is_valid_and_certain():
    logits = random_logits(2, 3, 2, 2)
    wanted = target([[[1.0] * 2] * 2] * 2, EVERYWHERE.expand(2, 2, 2))
    expected = confident_cross_entropy(logits, *wanted, 0.95)
    assert average_confident_cross_entropy(logits, wanted).item() == pytest.approx(expected.item())
