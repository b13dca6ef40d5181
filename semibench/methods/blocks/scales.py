"""Predictions at several sizes of an image."""

from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def ensemble(network: nn.Module, image: Tensor, scales: tuple[float, ...]) -> Tensor:
    """Return the mean over ``scales`` of the probabilities (M, K, H, W) that ``network`` gives images (M, 3, H, W).

    Images are resized bilinearly with aligned corners, logits are resized back before softmax. At scale 1 the image is left
    as it is, whatever its size.

    >>> ensemble(nn.Softmax(dim=1), torch.zeros(1, 4, 33, 33), (0.75, 1.0, 1.25))[0, :, 0, 0]
    tensor([0.2500, 0.2500, 0.2500, 0.2500])
    """
    return reduce(torch.add, (_probabilities(network, image, scale) for scale in scales)) / len(scales)


def scaled_side(side: int, scale: float, stride: int = 16) -> int:
    """Return the side of a scaled image, of the form stride * n + 1, where the maps of a network meet the image's corners.

    >>> [scaled_side(321, scale) for scale in (0.75, 1.0, 1.25)]
    [241, 321, 401]
    """
    return stride * max(int((side - 1) * scale / stride + 0.5), 1) + 1  # halves upward; round() would go to even


def _probabilities(network: nn.Module, image: Tensor, scale: float) -> Tensor:
    size = image.shape[-2:]
    if scale != 1:
        resized = [scaled_side(side, scale) for side in size]
        image = F.interpolate(image, resized, mode="bilinear", align_corners=True)
    logits: Tensor = network(image).float()
    if scale != 1:
        logits = F.interpolate(logits, size, mode="bilinear", align_corners=True)
    return logits.softmax(dim=1)
