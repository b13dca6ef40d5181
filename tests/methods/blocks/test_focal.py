"""The sigmoid focal loss: by hand, against its textbook form, and where that has no finite gradient."""

from math import log

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from semibench.methods.blocks.focal import sigmoid_focal


def noise(*shape: int) -> Tensor:
    return 3 * torch.randn(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("n_classes", [2, 5, 21])
def test_logits_of_zero_lose_half_a_bit_times_the_root_of_a_half(n_classes: int) -> None:
    label = torch.arange(16).reshape(1, 4, 4) % n_classes
    loss = 10 * sigmoid_focal(torch.zeros(1, n_classes, 4, 4), label, 0.5, 0.5).mean()
    assert loss.item() == pytest.approx(2.4506, abs=1e-4)
    assert loss.item() == pytest.approx(10 * 0.5 * 0.5**0.5 * log(2))


def test_sure_and_right_logits_lose_nothing() -> None:
    label = torch.tensor([[[0, 1], [2, 1]]])
    logits = 100 * F.one_hot(label, 3).movedim(-1, 1) - 50.0
    assert 10 * sigmoid_focal(logits, label, 0.5, 0.5).mean() < 1e-6


def test_it_is_the_textbook_form() -> None:
    logits, label = noise(2, 3, 4, 4).double(), torch.randint(0, 3, (2, 4, 4), generator=torch.Generator().manual_seed(1))
    p, truth = logits.sigmoid(), F.one_hot(label, 3).movedim(-1, 1)
    expected = -(truth * 0.3 * (1 - p) ** 1.5 * p.log() + (1 - truth) * 0.7 * p**1.5 * (1 - p).log())
    found = sigmoid_focal(logits, label, 0.3, 1.5)
    assert torch.allclose(found, expected.float(), atol=1e-6)
    assert (found >= 0).all()


def test_a_sure_and_wrong_prediction_loses_more_than_a_right_one() -> None:
    logits = torch.tensor([[[[4.0]], [[-4.0]]]])
    right, wrong = (sigmoid_focal(logits, torch.full((1, 1, 1), label), 0.5, 0.5).sum() for label in (0, 1))
    assert wrong > right


def test_a_power_of_zero_is_half_of_binary_cross_entropy() -> None:
    logits, label = noise(2, 3, 4, 4), torch.randint(0, 3, (2, 4, 4), generator=torch.Generator().manual_seed(1))
    truth = F.one_hot(label, 3).movedim(-1, 1).float()
    expected = 5 * F.binary_cross_entropy_with_logits(logits, truth)
    assert torch.allclose(10 * sigmoid_focal(logits, label, 0.5, 0).mean(), expected)


@pytest.mark.parametrize("logit", [-200.0, 0.0, 200.0])
def test_gradients_are_finite_where_a_probability_is_0_or_1(logit: float) -> None:
    logits = torch.full((1, 2, 1, 1), logit, requires_grad=True)
    sigmoid_focal(logits, torch.zeros(1, 1, 1, dtype=torch.int64), 0.5, 0.5).sum().backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
