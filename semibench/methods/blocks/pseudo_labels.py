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


def dynamic_threshold(confidence: Tensor, base: float, sensitivity: float) -> Tensor:
    """Return the threshold of CW-BASS for a batch, a scalar in [0.3, 0.8] that rises with the batch's mean confidence.

    It is base / (1 + exp(-sensitivity * (mean - 0.5))), clamped. With base 0.6 and sensitivity 0.5, their defaults, it stays
    at 0.3 up to a mean of 0.5 and reaches 0.3373 at 1, so that it filters next to nothing.

    >>> [round(dynamic_threshold(torch.tensor(mean), 0.6, 0.5).item(), 4) for mean in (0.25, 0.5, 0.75, 1.0)]
    [0.3, 0.3, 0.3187, 0.3373]
    """
    return (base * torch.sigmoid(sensitivity * (confidence.mean() - 0.5))).clamp(0.3, 0.8)
