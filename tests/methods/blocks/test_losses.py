"""Losses, by hand on images of a few pixels."""

import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from semibench.methods.blocks.losses import confident_cross_entropy, supervised_cross_entropy

VOID = 255


def test_the_supervised_loss_is_the_mean_over_labelled_pixels() -> None:
    logits = torch.tensor([[[[2.0, 0.0]], [[0.0, 0.0]]]])  # two classes, two pixels
    expected = (math.log(1 + math.exp(-2)) + math.log(2)) / 2
    assert supervised_cross_entropy(logits, torch.tensor([[[0, 1]]]), VOID).item() == torch.tensor(expected).item()


def test_void_pixels_do_not_enter_the_loss() -> None:
    logits = torch.randn(2, 3, 4, 4)
    mask = torch.randint(0, 3, (2, 4, 4))
    mask[0] = VOID
    assert torch.allclose(supervised_cross_entropy(logits, mask, VOID), supervised_cross_entropy(logits[1:], mask[1:], VOID))


def test_masks_without_any_label_give_zero_with_a_graph() -> None:
    logits = torch.randn(1, 3, 2, 2, requires_grad=True)
    loss = supervised_cross_entropy(logits, torch.full((1, 2, 2), VOID), VOID)
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert logits.grad.abs().sum() == 0


def test_the_denominator_counts_valid_pixels_and_not_confident_ones() -> None:
    logits = torch.zeros(1, 2, 2, 2)  # cross-entropy ln 2 at every pixel
    confidence = torch.tensor([[[0.99, 0.10], [0.10, 0.99]]])
    valid = torch.tensor([[[True, True], [True, False]]])
    loss = confident_cross_entropy(logits, torch.zeros(1, 2, 2, dtype=torch.int64), confidence, valid, 0.95)
    assert math.isclose(loss.item(), math.log(2) / 3, rel_tol=1e-6)


@given(st.integers(0, 10_000))
def test_threshold_zero_gives_the_plain_mean_over_valid_pixels(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, 3, 2, 2, generator=generator)
    label = torch.randint(0, 3, (2, 2, 2), generator=generator)
    valid = torch.rand(2, 2, 2, generator=generator) < 0.7
    plain = supervised_cross_entropy(logits, torch.where(valid, label, VOID), VOID)
    loss = confident_cross_entropy(logits, label, torch.zeros(2, 2, 2), valid, 0.0)
    assert torch.allclose(loss, plain, atol=1e-6)


def test_images_that_are_all_padding_do_not_divide_by_zero() -> None:
    nothing = torch.zeros(1, 2, 2, dtype=torch.bool)
    loss = confident_cross_entropy(torch.randn(1, 3, 2, 2), nothing.long(), torch.ones(1, 2, 2), nothing, 0.95)
    assert loss.item() == 0


def test_half_precision_logits_are_summed_in_single_precision() -> None:
    loss = supervised_cross_entropy(torch.zeros(1, 2, 2, 2, dtype=torch.bfloat16), torch.zeros(1, 2, 2).long(), VOID)
    assert loss.dtype == torch.float32
