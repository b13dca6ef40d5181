"""Unpack an archive that is not trusted: plain files and folders only, inside the folder, within limits.

No link is ever made on disk: one that points to a file of the archive becomes a copy of it, any other is refused.
"""

import lzma
import posixpath
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from semibench.errors import DataError, RunFailedError

BLOCK = 1 << 20  # bytes
_DAMAGE = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError),
    *(FileExistsError, NotADirectoryError, IsADirectoryError),  # one path is a file and a folder
)
_NEXT_STEP = "Nothing of it was kept; get the archive from its official source."


@dataclass(frozen=True)
class Limits:
    """What an archive may hold: generous for photographs and annotations, far below what bombs hold."""

    members: int = 1_000_000
    size: int = 200_000_000_000  # bytes, unpacked
    ratio: int = 100  # unpacked to packed size; deflate reaches 1032
    free_size: int = 10_000_000  # bytes below which any ratio is harmless


@dataclass(frozen=True)
class _Member:
    """A plain file or a folder of an archive."""

    name: str
    size: int  # bytes, as the archive states it
    open: Callable[[], IO[bytes] | None] | None  # None for a folder


def unpack(
    archive: Path, folder: Path, holds: Sequence[str], on_progress: Callable[[int], None], limits: Limits = Limits()
) -> None:
    """Unpack the folders ``holds`` of a tar or zip file into ``folder``, each of which appears there complete or not at all.

    What an interrupted call has unpacked is not unpacked again. Raises DataError, and keeps nothing, when the archive holds
    what no data set holds: paths that leave the folder, links out of it, devices, too many or too large files.
    """
    draft = folder / f".{archive.name}.unpacked"
    try:
        _unpack_all(archive, draft, on_progress, limits)
        absent = [name for name in holds if not (draft / name).is_dir()]
        if absent:
            raise DataError(f"{archive.name} does not hold the folder {absent[0]}", _NEXT_STEP)
    except DataError:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    except OSError as error:
        raise RunFailedError(
            f"{archive.name} could not be unpacked into {folder}: {error.strerror or error}",
            "Mend that and give the same command again; it continues where it stopped.",
        ) from error
    for name in holds:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if not (folder / name).exists():
            (draft / name).rename(folder / name)
    shutil.rmtree(draft)


def _unpack_all(archive: Path, draft: Path, on_progress: Callable[[int], None], limits: Limits) -> None:
    allowed = min(limits.size, max(limits.free_size, limits.ratio * archive.stat().st_size))
    total = 0
    draft.mkdir(parents=True, exist_ok=True)
    try:
        for number, member in enumerate(_members(archive), 1):
            total += member.size
            if number > limits.members:
                raise _refusal(archive, f"more than {limits.members} files", "a bomb")
            if total > allowed:
                raise _refusal(archive, f"more than {allowed} bytes in a file of {archive.stat().st_size}", "a bomb")
            _write(archive, member, draft / _safe(archive, member.name))
            on_progress(member.size)
    except _DAMAGE as error:
        raise DataError(f"{archive.name} is damaged ({error})", _NEXT_STEP) from error


def _write(archive: Path, member: _Member, target: Path) -> None:
    if member.open is None:
        target.mkdir(parents=True, exist_ok=True)
        return
    if target.is_file() and target.stat().st_size == member.size:
        return  # by an interrupted call
    target.parent.mkdir(parents=True, exist_ok=True)
    source = member.open()
    if source is None:
        raise _refusal(archive, f"'{member.name}'", "neither a file nor a folder")
    with source, target.open("wb") as file:
        shutil.copyfileobj(source, file, BLOCK)


def _safe(archive: Path, name: str) -> PurePosixPath:
    """Return a member's path; refuse one that does not stay below the folder on every system."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name or "\0" in name:
        raise _refusal(archive, f"the path '{name}'", "not inside the folder")
    return path


def _members(archive: Path) -> Iterator[_Member]:
    if archive.suffix == ".zip":  # content misleads: a tar file may end with a zip file
        with zipfile.ZipFile(archive) as file:
            yield from _zip_members(archive, file)
    else:
        with tarfile.open(archive) as file:
            yield from _tar_members(archive, file)


def _zip_members(archive: Path, file: zipfile.ZipFile) -> Iterator[_Member]:
    for info in file.infolist():
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise _refusal(archive, f"'{info.filename}'", "neither a file nor a folder")
        if info.flag_bits & 1:
            raise _refusal(archive, f"'{info.filename}'", "encrypted")
        yield _Member(info.filename, info.file_size, None if info.is_dir() else partial(file.open, info))


def _tar_members(archive: Path, file: tarfile.TarFile) -> Iterator[_Member]:
    sizes: dict[str, tarfile.TarInfo] = {}  # plain files so far: what a link may point to
    for info in file:
        name = info.name
        if info.issym() or info.islnk():
            folder = posixpath.dirname(name) if info.issym() else ""
            target = posixpath.normpath(posixpath.join(folder, info.linkname))
            if target not in sizes:
                raise _refusal(archive, f"the link '{name}' to '{info.linkname}'", "no file before it in the archive")
            info = sizes[target]
        elif info.isreg():
            sizes[posixpath.normpath(name)] = info
        elif not info.isdir():
            raise _refusal(archive, f"'{name}'", "neither a file nor a folder")
        yield _Member(name, info.size, None if info.isdir() else partial(file.extractfile, info))


def _refusal(archive: Path, holds: str, why: str) -> DataError:
    return DataError(f"{archive.name} was refused: it holds {holds}, which is {why}", _NEXT_STEP)
