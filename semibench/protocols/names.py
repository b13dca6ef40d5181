"""Names of protocols, read from the catalogue with the standard library alone.

``<data set>-<count>[@family]``: the count is the number of labelled images or ``all``; the family tells apart the lists of
that length that exist. The family ``hash<k>`` exists for every data set and every count.
"""

import re
import tomllib
from collections.abc import Mapping
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


@cache
def entries() -> Mapping[str, Entry]:
    """Return every protocol that the catalogue names."""
    found = {}
    for path in sorted(CATALOG.glob("*.toml")):
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        for name, table in document.get("protocols", {}).items():
            found[name] = Entry(name, table, document)
    return found


def resolve(name: str) -> Entry:
    """Return the entry for ``name``, making one up for a hashed partition that the catalogue does not list.

    Raises UsageError with the nearest names, or with the families where a bare name is ambiguous.
    """
    if name in entries():
        return entries()[name]
    match = _NAME.fullmatch(name)
    siblings = [entry for entry in entries().values() if match and entry.document["dataset"] == match["dataset"]]
    if match is None or not siblings:
        raise unknown("protocol", name, entries(), _NEXT_STEP)
    count = match["count"] if match["count"] == "all" else int(match["count"])
    same_count = [entry for entry in siblings if entry.table["labeled"] == count]
    if match["family"] is None:
        raise _ambiguous(name, same_count) if same_count else unknown("protocol", name, entries(), _hash_hint(name))
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


def _ambiguous(name: str, candidates: list[Entry]) -> SemibenchError:
    families = ", ".join(entry.name for entry in candidates)
    return UsageError(
        f"protocol '{name}' does not say which {candidates[0].table['labeled']} images are labelled; there is {families}",
        f"Name one of them, or any hashed partition such as {name}@hash1.",
    )


def _hash_hint(name: str) -> str:
    return f"Any number of labelled images can be had as a hashed partition: '{name}@hash0'."
