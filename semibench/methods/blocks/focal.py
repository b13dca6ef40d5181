"""Focal loss of independent classes, as a sum of margins that stays finite."""

import torch.nn.functional as F
from torch import Tensor


def sigmoid_focal(logits: Tensor, label: Tensor, alpha: float, gamma: float) -> Tensor:
    """Return the focal loss of each class at each pixel, (M, K, h, w) float32, each class against the rest.

    ``logits`` (M, K, h, w); ``label`` (M, h, w) int64. With p = sigmoid(logit): -alpha (1 - p)^gamma ln p for the class of the
    label, -(1 - alpha) p^gamma ln(1 - p) for every other. Computed from ln p and ln(1 - p), so that powers below one have
    finite gradients where p is exactly 0 or 1.

    >>> import torch
    >>> loss = sigmoid_focal(torch.zeros(1, 2, 1, 1), torch.zeros(1, 1, 1, dtype=torch.int64), alpha=0.5, gamma=0.5)
    >>> round(10 * loss.mean().item(), 4)
    2.4506
    """
    is_true = F.one_hot(label, logits.shape[1]).movedim(-1, 1).bool()
    margin = logits.float().where(is_true, -logits.float())  # > 0 where the class is judged rightly
    weight = alpha * is_true + (1 - alpha) * ~is_true
    return -weight * (gamma * F.logsigmoid(-margin)).exp() * F.logsigmoid(margin)
