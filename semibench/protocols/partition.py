"""Partitions: lists that are pinned by their digests, and rules by which anyone can compute lists.

Hashed partitions (``voc-92@hash0``) need no list: labelled are the n ids of the pool with the smallest SHA-256 of
``"k/id"``, the text in UTF-8 and the hashes compared as bytes; k is the number of the partition. The choice depends on
nothing else: partitions are nested across n, and independent across k. In full::

    import hashlib

    def labeled(pool, n, k):
        return sorted(sorted(pool, key=lambda id: hashlib.sha256(f"{k}/{id}".encode()).digest())[:n])
"""

import hashlib
import random
import re
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field, PositiveInt

from semibench.errors import UsageError
from semibench.records import Record

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]  # of the sorted ids joined by line feeds
_SHUFFLED = re.compile(r"shuffled with seed (\d+)")
_NUMBERED = re.compile(r"numbered (\w+?)0*1")


class Subset(Record):
    """A list of ids, pinned."""

    count: PositiveInt
    sha256: Sha256
    source: str | None = None  # owner/name@commit:path, or 'numbered <first id>'; None = the files of the data set


class LabeledList(Record):
    """The labelled ids of a protocol, pinned; how many is said beside it."""

    sha256: Sha256
    source: str  # owner/name@commit:path, or 'shuffled with seed <k>'


class UnlabeledList(Record):
    """A published unlabelled list that is not simply what the pool has besides the labelled ids."""

    count: PositiveInt
    sha256: Sha256
    source: str
    pool: str | None = None  # subset that its ids are of; None = that of the labelled ids
    defect: str | None = None  # why it differs, where that is an error


def hashed(pool: Sequence[str], count: int, seed: int) -> tuple[str, ...]:
    """Return the ``count`` ids of ``pool`` with the smallest SHA-256 of ``"{seed}/{id}"``, sorted.

    The choice depends on nothing else, so a larger count contains every smaller one, and anyone can recompute it.

    >>> set(hashed("abcdef", 2, 0)) < set(hashed("abcdef", 4, 0))
    True
    """
    _check_count(count, pool)
    by_hash = sorted(pool, key=lambda id: hashlib.sha256(f"{seed}/{id}".encode()).digest())
    return tuple(sorted(by_hash[:count]))


def shuffled(pool: Sequence[str], count: int, seed: int) -> tuple[str, ...]:
    """Return the first ``count`` ids of the sorted pool after ``random.Random(seed).shuffle``, sorted.

    >>> shuffled("abcdef", 2, 0)
    ('c', 'e')
    """
    _check_count(count, pool)
    ids = sorted(pool)
    random.Random(seed).shuffle(ids)
    return tuple(sorted(ids[:count]))


def shuffle_seed(source: str) -> int | None:
    """Return the seed of the source ``shuffled with seed <k>``, None for any other source."""
    match = _SHUFFLED.fullmatch(source)
    return int(match[1]) if match else None


def numbered(source: str | None, count: int) -> tuple[str, ...] | None:
    """Return the ids of the source ``numbered <first id>``, None for any other source.

    >>> numbered("numbered ADE_val_00000001", 2)
    ('ADE_val_00000001', 'ADE_val_00000002')
    """
    match = _NUMBERED.fullmatch(source or "")
    if match is None:
        return None
    width = len(match[0]) - match.end(1)
    return tuple(f"{match[1]}{number:0{width}}" for number in range(1, count + 1))


def _check_count(count: int, pool: Sequence[str]) -> None:
    if count > len(pool):
        raise UsageError(f"{count} labelled images were asked for, the pool has {len(pool)}", "Ask for fewer, or for 'all'.")
