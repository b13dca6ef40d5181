"""A loss over the pixels of highest loss, a fixed share of them."""

import torch.nn.functional as F
from torch import Tensor


def hardest_cross_entropy(logits: Tensor, mask: Tensor, ignore_index: int, share: float) -> Tensor:
    """Return the mean of the highest ``share`` of the cross-entropies of all pixels of a batch, void ones with a loss of 0.

    ``logits`` (N, K, H, W), ``mask`` (N, H, W) int64. Void pixels are counted in the share, as in Detectron2.

    >>> import torch
    >>> logits = torch.tensor([[[[0.0, 9.0]], [[0.0, 0.0]]]])  # the second pixel is no trouble
    >>> round(float(hardest_cross_entropy(logits, torch.zeros(1, 1, 2, dtype=torch.int64), 255, 0.5)), 4)
    0.6931
    """
    pixelwise = F.cross_entropy(logits.float(), mask, ignore_index=ignore_index, reduction="none").flatten()
    return pixelwise.topk(max(int(share * pixelwise.numel()), 1)).values.mean()
