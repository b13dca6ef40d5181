"""Partitions that need no list: the labelled ids are those with the smallest hashes."""

import hashlib
from collections.abc import Sequence

from semibench.errors import UsageError


def hashed(pool: Sequence[str], count: int, seed: int) -> tuple[str, ...]:
    """Return the ``count`` ids of ``pool`` with the smallest SHA-256 of ``"{seed}/{id}"``, sorted.

    The choice depends on nothing else, so a larger count contains every smaller one, and anyone can recompute it.

    >>> set(hashed("abcdef", 2, 0)) < set(hashed("abcdef", 4, 0))
    True
    """
    if count > len(pool):
        raise UsageError(f"{count} labelled images were asked for, the pool has {len(pool)}", "Ask for fewer, or for 'all'.")
    by_hash = sorted(pool, key=lambda id: hashlib.sha256(f"{seed}/{id}".encode()).digest())
    return tuple(sorted(by_hash[:count]))
