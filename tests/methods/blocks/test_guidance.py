"""Labels from likenesses, and the losses of SemiVL, by hand on images of 2 x 2 pixels and against slow references."""

from math import exp, log

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


def likeness(*maps: list[list[float]]) -> Tensor:
    return torch.tensor(maps).unsqueeze(0)


def random_logits(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


# Labels


def test_a_pixel_gets_the_class_that_is_most_like_it():
    label = guidance(likeness([[0.3, 0.1], [0.1, 0.3]], [[0.1, 0.3], [0.3, 0.1]]), EVERYWHERE, 0.9, VOID)
    assert label.tolist() == [[[0, 1], [1, 0]]]


@pytest.mark.parametrize("difference, expected", [(0.0219, VOID), (0.0220, 0)], ids=["below", "above"])
def test_it_is_sure_from_nine_to_one_on_which_is_a_difference_of_two_hundredths(difference, expected):
    assert (100 * 0.0219) < log(9) < (100 * 0.0220)
    maps = likeness([[0.2 + difference] * 2] * 2, [[0.2] * 2] * 2)
    assert (guidance(maps, EVERYWHERE, 0.9, VOID) == expected).all()


def test_padding_gets_no_label():
    valid = torch.tensor([[[True, False], [True, True]]])
    label = guidance(likeness([[0.5] * 2] * 2, [[0.1] * 2] * 2), valid, 0.9, VOID)
    assert label.tolist() == [[[0, VOID], [0, 0]]]


def test_likenesses_are_resized_before_they_are_compared():
    coarse = likeness([[0.30, 0.20]], [[0.20, 0.25]])  # sure on both sides; in the middle 0.275 to 0.2125 and so on
    label = guidance(coarse, torch.ones(1, 1, 4, dtype=torch.bool), 0.9, VOID)
    between = [(0.30, 0.20), (0.275, 0.2125), (0.225, 0.2375), (0.20, 0.25)]  # pixel centres, not corners
    sure = [max(exp(100 * a), exp(100 * b)) / (exp(100 * a) + exp(100 * b)) >= 0.9 for a, b in between]
    assert sure == [True, True, False, True]
    assert label.tolist() == [[[0, 0, VOID, 1]]]


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
