"""Convert annotations that are no index masks to such masks, once, in the cache; a prepared mask is only faster to read.

The data set is opened and its annotations parsed in one process; the others get per mask what its decoding needs and no more.
"""

import multiprocessing
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from semibench import workers as pool_workers
from semibench.errors import DataError
from semibench.files import replacing
from semibench.protocols.datasets.base import Dataset
from semibench.protocols.inventory import available

CHUNK = 32  # masks handed to a process at once

OnDone = Callable[[int], None]  # masks that were just converted


class _Job(NamedTuple):
    """One mask to convert: its id, the decoding, and the file to write."""

    id: str
    decode: Callable[[], NDArray[np.uint8]]
    target: Path


def pending(dataset: Dataset) -> list[str]:
    """Return the ids without a current prepared mask, none where the masks need no conversion."""
    if dataset.conversion is None:
        return []
    ids = dict.fromkeys(id for listed in available(dataset).ids.values() for id in listed)
    return [id for id in ids if not dataset.is_prepared(id)]


def prepare(dataset: Dataset, ids: Sequence[str], workers: int, on_done: OnDone) -> None:
    """Write the prepared mask of each id; an interrupted call leaves whole files alone behind, and pending() the rest.

    Raises DataError naming the annotations that could not be decoded, after all others are converted.
    """
    jobs = (_Job(id, dataset.decoder(id), dataset.prepared(id)) for id in ids)
    chunks = iter(lambda: list(islice(jobs, CHUNK)), [])
    failures: list[str] = []
    with closing(_convert_here(chunks) if workers <= 1 else _convert_in_processes(chunks, workers)) as converted:
        for done, failed in converted:
            failures += failed
            on_done(done)
    if failures:
        raise DataError(
            f"{len(failures)} of {len(ids)} annotations could not be converted, among them: {'; '.join(sorted(failures)[:5])}",
            f"Mend those files and give the same command again; '{dataset.name}' is prepared but for them.",
        )


def _convert_here(chunks: Iterator[list[_Job]]) -> Generator[tuple[int, list[str]]]:
    for chunk in chunks:
        yield _convert(chunk)


def _convert_in_processes(chunks: Iterator[list[_Job]], workers: int) -> Generator[tuple[int, list[str]]]:
    """Convert with only as many chunks in the air as keep every process busy: jobs may be large."""
    context = multiprocessing.get_context("spawn")  # fork copies locks of threads that it does not copy
    with ProcessPoolExecutor(workers, context, initializer=pool_workers.begin) as pool:
        running: set[Future[tuple[int, list[str]]]] = set()
        try:
            while True:
                running |= {pool.submit(_convert, chunk) for chunk in islice(chunks, 2 * workers - len(running))}
                if not running:
                    return
                finished, running = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    yield future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _convert(jobs: Sequence[_Job]) -> tuple[int, list[str]]:
    """Convert a chunk; return how many masks it was and what failed."""
    failures = []
    for job in jobs:
        try:
            mask = job.decode()
        except DataError as error:
            failures.append(f"{job.id}: {error.what}")
        else:
            with replacing(job.target) as draft:
                Image.fromarray(mask).save(draft, "PNG", compress_level=1)  # a third of the time, twice the little size
    return len(jobs), failures
