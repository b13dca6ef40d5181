"""The loss over the hardest share of pixels, by hand."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from semibench.methods.blocks.hardest import hardest_cross_entropy


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
