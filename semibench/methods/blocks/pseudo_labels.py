"""From a teacher's logits to labels for a student."""

from torch import Tensor


def pseudo_labels(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Return (confidence, label), (M, H, W) float32 in [0, 1] and int64, of detached ``logits`` (M, K, H, W).

    >>> import torch
    >>> confidence, label = pseudo_labels(torch.tensor([0.0, 3.0]).reshape(1, 2, 1, 1))
    >>> label.item(), round(confidence.item(), 4)
    (1, 0.9526)
    """
    confidence, label = logits.detach().float().softmax(dim=1).max(dim=1)
    return confidence, label


def coverage(confidence: Tensor, valid: Tensor, threshold: float) -> Tensor:
    """Return the share of valid pixels whose confidence reaches the threshold, a scalar in [0, 1].

    >>> import torch
    >>> coverage(torch.tensor([[[0.99, 0.5]]]), torch.ones(1, 1, 2, dtype=torch.bool), 0.95).item()
    0.5
    """
    return ((confidence >= threshold) & valid).sum() / valid.sum().clamp(min=1)
