"""Images on their way to a predictor: read ahead by threads, grouped by size."""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from semibench.harness.transforms import normalize
from semibench.harness.windows import Size, resized
from semibench.protocols.datasets.base import Dataset
from semibench.protocols.protocol import EvaluationRule
from semibench.protocols.recipe import Normalization

BATCH_PIXELS = 2**20  # images of equal size share a forward pass up to this; a constant, since it may move last digits
HELD_PIXELS = 2**24  # of images that wait for others of their size: 200 MB

T = TypeVar("T")


class Item(NamedTuple):
    """One image and its truth."""

    id: str
    image: Tensor  # (3, H, W) float32, normalized
    truth: NDArray[np.uint8]  # (H, W)


def read(dataset: Dataset, id: str, normalization: Normalization) -> Item:
    """Read one image and its mask; raise DataError when they cannot be read or do not belong together."""
    image, truth = dataset.pair(id)
    return Item(id, normalize(image, normalization), truth)


def size_of(item: Item) -> Size:
    """Return (H, W) pixels."""
    return (item.truth.shape[0], item.truth.shape[1])


def group_by_size(items: Iterable[T], size_of: Callable[[T], Size], rule: EvaluationRule) -> Iterator[list[T]]:
    """Yield batches of equally large images: a function of the sizes in their order, never of timing."""
    waiting: dict[Size, list[T]] = {}
    for item in items:
        own = size_of(item)
        group = waiting.setdefault(own, [])
        group.append(item)
        held = {size: len(others) * math.prod(size) for size, others in waiting.items()}
        if (len(group) + 1) * math.prod(resized(own, rule)) > BATCH_PIXELS:
            yield waiting.pop(own)
        elif sum(held.values()) > HELD_PIXELS:
            yield waiting.pop(max(held, key=held.__getitem__))
    yield from waiting.values()
