"""Every list that the catalogue pins, with its digest and public source; read with the standard library alone."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

from semibench.protocols import lists, names

LABELED, UNLABELED = "labeled", "unlabeled"
State = Literal["computed", "at hand", "to fetch"]


class Pin(NamedTuple):
    """A list: whose it is, which of its lists, and what it must be."""

    owner: str  # protocol, or data set where it is a subset
    kind: str  # 'labeled', 'unlabeled', or the name of a subset
    size: int
    sha256: str | None  # of the sorted ids; None: derived, what the pool has besides the labelled
    source: str | None  # where it is published, or its rule; None: the files of the data set

    @property
    def title(self) -> str:
        """What messages call it."""
        return f"list '{self.kind}' of {self.owner}"


def everything() -> list[Pin]:
    """Return every pinned list of the catalogue, once for each owner."""
    subsets = (pin for document in names.documents().values() for pin in _subsets(document))
    return [*subsets, *(pin for entry in names.entries().values() for pin in own(entry))]


def own(entry: names.Entry) -> list[Pin]:
    """Return the pinned lists of one protocol, without the subsets that it shares with others."""
    table, found = entry.table, []
    if listed := table.get("list"):
        found.append(Pin(entry.name, LABELED, table["labeled"], listed["sha256"], listed["source"]))
    if listed := table.get("unlabeled"):
        found.append(Pin(entry.name, UNLABELED, listed["count"], listed["sha256"], listed["source"]))
    return found


def needed(entry: names.Entry) -> list[Pin]:
    """Return the lists of one protocol, its pool, and the subsets that it is scored on."""
    used = used_subsets(entry.document, entry.table)
    return [*(pin for pin in _subsets(entry.document) if pin.kind in used), *own(entry)]


def used_subsets(document: Mapping[str, Any], table: Mapping[str, Any] = {}) -> set[str]:
    """Return the pool and the subsets that are scored on, of a data set or of one protocol's own table."""
    rule = document["rules"][table.get("evaluation", document["evaluation"])]
    return {table.get("pool", document.get("pool", "train")), rule["select_on"], rule["report_on"]}


def by_digest(pins: Iterable[Pin]) -> dict[str, list[Pin]]:
    """Return the pins of each digest: some lists have several owners."""
    found: dict[str, list[Pin]] = {}
    for pin in pins:
        if pin.sha256:
            found.setdefault(pin.sha256, []).append(pin)
    return found


def is_published(pin: Pin) -> bool:
    """Return whether the list lies in a public repository, rather than following from a rule or from the data set."""
    return pin.source is not None and "@" in pin.source


def state(entry: names.Entry) -> State:
    """Return whether the lists of a protocol need no file, are kept, or have to be fetched or imported first."""
    published = [pin for pin in own(entry) if is_published(pin)]
    if not published:
        return "computed"
    is_kept = all(lists.path_of(pin.sha256 or "").is_file() for pin in published)
    return "at hand" if is_kept else "to fetch"


def _subsets(document: Mapping[str, Any]) -> list[Pin]:
    return [
        Pin(document["dataset"], name, pinned["count"], pinned["sha256"], pinned.get("source"))
        for name, pinned in document.get("subsets", {}).items()
    ]
