"""A batch goes from a worker to the main process as one block of memory and comes out as it went in."""

import pytest
import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.data._utils.pin_memory import pin_memory

from semibench.harness.parcels import pack, unpack
from semibench.methods.method import Batch, Crop, Labeled


def a_crop(images: int, strong: int) -> Crop:
    views = tuple(torch.rand(images, 3, 5, 7) for _ in range(strong))
    return Crop(torch.rand(images, 3, 5, 7), views, torch.rand(images, 5, 7) > 0.5, torch.arange(images))


def a_batch() -> Batch:
    labeled = Labeled(torch.rand(3, 3, 5, 7), torch.randint(0, 256, (3, 5, 7)), torch.tensor([2**62, 0, 1]))
    return Batch(labeled, (a_crop(1, 2), a_crop(1, 2)), (a_crop(2, 0),))


def test_a_batch_comes_out_as_it_went_in() -> None:
    batch = a_batch()
    returned = unpack(pack(batch))
    assert isinstance(returned, Batch) and isinstance(returned.unlabeled[1], Crop)
    assert tree_map(lambda tensor: (tensor.dtype, tensor.shape), returned) == tree_map(
        lambda tensor: (tensor.dtype, tensor.shape), batch
    )
    assert all(torch.equal(one, other) for one, other in zip(tree_leaves(returned), tree_leaves(batch), strict=True))


def test_there_is_one_block_whatever_the_number_of_tensors() -> None:
    returned = unpack(pack(a_batch()))
    assert len({tensor.untyped_storage().data_ptr() for tensor in tree_leaves(returned)}) == 1


def test_tensors_start_where_their_type_may() -> None:
    offsets = [tensor.storage_offset() * tensor.element_size() for tensor in tree_leaves(unpack(pack(a_batch())))]
    assert all(offset % 64 == 0 for offset in offsets)


def test_a_batch_without_unlabelled_images_is_packed_too() -> None:
    batch = Batch(a_batch().labeled)
    assert unpack(pack(batch)).unlabeled == ()


def test_a_parcel_can_be_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pinning thread of a loader rebuilds what it is given; without a GPU only its walk can be tested."""
    pinned = []
    monkeypatch.setattr(Tensor, "pin_memory", lambda tensor, *_: pinned.append(tensor.nbytes) or tensor)
    batch = a_batch()
    returned = unpack(pin_memory(pack(batch)))
    assert len(pinned) == 1
    assert torch.equal(returned.labeled.image, batch.labeled.image)
