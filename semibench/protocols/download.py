"""Fetch an archive over HTTP: resumed where it broke, from the next mirror where one fails, checked before it is trusted.

Pooch is not used: it neither resumes nor tries mirrors nor asks for disk space, which leaves a line of hashlib.
"""

import hashlib
import shutil
from collections.abc import Callable
from email.message import Message
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from semibench.errors import DataError, RunFailedError
from semibench.protocols.archive import Archive

BLOCK = 1 << 20  # bytes
TIMEOUT = 60.0  # seconds without a byte

OnProgress = Callable[[int, int | None], None]  # bytes that are there, bytes in all


class _MirrorError(Exception):
    """One mirror cannot give the file; another one may."""


def download(archive: Archive, folder: Path, on_progress: OnProgress) -> Path:
    """Return the archive's file in ``folder``, fetched as far as it is not there and checked against size and digest.

    Raises RunFailedError when disk space is short or every mirror failed, DataError when the file is another one.
    """
    target = folder / archive.name
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f"{archive.name}.part"
        _fetch(archive, part, on_progress)
        part.replace(target)
    check(archive, target)
    return target


def check(archive: Archive, path: Path) -> None:
    """Accept the archive's file, or set it aside as ``<name>.wrong-<digest>`` and raise DataError with both digests."""
    if archive.digest is None:
        raise DataError(f"no digest of {archive.name} is known", f"Get it from {archive.page} and unpack it yourself.")
    algorithm, expected = archive.digest
    with path.open("rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()
    size = path.stat().st_size
    if found == expected and archive.size in (None, size):
        return
    aside = path.with_name(f"{path.name}.wrong-{found[:12]}")
    path.replace(aside)
    raise DataError(
        f"{archive.name} has {size} bytes with the {algorithm} {found}, "
        f"expected were {archive.size or 'any number of'} bytes with {expected}; it was set aside as {aside.name}",
        "Delete it and fetch again; if it stays so, the publisher has changed the file, or something on the way does.",
    )


def require_space(folder: Path, needed: int, what: str) -> None:
    """Raise RunFailedError with both figures unless ``needed`` bytes are free where ``folder`` is or will be."""
    existing = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise RunFailedError(
            f"{what} needs {gigabytes(needed)}, {gigabytes(free)} are free in {existing}",
            "Free some space, or choose another --data-root.",
        )


def gigabytes(size: int) -> str:
    """Return a number of bytes for people.

    >>> gigabytes(1_999_639_040), gigabytes(52_000)
    ('2.00 GB', '0.05 MB')
    """
    return f"{size / 1e9:.2f} GB" if size >= 1e8 else f"{size / 1e6:.2f} MB"


def _fetch(archive: Archive, part: Path, on_progress: OnProgress) -> None:
    """Fill ``part`` from the first mirror that can."""
    if archive.size:
        _require_space(archive, part, archive.size)
    failures = []
    for url in archive.urls:
        try:
            return _from_mirror(archive, url, part, on_progress)
        except _MirrorError as error:
            failures.append(f"{url}: {error}")
    have = f"; {gigabytes(_size(part))} of it are kept" if part.exists() else ""
    raise RunFailedError(
        f"{archive.name} could not be fetched ({'; '.join(failures)}){have}",
        f"Give the same command again, which continues where this one stopped, or put the file into {part.parent} yourself.",
    )


def _from_mirror(archive: Archive, url: str, part: Path, on_progress: OnProgress) -> None:
    """Fill ``part`` from one mirror, connecting again where a transfer breaks, as long as each connection brings something."""
    while True:
        have = _size(part)
        try:
            return _transfer(archive, url, part, on_progress)
        except HTTPError as error:
            raise _MirrorError(f"{error.code} {error.reason}") from error
        except (OSError, HTTPException) as error:  # no connection, none any more, or a time-out
            if _size(part) <= have:
                raise _MirrorError(str(error) or type(error).__name__) from error


def _transfer(archive: Archive, url: str, part: Path, on_progress: OnProgress) -> None:
    """Append what is missing of the file to ``part``; write it from the start where the server sends all of it."""
    have = _size(part)
    if archive.size and have >= archive.size:
        return  # whole, and checked by the caller
    headers = {"User-Agent": "semibench"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        response = urlopen(Request(url, headers=headers), timeout=TIMEOUT)
    except HTTPError as error:
        if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and _total(error.headers) == have:
            return  # there is no more of it
        raise
    with response:
        start = have if response.status == HTTPStatus.PARTIAL_CONTENT else 0
        total = _total(response.headers)
        if archive.size and total not in (None, archive.size):
            raise _MirrorError(f"it offers {total} bytes instead of {archive.size}")
        if total and not archive.size:
            _require_space(archive, part, total)
        done = start + _copy(response, part, start, lambda here: on_progress(here, total or archive.size))
    if total and done < total:
        raise ConnectionError(f"the connection ended at {done} of {total} bytes")


def _copy(response: HTTPResponse, part: Path, start: int, on_progress: Callable[[int], None]) -> int:
    """Write a body into ``part`` from byte ``start`` on; return its length."""
    try:
        file = part.open("r+b" if start else "wb")
    except OSError as error:
        raise _unwritable(part, error) from error
    with file:
        file.seek(start)
        while block := response.read(BLOCK):
            try:
                file.write(block)
            except OSError as error:
                raise _unwritable(part, error) from error
            on_progress(file.tell())
        return file.tell() - start


def _unwritable(part: Path, error: OSError) -> RunFailedError:
    what = f"{part} could not be written: {error.strerror or error}"
    return RunFailedError(what, "Mend that and give the same command again; it continues where it stopped.")


def _total(headers: Message) -> int | None:
    """Return the length of the whole file, from ``Content-Range: bytes 5-9/10`` or ``Content-Length: 10``."""
    text = headers.get("Content-Range", "").rpartition("/")[2] or headers.get("Content-Length", "")
    return int(text) if text.isdecimal() else None


def _require_space(archive: Archive, part: Path, size: int) -> None:
    unpacked = archive.unpacked or size
    what = f"{archive.name} ({gigabytes(size)}, unpacked {gigabytes(unpacked)})"
    require_space(part.parent, max(0, size - _size(part)) + unpacked, what)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
