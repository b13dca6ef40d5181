"""Folders of runs -> results; the JSON files are the only truth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from semibench.errors import NotConformantError
from semibench.reports import result as record
from semibench.reports.listing import RESULT, RunSummary, find, summarize
from semibench.reports.result import Result


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


def read(folders: Sequence[Path]) -> Collection:
    """Read every run in and below ``folders``.

    A run found several times is one run. Raises DataError for a result that cannot be read, and NotConformantError when
    copies of a run have other scores.
    """
    copies: dict[str, list[tuple[Path, Result]]] = {}
    left_out = []
    for folder in find(folders):
        file = folder / RESULT
        if file.exists():
            result = record.read(file)
            copies.setdefault(result.run_id, []).append((folder, result))
        else:
            left_out.append(summarize(folder))
    found = {run_id: same[0][0] for run_id, same in copies.items()}
    return Collection(tuple(_one_of(same) for same in copies.values()), tuple(left_out), found)


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
