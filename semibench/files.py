"""Write files so that a reader never sees half of one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from semibench.errors import RunFailedError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success sync it to disk and rename it to ``path``.

    A crash at any moment leaves the old file or the new one. Raises RunFailedError when the disk refuses, keeping the old.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield draft
        with draft.open("rb+") as file:
            os.fsync(file.fileno())
        draft.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise RunFailedError(
            f"{path.name} could not be written: {error.strerror or error}",
            "Free disk space or mend the folder and give the same command again; the previous file is kept.",
        ) from error
    finally:
        with suppress(OSError):  # the folder may be what the disk refused
            draft.unlink()


def remove_drafts(folder: Path) -> None:
    """Remove what killed processes left half written in and below ``folder``; nobody may be writing there."""
    for draft in folder.rglob(".*.part"):
        draft.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Replace ``path`` by a UTF-8 text file."""
    with replacing(path) as draft:
        draft.write_text(text, encoding="utf-8")


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
