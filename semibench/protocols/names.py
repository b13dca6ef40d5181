"""Names of protocols, read from the catalogue with the standard library alone.

``<data set>-<count>[@family]``: the count is the number of labelled images or ``all``; the family tells apart the lists of
that length that exist. The family ``hash<k>`` exists for every data set and every count. The bare name without family means
the family that the catalogue marks as canonical; where there is none, it is an error that names the families.

Papers have other names, such as "1/16 blended" on VOC. They are aliases: the data set, then the paper's words, as in
``voc-1/16 U2PL`` or ``"voc 1/16 u2pl"``; case, and whether a dash or a space stands between words, do not count. An alias is
one protocol's name only if the papers agree on it; otherwise it is an error that names the protocols that it may mean.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from semibench.errors import SemibenchError, UsageError, unknown

CATALOG = Path(__file__).parent / "catalog"
_NEXT_STEP = "Run 'semibench list protocols'."
_NAME = re.compile(r"(?P<dataset>[a-z0-9_]+)-(?P<count>all|[1-9][0-9]*)(?:@(?P<family>[a-z0-9_-]+))?")
_HASHED = re.compile(r"hash(0|[1-9][0-9]*)")


class Entry(NamedTuple):
    """One protocol of the catalogue: its full name, its own table, and the file of its data set."""

    name: str
    table: Mapping[str, Any]
    document: Mapping[str, Any]

    @property
    def dataset(self) -> str:
        """Name of the data set."""
        return str(self.document["dataset"])

    @property
    def aliases(self) -> list[str]:
        """Other names: the bare one where this protocol is canonical, and those of papers."""
        bare = [f"{self.dataset}-{self.table['labeled']}"] if self.table.get("canonical") else []
        return bare + [f"{self.dataset} {words}" for words in self.table.get("aliases", ())]


@cache
def documents() -> Mapping[str, Mapping[str, Any]]:
    """Return data set -> its file of the catalogue."""
    read = (tomllib.loads(path.read_text(encoding="utf-8")) for path in sorted(CATALOG.glob("*.toml")))
    return {document["dataset"]: document for document in read}


@cache
def entries() -> Mapping[str, Entry]:
    """Return every protocol that the catalogue names."""
    found = (
        Entry(name, table, document)
        for document in documents().values()
        for name, table in document.get("protocols", {}).items()
    )
    return {entry.name: entry for entry in found}


def resolve(name: str) -> Entry:
    """Return the entry for ``name``, making one up for a hashed partition that the catalogue does not list.

    Raises UsageError with the nearest names, or with those that an ambiguous one may mean.
    """
    if name in entries():
        return entries()[name]
    match = _NAME.fullmatch(name)
    siblings = [entry for entry in entries().values() if match and entry.dataset == match["dataset"]]
    if match is None or not siblings:
        return _by_alias(name)
    count = match["count"] if match["count"] == "all" else int(match["count"])
    same_count = [entry for entry in siblings if entry.table["labeled"] == count]
    if match["family"] is None:
        return _bare(name, same_count)
    for entry in same_count:
        if entry.table.get("family") == match["family"]:
            return entry
    if _HASHED.fullmatch(match["family"]) is None or count == "all":
        raise unknown("protocol", name, entries(), _NEXT_STEP)
    about = f"{count} images, hashed partition {match['family'].removeprefix('hash')}"
    return Entry(name, {"labeled": count, "family": match["family"], "about": about}, siblings[0].document)


def hash_seed(family: str) -> int | None:
    """Return k of the family ``hash<k>``, None for any other family.

    >>> hash_seed("hash3"), hash_seed("cps")
    (3, None)
    """
    match = _HASHED.fullmatch(family)
    return int(match[1]) if match else None


def _bare(name: str, same_count: list[Entry]) -> Entry:
    if not same_count:
        hint = f"Any number of labelled images can be had as a hashed partition: '{name}@hash0'."
        raise unknown("protocol", name, entries(), hint)
    for entry in same_count:
        if entry.table.get("canonical"):
            return entry
    raise UsageError(
        f"protocol '{name}' does not say which {same_count[0].table['labeled']} images are labelled; "
        f"there is {_names(same_count)}",
        f"Name one of them, or any hashed partition such as {name}@hash1.",
    )


def _by_alias(name: str) -> Entry:
    wanted = _plain(name)
    found = [entry for entry in entries().values() if wanted in map(_plain, entry.aliases)]
    if len(found) == 1:
        return found[0]
    started = found or [entry for entry in entries().values() if _starts_one(wanted, entry)]
    raise _ambiguous(name, started) if started else unknown("protocol", name, entries(), _NEXT_STEP)


def _starts_one(words: str, entry: Entry) -> bool:
    return any(_plain(alias).startswith(f"{words} ") for alias in entry.aliases) and words != _plain(entry.dataset)


def _plain(alias: str) -> str:
    return " ".join(alias.casefold().replace("-", " ").split())


def _ambiguous(name: str, candidates: list[Entry]) -> SemibenchError:
    return UsageError(f"'{name}' may mean {_names(candidates)}", "Name one of them.")


def _names(candidates: Iterable[Entry]) -> str:
    return ", ".join(entry.name for entry in candidates)
