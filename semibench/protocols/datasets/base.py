"""The contract of a data set: official files on disk -> images and index masks. It reads, it never augments."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from semibench.errors import DataError

IGNORE_INDEX = 255
_INCOMPLETE = "Check --data-root and that the data set is complete; download a damaged file again."
Color = tuple[int, int, int]


class Dataset(ABC):
    """Images and masks of one data set in its official folder layout.

    ``root`` is the data set's own folder or its parent; a subclass says in ``locate`` what it looks for.
    """

    class_names: ClassVar[tuple[str, ...]]
    palette: ClassVar[tuple[Color, ...]]  # RGB of each class, for pictures
    ignore_index: ClassVar[int] = IGNORE_INDEX
    synthetic: ClassVar[bool] = False  # drawn by the program: every table says so

    def __init__(self, root: Path | None) -> None:
        self.root = self.locate(root)

    @classmethod
    @abstractmethod
    def locate(cls, root: Path | None) -> Path | None:
        """Return the data set's folder at or directly below ``root``; raise DataError saying what was looked for."""

    @abstractmethod
    def ids(self, subset: str) -> Sequence[str]:
        """Return the ids of a subset, in the official order."""

    @abstractmethod
    def image(self, id: str) -> NDArray[np.uint8]:
        """Return the image, (H, W, 3) RGB uint8."""

    @abstractmethod
    def read_mask(self, id: str) -> NDArray[np.uint8]:
        """Return the class index of each pixel, (H, W) uint8, unchecked; void = ``ignore_index``."""

    def mask(self, id: str) -> NDArray[np.uint8]:
        """Return the mask, (H, W) uint8, after checking that it holds class indices and void only."""
        mask = self.read_mask(id)
        counts = np.bincount(mask.ravel(), minlength=256)
        counts[: len(self.class_names)] = counts[self.ignore_index] = 0
        if (strangers := np.flatnonzero(counts)).size:
            raise DataError(
                f"the mask of '{id}' holds the value {strangers[0]}, outside the table of {len(self.class_names)} classes",
                "Check that the masks are the official index masks, not a colored or otherwise converted copy.",
            )
        return mask

    def pair(self, id: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Return image and mask of one id, after checking that they have the same size."""
        image, mask = self.image(id), self.mask(id)
        if image.shape[:2] != mask.shape:
            raise DataError(
                f"image and mask of '{id}' differ in size: {image.shape[:2]} and {mask.shape} (height, width)",
                "One of the two files belongs to another version of the data set; download it again.",
            )
        return image, mask


def find_folder(root: Path | None, names: Sequence[str], entries: Sequence[str]) -> Path:
    """Return the folder that holds all ``entries``: ``root`` itself, or the first of ``names`` below it.

    Raises DataError saying what was looked for, and where, when there is none.
    """
    candidates = [root, *(root / name for name in names)] if root else []
    for folder in candidates:
        if all((folder / entry).exists() for entry in entries):
            return folder
    where = f"in {root} or its folder {' or '.join(names)}" if root else "anywhere: no data root is set"
    raise DataError(
        f"the data set {names[0]} was not found {where}; a folder with {', '.join(entries)} was looked for",
        f"Set --data-root or the environment variable SEMIBENCH_DATA to that folder or to the folder that holds {names[0]}.",
    )


def read_rgb(path: Path, next_step: str = _INCOMPLETE) -> NDArray[np.uint8]:
    """Read an image file as (H, W, 3) RGB uint8.

    Raises DataError naming the file, and ``next_step``, when it is missing or cannot be decoded.
    """
    return np.asarray(_open(path, next_step).convert("RGB"))


def read_index(path: Path) -> NDArray[np.uint8]:
    """Read the raw values of an 8-bit single-channel or palette PNG, (H, W) uint8, without color conversion."""
    image = _open(path, _INCOMPLETE)
    if image.mode not in ("L", "P"):
        raise DataError(
            f"mask {path.name} has the mode {image.mode}, not an index per pixel",
            "Use the official index or palette masks, not colored copies.",
        )
    return np.asarray(image)


def read_lines(path: Path) -> tuple[str, ...]:
    """Read a list of ids, one a line; raise DataError when the file is missing, empty or not UTF-8."""
    if not path.is_file():
        raise DataError(f"list {path.name} not found in {path.parent}", _INCOMPLETE)
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"list {path} is not UTF-8 text ({error.reason} at byte {error.start})", _INCOMPLETE) from error
    lines = tuple(line.strip() for line in text.splitlines() if line.strip())
    if not lines:
        raise DataError(f"list {path} is empty", "Download it again.")
    return lines


def _open(path: Path, next_step: str) -> Image.Image:
    try:
        with Image.open(path) as image:
            image.load()
            return image
    except FileNotFoundError as error:
        raise DataError(f"file {path} not found", next_step) from error
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise DataError(f"file {path} cannot be decoded ({error})", next_step) from error
