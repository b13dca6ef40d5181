"""From a teacher's logits to labels for a student."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from semibench.methods.blocks.mixing import paste
from semibench.methods.blocks.modes import evaluating
from semibench.methods.blocks.scales import ensemble


class Target(NamedTuple):
    """What a student is to say about the pixels of M images, in the order in which losses take it."""

    label: Tensor  # (M, H, W) int64
    confidence: Tensor  # (M, H, W) float32 in [0, 1]
    valid: Tensor  # (M, H, W) bool, False = padding

    def pasted(self, source: "Target", boxes: Tensor) -> "Target":
        """Return this target with the pixels inside ``boxes`` (M, H, W) taken from ``source``, as images are in CutMix."""
        return Target(*(paste(own, other, boxes) for own, other in zip(self, source, strict=True)))


def teach(network: nn.Module, image: Tensor, valid: Tensor, scales: tuple[float, ...] = (1.0,)) -> Target:
    """Return what ``network`` says about images (M, 3, H, W), in evaluation mode and without a graph.

    Over several ``scales`` it is the mean of their probabilities that labels are taken from.
    """
    with evaluating(network), torch.no_grad():
        confidence, label = ensemble(network, image, scales).max(dim=1)
    return Target(label, confidence, valid)


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
