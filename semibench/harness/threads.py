"""Work that threads do ahead, handed on in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_AHEAD = 4  # calls under way

In = TypeVar("In")
Out = TypeVar("Out")


def in_order(pool: ThreadPoolExecutor, work: Callable[[In], Out], inputs: Iterable[In]) -> Iterator[Out]:
    """Yield ``work`` of each input in order, computed by the pool's threads at most a few inputs ahead.

    >>> with ThreadPoolExecutor(2) as pool:
    ...     list(in_order(pool, abs, [-1, 2, -3]))
    [1, 2, 3]
    """
    pending: deque[Future[Out]] = deque()
    for value in inputs:
        pending.append(pool.submit(work, value))
        if len(pending) > _AHEAD:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()
