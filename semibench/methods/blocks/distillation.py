"""What a teacher and a student are compared on besides labels: class activity of an image, relations between its regions.

Shapes: M images, K classes, C channels, H x W pixels, h x w feature size.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

GRID = 7  # regions along each side of an image


def image_level(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the mean absolute difference of the logits' global averages; both (M, K, H, W).

    >>> image_level(torch.zeros(1, 2, 1, 2), torch.tensor([[[[1.0, 3.0]], [[0.0, 0.0]]]])).item()
    1.0
    """
    return (student.float().mean(dim=(2, 3)) - teacher.float().mean(dim=(2, 3))).abs().mean()


def region_level(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the mean squared difference of both self-similarities; (M, C, h, w), where C and size need not agree."""
    return F.mse_loss(self_similarity(student), self_similarity(teacher))


def self_similarity(features: Tensor) -> Tensor:
    """Return the cosines between the regions of each image, (M, 49, 49), of features (M, C, h, w).

    >>> self_similarity(torch.ones(1, 3, 14, 14)).shape
    torch.Size([1, 49, 49])
    """
    regions = F.adaptive_avg_pool2d(features.float(), GRID).flatten(2)
    directions = regions / torch.linalg.vector_norm(regions, dim=1, keepdim=True).clamp(min=1e-8)
    with torch.autocast(features.device.type, enabled=False):  # differences of cosines are smaller than bfloat16 resolves
        cosines: Tensor = directions.transpose(1, 2) @ directions
    return cosines
