"""Loss functions: tensors in, a scalar out.

Shapes: N labelled images, M unlabelled images, K classes, H x W pixels.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from semibench.methods.blocks.mining import Mining, hard_pixels


def supervised_cross_entropy(logits: Tensor, mask: Tensor, ignore_index: int, mining: Mining | None = None) -> Tensor:
    """Return the mean cross-entropy over labelled pixels; 0, with a graph, when there is none.

    ``logits`` (N, K, H, W), ``mask`` (N, H, W) int64. With ``mining`` the mean is over hard pixels.

    >>> import torch
    >>> logits = torch.zeros(1, 2, 1, 2)
    >>> round(float(supervised_cross_entropy(logits, torch.tensor([[[0, 255]]]), 255)), 4)
    0.6931
    """
    if mining is not None:
        mask = torch.where(hard_pixels(logits, mask, ignore_index, mining), mask, ignore_index)
    total = F.cross_entropy(logits.float(), mask, ignore_index=ignore_index, reduction="sum")
    return total / (mask != ignore_index).sum().clamp(min=1)


def confident_cross_entropy(
    logits: Tensor, pseudo_label: Tensor, confidence: Tensor, valid: Tensor, threshold: float
) -> Tensor:
    """Return the cross-entropy against pseudo-labels, over confident pixels, divided by the number of valid ones.

    The denominator counts every pixel that is not padding, confident or not, so that few confident pixels weigh little.
    ``logits`` (M, K, H, W); ``pseudo_label`` (M, H, W) int64; ``confidence`` (M, H, W) in [0, 1]; ``valid`` (M, H, W) bool.

    >>> import torch
    >>> one = torch.ones(1, 1, 2)
    >>> label, valid = torch.zeros(1, 1, 2, dtype=torch.int64), torch.ones(1, 1, 2, dtype=torch.bool)
    >>> loss = confident_cross_entropy(torch.zeros(1, 2, 1, 2), label, torch.tensor([[[0.99, 0.5]]]), valid, 0.95)
    >>> round(float(loss), 4)
    0.3466
    """
    pixelwise = F.cross_entropy(logits.float(), pseudo_label, reduction="none")
    counted = (confidence >= threshold) & valid
    return (pixelwise * counted).sum() / valid.sum().clamp(min=1)


def masked_mean(values: Tensor, counted: Tensor) -> Tensor:
    """Return the mean of ``values`` where ``counted`` (bool, the same shape); 0, with a graph, when that is nowhere.

    >>> import torch
    >>> masked_mean(torch.tensor([1.0, 2.0, 9.0]), torch.tensor([True, True, False])).item()
    1.5
    """
    return (values * counted).sum() / counted.sum().clamp(min=1)
