r"""Partition lists: read from the forms in which papers publish them, kept by their digest.

A line names one image in its first column; a second column, the mask, is not read. Ids are what is left of the name without
folder and ending. A kept list is ``<cache>/lists/<sha256>.txt``, the sorted ids joined by line feeds, so that the SHA-256 of
the file is its name.
"""

from collections.abc import Collection, Sequence
from pathlib import Path

from semibench.errors import DataError
from semibench.files import write_text
from semibench.hashing import digest_ids
from semibench.protocols.cache import cache_folder

MAX_BYTES = 16 * 2**20  # of a list; the longest of the catalogue, 118,287 lines, has 5 MiB
_ENDINGS = ("jpg", "jpeg", "png")
_CITYSCAPES = "_leftImg8bit"
_FORMS = "A list is UTF-8 text with one image a line: an id, or the path of an image, before or without that of its mask."


def parse(content: bytes, name: str) -> tuple[str, ...]:
    r"""Return the ids of a list in their order; ``name`` is what messages call it.

    Raises DataError for what is not text, for an empty list, and for an id that stands there twice.

    >>> parse(b"\xef\xbb\xbf/JPEGImages/2007_000032.jpg /SegmentationClassAug/2007_000032.png\r\n2007_000039", "a list")
    ('2007_000032', '2007_000039')
    """
    if len(content) > MAX_BYTES:
        raise DataError(f"{name} is larger than {MAX_BYTES // 2**20} MiB, which no list is", _FORMS)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{name} is not UTF-8 text ({error.reason} at byte {error.start})", _FORMS) from error
    if "\0" in text:
        raise DataError(f"{name} is not text: it holds zero bytes", _FORMS)
    lines: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            id = _id(line.split()[0])
            if id in lines:
                raise DataError(
                    f"{name} names '{id}' twice, in the lines {lines[id]} and {number}",
                    "Delete one of the two; a list that was joined from several is not the published one.",
                )
            lines[id] = number
    if not lines:
        raise DataError(f"{name} is empty", "Download it again; some repositories hold empty files where a list was meant.")
    return tuple(lines)


def read(path: Path) -> tuple[str, ...]:
    """Return the ids of the list in a file; raise DataError when there is none, or for what ``parse`` refuses."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise DataError(f"list {path} cannot be read: {error.strerror or error}", "Name an existing text file.") from error
    return parse(content, f"list {path}")


def check(
    ids: Sequence[str], name: str, pool: Collection[str] | None, held_out: Collection[str] = (), *, where: str = "on disk"
) -> None:
    """Raise DataError when a training list names an image outside its pool, or one that scores are measured on.

    ``pool`` is None where it is not known, ``where`` says what it is.
    """
    if leaked := sorted(set(ids) & set(held_out)):
        raise DataError(
            f"{name} names {len(leaked)} validation images, such as '{leaked[0]}'",
            "Training on them would make every score worthless; use the published list.",
        )
    if pool is not None and (strangers := sorted(set(ids) - set(pool))):
        raise DataError(
            f"{name} names {len(strangers)} images that are missing {where}, such as '{strangers[0]}'",
            "Complete the data set, check that the list is of this data set, or give --partial to use what is there.",
        )


def path_of(sha256: str) -> Path:
    """Return where the list with this digest is kept, whether it is there or not."""
    return cache_folder() / "lists" / f"{sha256}.txt"


def keep(ids: Sequence[str]) -> Path:
    """Keep a list under its digest; return its file."""
    path = path_of(digest_ids(ids))
    if not path.exists():
        write_text(path, "\n".join(sorted(ids)))
    return path


def kept(sha256: str) -> tuple[str, ...] | None:
    """Return the ids of a kept list, sorted, None when it is not there; raise DataError when its file was changed."""
    path = path_of(sha256)
    if not path.is_file():
        return None
    ids = read(path)
    if digest_ids(ids) != sha256:
        raise DataError(f"the kept list {path} was changed", "Delete that file and run 'semibench protocol fetch' again.")
    return ids


def _id(column: str) -> str:  # without pathlib, which takes ten times as long
    name = column.replace("\\", "/").rpartition("/")[2]
    stem, _, ending = name.rpartition(".")
    return (stem if ending.lower() in _ENDINGS else name).removesuffix(_CITYSCAPES)
