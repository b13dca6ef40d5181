"""Images of which patches are hidden, and what is to be said about them."""

import torch
from torch import Tensor, nn

from semibench.errors import UsageError
from semibench.methods.blocks.draws import uniforms
from semibench.methods.blocks.losses import confident_cross_entropy
from semibench.methods.blocks.modes import keeping_statistics
from semibench.methods.blocks.pseudo_labels import Target


def patch_masks(seeds: Tensor, size: tuple[int, int], side: int, ratio: float) -> Tensor:
    """Return one mask per sample as (M, 1, H, W) bool: True = visible, False = hidden, constant on cells of side x side pixels.

    Of the N cells of each image floor(ratio * N + 0.5) are hidden, drawn from the sample's seed. Cells at the right and the
    bottom are cut off at the image's edge, so the share of hidden pixels varies a little. Raises UsageError when ``ratio``
    is not in [0, 1].

    >>> mask = patch_masks(torch.tensor([7]), (4, 4), 2, 0.5)
    >>> mask.shape, int(mask.sum())
    (torch.Size([1, 1, 4, 4]), 8)
    """
    if not 0 <= ratio <= 1:
        raise UsageError(f"the share of hidden patches is {ratio}", "Give a number from 0 to 1.")
    rows, columns = -(-size[0] // side), -(-size[1] // side)
    n_hidden = int(ratio * rows * columns + 0.5)
    hidden = uniforms(seeds, "patches", rows * columns).argsort(dim=1)[:, :n_hidden]
    visible = torch.ones(len(seeds), rows * columns, dtype=torch.bool).scatter(1, hidden, value=False)
    cells = visible.reshape(len(seeds), 1, rows, columns)
    return cells.repeat_interleave(side, dim=2).repeat_interleave(side, dim=3)[..., : size[0], : size[1]]


def masked_consistency(network: nn.Module, image: Tensor, visible: Tensor, target: Target, threshold: float) -> Tensor:
    """Return the loss of ``network`` against a target for the whole of images (M, 3, H, W) that it sees through a mask.

    Hidden pixels are 0, the mean color of the data set. The pass is one of its own and leaves no trace in the running
    statistics: those of masked images are others. See ``confident_cross_entropy`` for the loss.
    """
    with keeping_statistics(network):
        logits = network(torch.where(visible, image, 0.0))
    return confident_cross_entropy(logits, *target, threshold)
