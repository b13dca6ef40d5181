"""What of a data set is on disk: archives, lists, files and prepared masks, looked at but not read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from semibench import plugins
from semibench.errors import DataError, SemibenchError
from semibench.protocols import pins
from semibench.protocols.archive import archives
from semibench.protocols.datasets.base import Dataset
from semibench.protocols.fetching import absent, home
from semibench.protocols.names import documents
from semibench.protocols.partition import Subset


@dataclass(frozen=True)
class ArchiveState:
    """One published file: ``unpacked``, ``fetched`` but not unpacked, ``begun``, or ``missing``."""

    name: str
    state: str
    optional: bool
    bytes: int  # of its file that are on disk
    how: str  # to get it


@dataclass(frozen=True)
class SubsetState:
    """One list of images and the files that belong to it."""

    count: int
    expected: int | None  # None: the catalogue does not say
    incomplete: int  # images without file or without annotation
    bytes: int
    prepared: int | None  # masks; None: none needs it


@dataclass(frozen=True)
class Inventory:
    """One data set: where it is, or why not, and what there is of it."""

    dataset: str
    root: str | None  # None: not found, or drawn by the program
    problem: str | None
    archives: Sequence[ArchiveState]
    subsets: Mapping[str, SubsetState]
    absent: Mapping[str, str]  # subset -> why it is not there


class Available(NamedTuple):
    """The ids of each subset that is on disk, and why the others are not."""

    ids: dict[str, Sequence[str]]
    absent: dict[str, DataError]


def take(name: str, root: Path | None) -> Inventory:
    """Look at everything that belongs to a data set at or below ``root``."""
    try:
        dataset = plugins.find_class(plugins.DATASET, name, Dataset)(root)
        ids, absent = available(dataset)
        subsets = {subset: _look(dataset, subset, listed) for subset, listed in ids.items()}
    except SemibenchError as error:
        return Inventory(name, None, str(error), _archive_states(name, root, None), {}, {})
    place = str(dataset.root) if dataset.root else None
    reasons = {subset: str(error) for subset, error in absent.items()}
    return Inventory(name, place, None, _archive_states(name, root, dataset.root), subsets, reasons)


def available(dataset: Dataset) -> Available:
    """Return the ids of each subset that is on disk; raise DataError with the first reason when none is."""
    found = Available({}, {})
    for subset in dataset.subsets:
        try:
            found.ids[subset] = dataset.ids(subset)
        except DataError as error:  # not all publish, or everybody keeps, all of them
            found.absent[subset] = error
    if not found.ids:
        raise next(iter(found.absent.values()))
    return found


def expected(name: str) -> dict[str, Subset]:
    """Return what the catalogue says about the lists of a data set."""
    tables = documents().get(name, {}).get("subsets", {})
    return {subset: Subset.parse(table, f"the subsets of '{name}'", DataError) for subset, table in tables.items()}


def required(name: str) -> set[str]:
    """Return the subsets that the protocols of a data set train on and are scored on, unless they say otherwise."""
    document = documents().get(name, {})
    return pins.used_subsets(document) if "rules" in document else set()


def _archive_states(name: str, root: Path | None, found: Path | None) -> list[ArchiveState]:
    if root is None:
        return []
    folder = home(name, root)
    states = []
    for archive in archives(name):
        file = folder / "archives" / archive.name
        part = file.with_name(f"{archive.name}.part")
        state, size = "missing", 0
        if not absent(archive, folder, found):
            state = "unpacked"
        elif file.is_file() or part.is_file():
            state, size = ("fetched", file.stat().st_size) if file.is_file() else ("begun", part.stat().st_size)
        how = f"semibench data fetch {name}" if archive.urls else f"by hand from {archive.page}"
        states.append(ArchiveState(archive.name, state, archive.optional, size, how))
    return states


def _look(dataset: Dataset, subset: str, ids: Sequence[str]) -> SubsetState:
    sizes = {path: path.stat().st_size if path.is_file() else None for id in ids for path in dataset.files(id)}
    incomplete = sum(any(sizes[path] is None for path in dataset.files(id)) for id in ids)
    known = expected(dataset.name).get(subset)
    return SubsetState(
        count=len(ids),
        expected=known.count if known else None,
        incomplete=incomplete,
        bytes=sum(size or 0 for size in sizes.values()),
        prepared=None if dataset.conversion is None else sum(map(dataset.is_prepared, ids)),
    )
