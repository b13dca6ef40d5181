"""Losses, by hand on images of a few pixels."""

import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from semibench.methods.blocks.losses import confident_cross_entropy, masked_mean, supervised_cross_entropy

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


def test_a_masked_mean_over_nothing_is_zero_with_a_graph() -> None:
    values = torch.ones(3, requires_grad=True)
    mean = masked_mean(values, torch.zeros(3, dtype=torch.bool))
    mean.backward()
    assert mean.item() == 0
    assert values.grad is not None
    assert values.grad.tolist() == [0, 0, 0]


def draw_taught(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    label = torch.randint(0, 3, (2, 3, 4), generator=generator)
    confidence, valid = torch.rand(2, 3, 4, generator=generator), torch.rand(2, 3, 4, generator=generator) < 0.7
    return torch.randn(2, 3, 3, 4, generator=generator), label, confidence, valid


@given(st.integers(0, 1000), st.floats(0, 1))
def test_the_confident_loss_is_the_confident_share_of_valid_pixels_times_their_mean(seed: int, threshold: float) -> None:
    logits, label, confidence, valid = draw_taught(seed)
    counted = (confidence >= threshold) & valid
    mean = supervised_cross_entropy(logits, torch.where(counted, label, VOID), VOID)
    share = counted.sum() / valid.sum()
    assert torch.allclose(confident_cross_entropy(logits, label, confidence, valid, threshold), share * mean, atol=1e-6)


@given(st.integers(0, 1000))
def test_what_the_student_says_of_padding_and_of_unsure_pixels_changes_neither_loss_nor_gradient(seed: int) -> None:
    logits, label, confidence, valid = draw_taught(seed)
    counted = (confidence >= 0.5) & valid
    results = []
    for noise in (0.0, 5.0):
        leaf = (logits + noise * ~counted.unsqueeze(1)).requires_grad_()
        loss = confident_cross_entropy(leaf, label, confidence, valid, 0.5)
        (gradient,) = torch.autograd.grad(loss, leaf)
        results.append((loss, gradient))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])
    assert (gradient.abs().sum(dim=1)[~counted] == 0).all()


def test_where_nothing_reaches_the_threshold_loss_and_gradient_are_zero() -> None:
    logits, label, confidence, valid = draw_taught(0)
    loss = confident_cross_entropy(logits.requires_grad_(), label, confidence / 2, valid, 0.6)
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert logits.grad.abs().sum() == 0


def test_a_perfect_student_has_no_confident_loss() -> None:
    _, label, confidence, valid = draw_taught(0)
    perfect = 50.0 * torch.nn.functional.one_hot(label, 3).movedim(-1, 1)
    assert confident_cross_entropy(perfect, label, confidence, valid, 0.0).item() < 1e-6
