"""Labels from a frozen vision-language model, and the loss against them (SemiVL).

Shapes: M unlabelled images, K classes, H x W pixels.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from semibench.methods.blocks.pseudo_labels import Target, pseudo_labels


def guidance(logits: Tensor, valid: Tensor, threshold: float, ignore_index: int) -> Tensor:
    """Return what logits (M, K, H, W) say of pixels, (M, H, W) int64; ``ignore_index`` below the threshold or at padding.

    >>> logits = torch.tensor([[30.0, 25.0], [20.0, 24.0]]).reshape(1, 2, 1, 2)
    >>> guidance(logits, torch.ones(1, 1, 2, dtype=torch.bool), 0.9, 255).tolist()
    [[[0, 255]]]
    """
    confidence, label = pseudo_labels(logits)
    return torch.where((confidence >= threshold) & valid, label, ignore_index)


def guidance_loss(logits: Tensor, label: Tensor, ignore_index: int) -> Tensor:
    """Return the cross-entropy against labels (M, H, W) int64, divided by the number of all pixels, ignored ones too.

    >>> guidance_loss(torch.zeros(1, 2, 1, 4), torch.tensor([[[0, 1, 255, 255]]]), 255)
    tensor(0.3466)
    """
    return F.cross_entropy(logits.float(), label, ignore_index=ignore_index, reduction="sum") / label.numel()


def average_confident_cross_entropy(logits: Tensor, target: Target) -> Tensor:
    """Return the cross-entropy of each image, times the mean confidence of its valid pixels, over the number of these.

    ``logits`` (M, K, H, W). No pixel is left out: even padding counts in the sum, though neither in the mean confidence nor in
    the number, as in SemiVL's code. There a process has one image; of several, which that code would count several times,
    this is the mean. An image that is all padding counts as 0.

    >>> target = Target(torch.zeros(1, 1, 2, dtype=torch.int64), torch.tensor([[[0.9, 0.5]]]), torch.ones(1, 1, 2) > 0)
    >>> average_confident_cross_entropy(torch.zeros(1, 2, 1, 2), target)  # ln 2 * 0.7
    tensor(0.4852)
    """
    total = F.cross_entropy(logits.float(), target.label, reduction="none").sum(dim=(1, 2))
    n_valid = target.valid.sum(dim=(1, 2))
    confidence = (target.confidence * target.valid).sum(dim=(1, 2)) / n_valid.clamp(min=1)
    return (total * confidence / n_valid.clamp(min=1)).mean()
