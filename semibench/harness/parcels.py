"""A batch as one block of memory: each tensor that a worker hands over costs the main process a third of a millisecond."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils._pytree import TreeSpec, tree_flatten, tree_unflatten

from semibench.methods.method import Batch

_ALIGNMENT = 64  # bytes: tensors of any type start where their type may


class Place(NamedTuple):
    """Where a tensor lies in a block, and how its bytes are to be read."""

    start: int  # bytes
    dtype: torch.dtype
    shape: torch.Size


class Parcel(NamedTuple):
    """The tensors of a batch, their bytes one after the other."""

    block: Tensor  # (bytes,) uint8
    places: Sequence[Place]  # of each tensor
    structure: TreeSpec


def pack(batch: Batch) -> Parcel:
    """Copy the tensors of a batch into one block.

    >>> from semibench.methods.method import Labeled
    >>> labeled = Labeled(torch.rand(1, 3, 2, 2), torch.tensor([[[0, 1], [2, 255]]]), torch.tensor([7]))
    >>> unpack(pack(Batch(labeled))).labeled.mask.tolist()
    [[[0, 1], [2, 255]]]
    """
    tensors, structure = tree_flatten(batch)
    places = []
    end = 0
    for tensor in tensors:
        places.append(Place(end, tensor.dtype, tensor.shape))
        end += -(-tensor.nbytes // _ALIGNMENT) * _ALIGNMENT
    block = torch.empty(end, dtype=torch.uint8)
    for view, tensor in zip(_views(block, places), tensors, strict=True):
        view.copy_(tensor)
    return Parcel(block, places, structure)


def unpack(parcel: Parcel) -> Batch:
    """Return the batch, whose tensors are views of the block: nothing is copied."""
    batch: Batch = tree_unflatten(_views(parcel.block, parcel.places), parcel.structure)
    return batch


def _views(block: Tensor, places: Sequence[Place]) -> list[Tensor]:
    return [
        block[start : start + shape.numel() * dtype.itemsize].view(dtype).view(shape)  # views: the block is shared memory
        for start, dtype, shape in places
    ]
