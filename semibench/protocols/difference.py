"""What two protocols of one data set have in common, and which classes their labelled images show."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from semibench.errors import DataError, UsageError
from semibench.protocols.datasets.base import Dataset
from semibench.protocols.protocol import Protocol
from semibench.protocols.shelf import Shelf


class Overlap(NamedTuple):
    """Sizes of two lists and of what they share."""

    first: int
    second: int
    common: int


class Difference(NamedTuple):
    """Two protocols side by side; None where a list is not at hand."""

    labeled: Overlap
    unlabeled: Overlap | None
    fine: Overlap | None  # labelled images whose masks are the better ones; None also where a data set has one kind


class ClassCounts(NamedTuple):
    """In how many of the images that are on disk each class occurs."""

    images_on_disk: int
    images_per_class: dict[str, int]


def difference(first: Protocol, second: Protocol, shelf: Shelf) -> Difference:
    """Compare the lists of two protocols.

    Raises UsageError for protocols of different data sets, DataError when a labelled list is not at hand.
    """
    if first.dataset != second.dataset:
        raise UsageError(f"{first.name} and {second.name} are of different data sets", "Compare two protocols of one data set.")
    labeled = labeled_of(first, shelf), labeled_of(second, shelf)
    splits = shelf.split(first), shelf.split(second)
    unlabeled = _overlap(splits[0].unlabeled, splits[1].unlabeled) if splits[0] and splits[1] else None
    fine = shelf.subset(first, first.fine) if first.fine else None
    among_fine = None if fine is None else _overlap(*(set(fine).intersection(ids) for ids in labeled))
    return Difference(_overlap(*labeled), unlabeled, among_fine)


def labeled_of(protocol: Protocol, shelf: Shelf) -> Sequence[str]:
    """Return the labelled ids of a protocol; raise DataError when they are not at hand."""
    ids = shelf.labeled(protocol)
    if ids is None:
        raise DataError(
            f"the labelled list of {protocol.name} is not at hand",
            f"Run 'semibench protocol fetch {protocol.name}', or name a folder of lists or a data root.",
        )
    return ids


def count_classes(dataset: Dataset, pool: str, ids: Sequence[str]) -> ClassCounts:
    """Return how many of the images show each class, read from the masks of those that are on disk."""
    on_disk = sorted(set(ids).intersection(dataset.ids(pool)))
    shown = np.zeros(256, np.int64)
    for id in on_disk:
        shown[np.unique(dataset.mask(id))] += 1
    return ClassCounts(len(on_disk), {name: int(shown[index]) for index, name in enumerate(dataset.class_names)})


def _overlap(first: Sequence[str] | set[str], second: Sequence[str] | set[str]) -> Overlap:
    return Overlap(len(first), len(second), len(set(first).intersection(second)))
