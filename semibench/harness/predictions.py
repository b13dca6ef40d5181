"""Label maps that another program wrote: a folder or a zip archive with a PNG or NPY file for each image.

Nothing is unpacked to disk and nothing is unpickled: each file is read into memory, as far as its image's size allows.
"""

import io
import struct
import tokenize
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any  # the element type of an array is checked at run time

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from semibench.errors import DataError
from semibench.reports.per_image import check_packing, read_header

Shape = tuple[int, ...]

_SHOWN = 5  # names in a message
_EXTRA_BYTES = 2**16  # a file may hold besides 8 bytes a pixel: headers, a palette
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _PALETTE = 0, 3  # color types of PNG
_MODES = ("L", "P", "I;16", "I")  # of Pillow: one channel that holds an index
_DAMAGE = (
    *(OSError, ValueError, EOFError, SyntaxError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error),
    tokenize.TokenError,  # a header of NumPy's that is no Python
    Image.DecompressionBombError,  # a picture that says it is huge
)
_LAYOUT = "Name each file ID.png or ID.npy after the ids of the data set; see docs/score.md."
_INDEX = "Write the class index of each pixel: logits.argmax over classes, saved as 8-bit PNG or as an integer array."


@dataclass(frozen=True)
class Predictions:
    """The label maps of ``files`` (image id -> name), which ``open`` opens."""

    files: dict[str, str]
    open: Callable[[str], IO[bytes]]

    def labels(self, id: str, shape: Shape, n_classes: int) -> NDArray[np.uint8]:
        """Return the label map of an image of ``shape`` (H, W), with values in [0, ``n_classes``).

        Raises DataError naming the image when its file is damaged, of another size or type, or holds another value.
        """
        name, limit = self.files[id], 8 * int(np.prod(shape)) + _EXTRA_BYTES
        try:
            with self.open(name) as file:
                data = file.read(limit + 1)
            if len(data) > limit:
                raise DataError(f"{name} is larger than {limit} bytes, which a label map of {shape} never is", _INDEX)
            labels = (_from_png if name.endswith(".png") else _from_npy)(data, name, shape)
        except _DAMAGE as error:
            raise DataError(f"{name} cannot be read: {error}", "It is damaged or of another kind: write it anew.") from error
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high >= n_classes:
            raise DataError(
                f"{name} holds the value {low if low < 0 else high}, outside the {n_classes} classes 0 to {n_classes - 1}",
                "Every pixel needs a class of the data set's table, void is none; some programs count from 1.",
            )
        return labels.astype(np.uint8)


@contextmanager
def opened(path: Path, ids: Sequence[str]) -> Iterator[Predictions]:
    """Open the label maps of ``ids`` in a folder or a zip archive (an .npz file is one).

    Raises DataError when there is none for an image, two for one, a file that belongs to no image, or one that an archive holds
    neither stored nor deflated.
    """
    if path.is_dir():
        found = sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())
        yield Predictions(_assign(found, ids, path), lambda name: (path / name).open("rb"))
        return
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is neither a folder nor a zip archive: {error}", _LAYOUT) from error
    with archive:
        check_packing(archive, path)
        found = [member.filename for member in archive.infolist() if not member.is_dir()]
        yield Predictions(_assign(found, ids, path), archive.open)


def _assign(names: Sequence[str], ids: Sequence[str], path: Path) -> dict[str, str]:
    """Return image id -> file; of no name more is asked than whether it is that of an image, so none can lead elsewhere."""
    folder, wanted = _wrapper(names, ids), set(ids)
    found: dict[str, list[str]] = defaultdict(list)
    extras = []
    for name in names:
        id, _, suffix = name.removeprefix(folder).rpartition(".")
        if id in wanted and suffix in ("png", "npy"):
            found[id].append(name)
        else:
            extras.append(name)
    if missing := [id for id in ids if id not in found]:
        raise DataError(
            f"{path} has no label map of {len(missing)} of {len(ids)} images: {_few(missing)}",
            f"A part of a set is not scored: a mean over chosen images is no score. {_LAYOUT}",
        )
    if extras:
        raise DataError(f"{path} holds {len(extras)} files that belong to no image: {_few(extras)}", f"Remove them. {_LAYOUT}")
    if twice := [names for names in found.values() if len(names) > 1]:
        raise DataError(f"{path} holds two label maps of one image: {_few(twice[0])}", "Remove one of them.")
    return {id: names[0] for id, names in found.items()}


def _wrapper(names: Sequence[str], ids: Sequence[str]) -> str:
    """Return the folder that everything lies in, as when a folder was packed by its name; empty where there is none."""
    folder = f"{names[0].partition('/')[0]}/" if names else ""
    is_common = all(name.startswith(folder) for name in names)
    return folder if is_common and not any(id.startswith(folder) for id in ids) else ""


def _few(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:_SHOWN])) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def _from_png(data: bytes, name: str, shape: Shape) -> NDArray[np.integer[Any]]:
    """Decode a PNG after its header said that it is an index map of the right size."""
    if data[:8] != _SIGNATURE or data[12:16] != b"IHDR" or len(data) < 26:
        raise DataError(f"{name} is not a PNG file", _INDEX)
    width, height, depth, color = struct.unpack(">IIBB", data[16:26])
    if color != _PALETTE and (color != _GREY or depth < 8):  # readers scale grey of fewer bits
        kind = f"grey of {depth} bits" if color == _GREY else "colored"
        raise DataError(f"{name} is {kind}, not a single channel of 8 or 16 bits or a palette", _INDEX)
    _check_shape(name, (height, width), shape)
    with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
        width, height = image.size
        _check_shape(name, (height, width), shape)  # again: a second header may say something else
        if image.mode not in _MODES:
            raise DataError(f"{name} is of mode {image.mode}, not a single channel of 8 or 16 bits or a palette", _INDEX)
        return np.asarray(image)


def _from_npy(data: bytes, name: str, shape: Shape) -> NDArray[np.integer[Any]]:
    found, dtype = read_header(io.BytesIO(data))
    if dtype.kind not in "iu":
        raise DataError(f"{name} holds {dtype}, not integers", _INDEX)
    _check_shape(name, found, shape)
    array: NDArray[np.integer[Any]] = np.load(io.BytesIO(data), allow_pickle=False)
    return array


def _check_shape(name: str, found: Shape, expected: Shape) -> None:
    if found != expected:
        raise DataError(
            f"{name} is {' x '.join(map(str, found))}, its image {' x '.join(map(str, expected))} (height x width)",
            "Resize predictions to the size of the image before taking the class of each pixel.",
        )
