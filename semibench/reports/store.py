"""Folders of runs -> results; the JSON files are the only truth."""

import gc
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from multiprocessing import get_context
from pathlib import Path

from semibench import workers
from semibench.errors import NotConformantError
from semibench.reports import result as record
from semibench.reports.listing import RESULT, RunSummary, find, summarize
from semibench.reports.result import Result

_MANY = 2000  # results; fewer are read before another process has started
_CHUNK = 200  # results that a process hands over at a time
_MOST = 8  # processes; this one takes over what they read and has no time for more


@dataclass(frozen=True)
class Collection:
    """What folders hold: one result for each complete run, and the runs that a table leaves out."""

    results: tuple[Result, ...]
    left_out: tuple[RunSummary, ...] = ()
    folders: Mapping[str, Path] = field(default_factory=dict)  # run id -> where its counts per image lie

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """The classes of all protocols, each name once."""
        by_protocol = {result.protocol: result.class_names for result in self.results}
        return tuple(dict.fromkeys(name for names in by_protocol.values() for name in names))


def read(folders: Sequence[Path], processes: int = 1) -> Collection:
    """Read every run in and below ``folders``; thousands of them with the help of up to ``processes`` processes.

    A run found several times is one run. Raises DataError for a result that cannot be read, and NotConformantError when
    copies of a run have other scores.
    """
    complete: list[Path] = []
    left_out: list[Path] = []
    for folder in find(folders):
        (complete if (folder / RESULT).exists() else left_out).append(folder)
    copies: dict[str, list[tuple[Path, Result]]] = {}
    for folder, result in zip(complete, _results(complete, processes), strict=True):
        copies.setdefault(result.run_id, []).append((folder, result))
    found = {run_id: same[0][0] for run_id, same in copies.items()}
    return Collection(tuple(map(_one_of, copies.values())), tuple(map(summarize, left_out)), found)


def _results(folders: Sequence[Path], processes: int) -> Iterator[Result]:
    files = [folder / RESULT for folder in folders]
    if processes == 1 or len(files) < _MANY:
        yield from map(record.read, files)
        return
    context = get_context("spawn")  # fork copies locks of threads that it does not copy
    with ProcessPoolExecutor(min(processes, _MOST), context, initializer=_prepare_process) as pool:
        yield from pool.map(record.read, files, chunksize=_CHUNK)


def _prepare_process() -> None:
    workers.begin()
    gc.disable()  # records hold no cycles


def _one_of(copies: list[tuple[Path, Result]]) -> Result:
    """Return one of several copies of a run, whatever the order in which they were found."""
    first_folder, first = copies[0]
    if len(copies) == 1:
        return first
    for folder, result in copies:
        if result.confusion != first.confusion:
            raise NotConformantError(
                f"the run {first.run_id[:12]} has mIoU {first.miou:.4f} in {first_folder} and {result.miou:.4f} in {folder}",
                "One run has one score: find out which one is right and remove the other folder.",
            )
    return min((result for _, result in copies), key=Result.model_dump_json)
