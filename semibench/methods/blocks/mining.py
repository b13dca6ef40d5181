"""Online hard example mining: a supervised loss over hard pixels alone, by either of the field's two rules.

Shapes: N labelled images, K classes, H x W pixels.
"""

import math
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field, PositiveInt
from torch import Tensor

from semibench.records import Record


class Mining(Record):
    """Pixels are hard by the probability of their true class. Source: UniMatch's code, Cityscapes."""

    threshold: Annotated[float, Field(gt=0, le=1)] = 0.7  # probability of the true class up to which a pixel is hard
    kept_per_image: PositiveInt = 100_000  # pixels that are hard in any case; 200,000 of two images of 801 x 801 there


@torch.no_grad()
def hard_pixels(logits: Tensor, mask: Tensor, ignore_index: int, mining: Mining) -> Tensor:
    """Return which pixels are hard, (N, H, W) bool: those whose true class has at most the probability ``threshold``.

    Where these are fewer than ``kept_per_image`` times N, as many pixels of highest loss, from whichever image; where even
    fewer are labelled, all of them. ``logits`` (N, K, H, W), ``mask`` (N, H, W) int64.

    >>> logits = torch.tensor([[[[0.0, 0.0, 0.0]], [[0.0, 2.0, 4.0]]]])  # probability of class 1: 0.5, 0.88, 0.98
    >>> hard_pixels(logits, torch.ones(1, 1, 3, dtype=torch.int64), 255, Mining(kept_per_image=2)).tolist()
    [[[True, True, False]]]
    """
    pixelwise = F.cross_entropy(logits.float(), mask, ignore_index=ignore_index, reduction="none")  # 0 at void pixels
    n_kept = min(mining.kept_per_image * len(mask), pixelwise.numel())
    highest = pixelwise.flatten().topk(n_kept, sorted=False).values
    return pixelwise >= highest.min().clamp(max=-math.log(mining.threshold))


def hardest_cross_entropy(logits: Tensor, mask: Tensor, ignore_index: int, share: float) -> Tensor:
    """Return the mean of the highest ``share`` of the cross-entropies of all pixels of a batch, void ones with a loss of 0.

    ``logits`` (N, K, H, W), ``mask`` (N, H, W) int64. Void pixels are counted in the share, as in Detectron2.

    >>> logits = torch.tensor([[[[0.0, 9.0]], [[0.0, 0.0]]]])  # the second pixel is no trouble
    >>> round(float(hardest_cross_entropy(logits, torch.zeros(1, 1, 2, dtype=torch.int64), 255, 0.5)), 4)
    0.6931
    """
    pixelwise = F.cross_entropy(logits.float(), mask, ignore_index=ignore_index, reduction="none").flatten()
    return pixelwise.topk(max(int(share * pixelwise.numel()), 1)).values.mean()
