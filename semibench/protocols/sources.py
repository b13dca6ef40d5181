"""Public sources of lists: files of public repositories at a commit, downloaded or in a checkout.

A source reads ``owner/name@commit:path``. Lists that were published as a permutation of another list read
``<source of the permutation> applied to <source of the list> (first n)``.
"""

import os
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from semibench.errors import DataError, RunFailedError
from semibench.hashing import digest_ids
from semibench.protocols import lists
from semibench.protocols.permutation import read_permutation
from semibench.protocols.pins import Pin

VARIABLE = "SEMIBENCH_LISTS_URL"
BASE_URL = "https://raw.githubusercontent.com"
TIMEOUT = 30.0  # seconds without an answer
_FILE = re.compile(r"(?P<repository>[\w.-]+/[\w.-]+)@(?P<commit>[0-9a-f]{40}):(?P<path>\S+)")
_APPLIED = re.compile(r"(?P<permutation>\S+) applied to (?P<list>\S+) \(first (?P<count>\d+)\)")


class File(NamedTuple):
    """A file of a public repository."""

    repository: str  # owner/name
    commit: str
    path: str

    def url(self, base: str) -> str:
        """Return where it can be downloaded, below ``base``."""
        return f"{base.rstrip('/')}/{self.repository}/{self.commit}/{urllib.parse.quote(self.path)}"


class Source(NamedTuple):
    """The files of a list: the list itself, or a permutation, then the list of which it takes the first few."""

    files: tuple[File, ...]
    first: int | None = None  # how many

    def ids(self, contents: Sequence[bytes], title: str) -> tuple[str, ...]:
        """Return the ids that the contents of the files say; raise DataError when they are not what they should be."""
        if self.first is None:
            return lists.parse(contents[0], title)
        ids = lists.parse(contents[1], f"the list that {title} permutes")
        order = read_permutation(contents[0], f"the permutation of {title}")
        if len(order) != len(ids):
            raise DataError(f"the permutation of {title} has {len(order)} places for {len(ids)} ids", "Fetch both again.")
        return tuple(ids[place] for place in order[: self.first])


def locate(source: str | None) -> Source | None:
    """Return the files that a source names, None for a rule or where there is no source."""
    if applied := _APPLIED.fullmatch(source or ""):
        files = (_file(applied["permutation"]), _file(applied["list"]))
        return Source(tuple(file for file in files if file), int(applied["count"]))
    file = _file(source or "")
    return Source((file,)) if file else None


def fetch(pin: Pin, base: str | None = None) -> Path:
    """Download a list, check its digest and keep it; return the kept file.

    Raises RunFailedError when it cannot be had, DataError when what was had is another list.
    """
    source = locate(pin.source)
    if source is None:
        raise DataError(f"{pin.title} has no public source", "Its rule, or the files of the data set, give it.")
    base = base or os.environ.get(VARIABLE) or BASE_URL
    ids = source.ids([download(file.url(base)) for file in source.files], pin.title)
    return keep(pin, ids)


def keep(pin: Pin, ids: Sequence[str]) -> Path:
    """Keep a list that is the pinned one; raise DataError naming both digests when it is not."""
    found = digest_ids(ids)
    if found != pin.sha256:
        raise DataError(
            f"the {pin.title} is another list: {len(ids)} ids with the digest {found}, expected {pin.size} with {pin.sha256}",
            "Take it from the public source that 'semibench protocol show' names.",
        )
    return lists.keep(ids)


def download(url: str) -> bytes:
    """Return what is at ``url``; raise RunFailedError when it does not answer in time, or answers with too much."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
            content: bytes = answer.read(lists.MAX_BYTES + 1)
    except urllib.error.HTTPError as error:
        error.close()
        raise _unreachable(url, error) from error
    except (OSError, ValueError) as error:
        raise _unreachable(url, getattr(error, "reason", error)) from error
    if len(content) > lists.MAX_BYTES:
        raise RunFailedError(f"{url} is larger than {lists.MAX_BYTES // 2**20} MiB, which no list is", "Check the address.")
    return content


def _unreachable(url: str, reason: object) -> RunFailedError:
    return RunFailedError(
        f"{url} cannot be had: {reason}",
        f"Check the connection, set {VARIABLE} to a mirror, or import a checkout with 'semibench protocol import'.",
    )


def _file(source: str) -> File | None:
    match = _FILE.fullmatch(source)
    return File(match["repository"], match["commit"], match["path"]) if match else None
