"""Which pixels are hard, by hand and against a slow reference, and the losses over them."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from semibench.methods.blocks.losses import supervised_cross_entropy
from semibench.methods.blocks.mining import Mining, hard_pixels, hardest_cross_entropy

VOID = 255


def slow_hard_pixels(logits: Tensor, mask: Tensor, mining: Mining) -> Tensor:
    """Sort the probabilities of the true class over all labelled pixels; the threshold is raised until enough are kept."""
    labelled = [index for index, label in enumerate(mask.flatten().tolist()) if label != VOID]
    probabilities = logits.softmax(dim=1).movedim(1, -1).flatten(0, 2)
    of_truth = {index: probabilities[index, mask.flatten()[index]].item() for index in labelled}
    hardest = sorted(of_truth.values())
    kept = mining.kept_per_image * len(mask)
    if len(hardest) < kept:
        return mask != VOID
    bound = max(mining.threshold, hardest[kept - 1])
    hard = [of_truth.get(index, 2.0) <= bound + 1e-6 for index in range(mask.numel())]
    return torch.tensor(hard).reshape(mask.shape)


def draw_labelled(seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    mask = torch.randint(0, 3, (2, 3, 4), generator=generator)
    mask[torch.rand(2, 3, 4, generator=generator) < 0.2] = VOID
    return 3 * torch.randn(2, 3, 3, 4, generator=generator), mask


@given(st.integers(0, 10_000), st.floats(0.05, 1), st.integers(1, 15))
def test_hard_pixels_are_those_of_the_sorted_reference(seed: int, threshold: float, kept_per_image: int) -> None:
    logits, mask = draw_labelled(seed)
    mining = Mining(threshold=threshold, kept_per_image=kept_per_image)
    hard = hard_pixels(logits, mask, VOID, mining) & (mask != VOID)
    assert torch.equal(hard, slow_hard_pixels(logits, mask, mining))


@given(st.integers(0, 1000), st.floats(0.1, 0.5), st.floats(0.5, 1))
def test_a_lower_threshold_keeps_no_more_pixels(seed: int, low: float, high: float) -> None:
    logits, mask = draw_labelled(seed)
    few, many = (hard_pixels(logits, mask, VOID, Mining(threshold=bound, kept_per_image=2)) for bound in (low, high))
    assert (few <= many).all()


def test_with_fewer_labelled_pixels_than_must_be_kept_nothing_is_mined() -> None:
    logits, mask = draw_labelled(0)
    mined = supervised_cross_entropy(logits, mask, VOID, Mining(threshold=0.1, kept_per_image=100_000))
    assert mined.item() == supervised_cross_entropy(logits, mask, VOID).item()


def test_the_mined_loss_is_the_mean_over_hard_pixels() -> None:
    logits = torch.tensor([[[[0.0, 0.0, 0.0, 0.0]], [[0.0, 1.0, 4.0, -9.0]]]])  # class 1: 0.5, 0.73, 0.98 and void
    mask = torch.tensor([[[1, 1, 1, VOID]]])
    loss = supervised_cross_entropy(logits, mask, VOID, Mining(kept_per_image=1))
    assert math.isclose(loss.item(), math.log(2), rel_tol=1e-6)
    loss = supervised_cross_entropy(logits, mask, VOID, Mining(kept_per_image=2))
    assert math.isclose(loss.item(), (math.log(2) + math.log(1 + math.exp(-1))) / 2, rel_tol=1e-6)


def test_easy_pixels_pass_no_gradient() -> None:
    logits = torch.tensor([[[[0.0, 0.0]], [[0.0, 4.0]]]], requires_grad=True)
    supervised_cross_entropy(logits, torch.ones(1, 1, 2).long(), VOID, Mining(kept_per_image=1)).backward()
    assert logits.grad is not None
    assert logits.grad[..., 1].abs().sum() == 0
    assert logits.grad[..., 0].abs().sum() > 0


def test_masks_without_any_label_give_a_mined_loss_of_zero_with_a_graph() -> None:
    logits = torch.randn(1, 3, 2, 2, requires_grad=True)
    loss = supervised_cross_entropy(logits, torch.full((1, 2, 2), VOID), VOID, Mining(kept_per_image=1))
    loss.backward()
    assert loss.item() == 0


def losing(*losses: float) -> tuple[Tensor, Tensor]:
    """Return logits and a mask of pixels in a row that have these cross-entropies."""
    probability = torch.exp(-torch.tensor(losses, dtype=torch.float64))
    logits = torch.stack([probability.log(), torch.log1p(-probability)])[None, :, None]
    return logits, torch.zeros(1, 1, len(losses), dtype=torch.int64)


def test_the_loss_is_the_mean_of_the_highest_fifth() -> None:
    logits, mask = losing(*range(1, 11))
    assert hardest_cross_entropy(logits, mask, 255, 0.2).item() == pytest.approx(9.5)


def test_void_pixels_are_counted_in_the_share_and_lose_nothing() -> None:
    logits, mask = losing(*range(1, 11))
    mask[..., 5:] = 255
    assert hardest_cross_entropy(logits, mask, 255, 0.2).item() == pytest.approx(4.5)


def test_all_pixels_are_the_plain_mean() -> None:
    logits, mask = torch.randn(2, 3, 4, 4), torch.randint(0, 3, (2, 4, 4))
    assert torch.allclose(hardest_cross_entropy(logits, mask, 255, 1), F.cross_entropy(logits, mask))


def test_masks_without_any_label_give_zero_with_a_graph() -> None:
    logits = torch.randn(1, 3, 2, 2, requires_grad=True)
    loss = hardest_cross_entropy(logits, torch.full((1, 2, 2), 255), 255, 0.2)
    loss.backward()
    assert loss.item() == 0
    assert (logits.grad == 0).all()
