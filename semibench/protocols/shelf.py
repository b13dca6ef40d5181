"""Where lists can be found: a folder of them, those that are kept, rules, and the data set itself."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from semibench.errors import DataError, SemibenchError
from semibench.hashing import digest_ids
from semibench.protocols import lists, names, pins, sources
from semibench.protocols.datasets.base import Dataset
from semibench.protocols.partition import numbered
from semibench.protocols.pins import Pin
from semibench.protocols.protocol import Protocol, Split

INDEX = "INDEX.csv"  # columns dataset, protocol, list, source, sha256_sorted; files <dataset>/<protocol>/<list>.txt


Row = dict[str, str]


class Claim(NamedTuple):
    """Files that by their place claim to be a pinned list."""

    pin: Pin | None  # None: the catalogue knows no such list
    paths: tuple[Path, ...]
    source: sources.Source | None = None  # how to read more than one file

    def ids(self) -> tuple[str, ...]:
        """Return the ids; raise DataError when they cannot be read."""
        if self.source is None or len(self.paths) == 1:
            return lists.read(self.paths[0])
        return self.source.ids([path.read_bytes() for path in self.paths], str(self.paths[0]))


class Shelf:
    """Official lists, whatever they come from; None where one is not at hand."""

    def __init__(self, folder: Path | None = None, data_root: Path | None = None) -> None:
        self.claims = claims(folder) if folder else []
        self._by_digest = {claim.pin.sha256: claim for claim in self.claims if claim.pin and claim.pin.sha256}
        self._data_root = data_root
        self._datasets: dict[str, Dataset | None] = {}
        self._found: dict[str, tuple[str, ...]] = {}
        self._read: dict[tuple[Path, ...], tuple[str, ...]] = {}

    def read(self, claim: Claim) -> tuple[str, ...]:
        """Return the ids of one of the claims; raise DataError when they cannot be read."""
        if claim.paths not in self._read:
            self._read[claim.paths] = claim.ids()
        return self._read[claim.paths]

    def find(self, sha256: str) -> tuple[str, ...] | None:
        """Return the list with this digest from the folder, or the kept one."""
        if sha256 not in self._found:
            claim = self._by_digest.get(sha256)
            ids = self.read(claim) if claim else ()
            official = ids if digest_ids(ids) == sha256 else lists.kept(sha256)
            if official is None:
                return None
            self._found[sha256] = official
        return self._found[sha256]

    def subset(self, protocol: Protocol, name: str) -> Sequence[str] | None:
        """Return the ids of a subset of the protocol's data set."""
        pinned = protocol.subsets[name]
        found = self.find(pinned.sha256) or numbered(pinned.source, pinned.count)
        if found is None and (dataset := self.dataset(protocol)):
            on_disk = dataset.ids(name)
            found = tuple(on_disk) if digest_ids(on_disk) == pinned.sha256 else None
        return found

    def dataset(self, protocol: Protocol) -> Dataset | None:
        """Return the protocol's data set where the data root holds it, or where it needs none."""
        if protocol.dataset not in self._datasets:
            try:
                self._datasets[protocol.dataset] = protocol.open(self._data_root)
            except SemibenchError:
                self._datasets[protocol.dataset] = None
        return self._datasets[protocol.dataset]

    def labeled(self, protocol: Protocol) -> Sequence[str] | None:
        """Return the labelled ids of a protocol, even where its pool is not at hand."""
        if protocol.list is not None:
            return protocol.computed() or self.find(protocol.list.sha256)
        split = self.split(protocol)
        return split.labeled if split else None

    def split(self, protocol: Protocol) -> Split | None:
        """Return both lists of a protocol."""
        pool = self.subset(protocol, protocol.pool)
        pinned = [pin for pin in (protocol.list, protocol.unlabeled) if pin]
        if pool is None or any(self.find(pin.sha256) is None for pin in pinned if protocol.computed() is None):
            return None
        return protocol.divide(pool, lambda sha256: self.find(sha256) or ())


def claims(folder: Path) -> list[Claim]:
    """Return what the files of a folder claim to be: a collection with an INDEX.csv, or a checkout of a repository.

    Raises DataError when there is no such folder.
    """
    if not folder.is_dir():
        raise DataError(f"folder {folder} not found", "Name a folder of lists, or a checkout of a repository that has them.")
    return list(_by_index(folder) if (folder / INDEX).is_file() else _by_path(folder))


def _by_path(folder: Path) -> Iterator[Claim]:
    for pin in pins.everything():
        if source := sources.locate(pin.source):
            paths = tuple(folder / file.path for file in source.files)
            if all(path.is_file() for path in paths):
                yield Claim(pin, paths, source)


def _by_index(folder: Path) -> Iterator[Claim]:
    with (folder / INDEX).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    known = pins.everything()
    for row in rows:
        place = [row["dataset"], *([] if row["protocol"] == "-" else [row["protocol"]])]
        beside = [other for other in rows if (other["dataset"], other["protocol"]) == (row["dataset"], row["protocol"])]
        pin = _subset(row, known) if row["protocol"] == "-" else _list(row, beside, known)
        yield Claim(pin, (folder.joinpath(*place) / f"{row['list']}.txt",))


def _subset(row: Row, known: Sequence[Pin]) -> Pin | None:
    return next((pin for pin in known if pin.sha256 == row["sha256_sorted"] and pin.owner in names.documents()), None)


def _list(row: Row, beside: Sequence[Row], known: Sequence[Pin]) -> Pin | None:
    """Return the pin of one list of a folder.

    Protocols that share their labelled list are told apart by their own unlabelled lists, then by the source.
    """
    digests = {other["list"]: other["sha256_sorted"] for other in beside}
    own = [pin for pin in known if pin.kind == pins.UNLABELED and pin.sha256 == digests.get(pins.UNLABELED)]
    same = [pin for pin in known if pin.kind == pins.LABELED and pin.sha256 == digests.get(pins.LABELED)]
    with_own = {pin.owner for pin in known if pin.kind == pins.UNLABELED}
    if own:
        owner = own[0].owner
    elif plain := sorted((pin for pin in same if pin.owner not in with_own), key=lambda pin: pin.source != row["source"]):
        owner = plain[0].owner
    else:
        return None
    pinned = [pin for pin in known if (pin.owner, pin.kind) == (owner, row["list"])]
    return pinned[0] if pinned else _derived(owner)


def _derived(owner: str) -> Pin:
    entry = names.resolve(owner)
    pool = entry.document["subsets"][entry.table.get("pool", "train")]["count"]
    return Pin(owner, pins.UNLABELED, pool - entry.table["labeled"], None, None)
