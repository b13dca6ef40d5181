"""The contract of a data set: official files on disk -> images and index masks. It reads, it never augments."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from semibench.errors import DataError
from semibench.protocols.cache import cache_folder

IGNORE_INDEX = 255
_INCOMPLETE = "Check --data-root and that the data set is complete; download a damaged file again."
SWAPPED = "The folders of images and masks may be swapped: check that each is where the data set's layout has it."
Color = tuple[int, int, int]


class Dataset(ABC):
    """Images and masks of one data set in its official folder layout.

    ``root`` is the data set's own folder or its parent; a subclass says in ``locate`` what it looks for.
    """

    class_names: ClassVar[tuple[str, ...]]
    palette: ClassVar[tuple[Color, ...]]  # RGB of each class, for pictures
    ignore_index: ClassVar[int] = IGNORE_INDEX
    synthetic: ClassVar[bool] = False  # drawn by the program: every table says so
    subsets: ClassVar[tuple[str, ...]] = ("train", "val")  # what ``ids`` knows
    conversion: str | None = None  # the rule that made masks out of annotations which are no index PNGs

    def __init__(self, root: Path | None) -> None:
        self.root = self.locate(root)

    @classmethod
    @abstractmethod
    def locate(cls, root: Path | None) -> Path | None:
        """Return the data set's folder at or directly below ``root``; raise DataError saying what was looked for."""

    @abstractmethod
    def ids(self, subset: str) -> Sequence[str]:
        """Return the ids of a subset, in the official order."""

    def image(self, id: str) -> NDArray[np.uint8]:
        """Return the image, (H, W, 3) RGB uint8; files that are grey become RGB."""
        return read_rgb(self.files(id)[0])

    def size(self, id: str) -> tuple[int, int]:
        """Return (H, W) of the image, from the head of its file where ``image`` is this class's."""
        if type(self).image is not Dataset.image:
            height, width, _ = self.image(id).shape
            return height, width
        return read_size(self.files(id)[0])

    @abstractmethod
    def decode_mask(self, id: str) -> NDArray[np.uint8]:
        """Return the class index of each pixel, (H, W) uint8, unchecked; void = ``ignore_index``.

        It reads the official annotation and needs no preparation.
        """

    def files(self, id: str) -> tuple[Path, ...]:
        """Return the files of an id, first the image, last the annotation; none where the program draws them."""
        return ()

    def annotation(self, id: str) -> Path:
        """Return the file that ``decode_mask`` reads for this id."""
        return self.files(id)[-1]

    def decoder(self, id: str) -> Callable[[], NDArray[np.uint8]]:
        """Return ``decode_mask`` of one id as a function that is cheap to hand to another process."""
        return partial(self.decode_mask, id)

    def prepared(self, id: str) -> Path:
        """Return where the converted mask of an id is kept; no number depends on whether it is there."""
        return self._prepared_folder / f"{id}.png"

    def is_prepared(self, id: str) -> bool:
        """Return whether there is a converted mask that is not older than its annotation."""
        try:
            return self.prepared(id).stat().st_mtime_ns >= self.annotation(id).stat().st_mtime_ns
        except FileNotFoundError:
            return False

    def read_mask(self, id: str) -> NDArray[np.uint8]:
        """Return the mask, (H, W) uint8, unchecked: the prepared copy where there is one, else decoded."""
        if self.conversion is not None and self.is_prepared(id):
            return read_index(self.prepared(id))
        return self.decode_mask(id)

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
            raise self.mismatch(id, image, mask)
        return image, mask

    def mismatch(self, id: str, image: NDArray[np.uint8], mask: NDArray[np.uint8]) -> DataError:
        """Build the error for an image and a mask of different sizes."""
        return DataError(
            f"image and mask of '{id}' differ in size: {image.shape[:2]} and {mask.shape} (height, width)",
            "One of the two files belongs to another version of the data set; download it again.",
        )

    @property
    def name(self) -> str:
        """The data set's name: that of its file."""
        return type(self).__module__.rpartition(".")[2]

    def unknown_subset(self, subset: str) -> DataError:
        """Build the error for a subset that ``ids`` does not know."""
        return DataError(f"'{self.name}' has no subset '{subset}'", f"Use one of: {', '.join(self.subsets)}.")

    @cached_property
    def _prepared_folder(self) -> Path:
        place = hashlib.sha256(str(self.root and self.root.resolve()).encode()).hexdigest()[:12]
        return cache_folder() / "masks" / self.name / f"{self.conversion}-{place}"


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
    image = _open(path, next_step)
    if image.mode == "P" and path.suffix == ".png":
        raise DataError(f"image {path} has an index per pixel, as masks have", SWAPPED)
    return np.asarray(image.convert("RGB"))


def read_size(path: Path, next_step: str = _INCOMPLETE) -> tuple[int, int]:
    """Return (H, W) of an image file without decoding it; raise DataError as ``read_rgb`` does."""
    image = _open(path, next_step, whole=False)
    return image.height, image.width


def list_images(folder: Path, pattern: str) -> tuple[str, ...]:
    """Return the sorted stems of the files in ``folder`` that match ``pattern``; raise DataError when there are none."""
    ids = tuple(sorted(path.stem for path in folder.glob(pattern) if not path.name.startswith(".")))
    if not ids:
        masks = any(folder.glob(str(Path(pattern).with_suffix(".png"))))
        raise DataError(f"no file {pattern} found in {folder}", SWAPPED if masks else _INCOMPLETE)
    return ids


def read_index(path: Path) -> NDArray[np.uint8]:
    """Read the raw values of an 8-bit single-channel or palette PNG, (H, W) uint8, without color conversion."""
    image = _open(path, _INCOMPLETE)
    if image.mode not in ("L", "P"):
        if image.mode.startswith("I"):
            next_step = "Masks have 8 bits a pixel; files of 16 bits hold instance ids: use the class or label masks."
        else:
            next_step = "Use the official index or palette masks, not colored copies. " + SWAPPED
        raise DataError(f"mask {path} has the mode {image.mode}, not an index of 8 bits per pixel", next_step)
    return np.asarray(image)


def read_lines(path: Path) -> tuple[str, ...]:
    """Read a list of ids, one a line; raise DataError when the file is missing, empty or not UTF-8."""
    if not path.is_file():
        raise DataError(f"list {path.name} not found in {path.parent}", _INCOMPLETE)
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors begin a file with a byte order mark
    except UnicodeDecodeError as error:
        raise DataError(f"list {path} is not UTF-8 text ({error.reason} at byte {error.start})", _INCOMPLETE) from error
    lines = tuple(line.strip() for line in text.splitlines() if line.strip())
    if not lines:
        raise DataError(f"list {path} is empty", "Download it again.")
    return lines


def _open(path: Path, next_step: str, *, whole: bool = True) -> Image.Image:
    try:
        with Image.open(path) as image:
            if whole:
                image.load()
            return image
    except FileNotFoundError as error:
        raise _missing(path, next_step) from error
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise DataError(f"file {path} cannot be decoded ({error})", next_step) from error


def _missing(path: Path, next_step: str) -> DataError:
    for other in (path.with_suffix(".png"), path.with_suffix(".jpg")):
        if other.is_file():
            return DataError(f"file {path} not found, but {other.name} is there", SWAPPED)
    return DataError(f"file {path} not found", next_step)
