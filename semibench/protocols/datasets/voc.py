"""Pascal VOC 2012 with SBD: 10,582 training and 1,449 validation photos, 21 classes (Everingham 2010, Hariharan 2011).

Official folders, of which the second lies beside or in the first::

    VOCdevkit/VOC2012/
      JPEGImages/2007_000032.jpg
      SegmentationClass/2007_000032.png           VOC's masks, 2,913
      ImageSets/Segmentation/{train,val}.txt
    benchmark_RELEASE/dataset/
      cls/2008_000002.mat                         SBD's masks, 11,355
      {train,val}.txt

The photos of VOC's own lists have VOC's masks, the others SBD's, which have no void border. Without SBD its masks are taken
from ``SegmentationClassAug`` or from a ``SegmentationClass`` of 12,031 files, the ready-made masks that semi-supervised code
bases distribute.

Traps:

- SBD's own lists contain images of VOC's validation list, which are left out of ``train``.
- The value of a pixel is its class. Converted to grey or RGB, as ``convert("L")`` does, a palette mask holds other numbers.
- Some converters write SBD's version of VOC's masks under the same names; it is recognized by its missing border and refused.
- Photos may be as small as 142 x 71 pixels, so crops pad.
"""

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semibench.errors import DataError
from semibench.protocols.datasets._sbd import read_sbd
from semibench.protocols.datasets.base import IGNORE_INDEX, Color, Dataset, find_folder, read_index, read_lines

LISTS = Path("ImageSets", "Segmentation")
SBD = Path("benchmark_RELEASE", "dataset")


def devkit_palette(count: int) -> tuple[Color, ...]:
    """Return the first colors of VOC's rule: the bits of an index, dealt in turn to red, green and blue, highest first.

    >>> devkit_palette(4)
    ((0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0))
    """
    return tuple((_deal(index), _deal(index >> 1), _deal(index >> 2)) for index in range(count))


def _deal(index: int) -> int:
    return sum((index >> 3 * place & 1) << 7 - place for place in range(8))


class PascalVOC(Dataset):
    """VOC 2012 segmentation; ``train`` is the augmented list of 10,582, ``voc_train`` VOC's own 1,464."""

    class_names = (
        "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable",
        "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
    )  # fmt: skip
    palette = devkit_palette(21)
    subsets = ("train", "voc_train", "val")
    root: Path

    def __init__(self, root: Path | None) -> None:
        super().__init__(root)
        self._voc = {name: read_lines(self.root / LISTS / f"{name}.txt") for name in ("train", "val")}
        self._fine = frozenset(self._voc["train"] + self._voc["val"])
        parents = (self.root, *self.root.absolute().parents[:2])
        self._sbd = next((folder / SBD for folder in parents if (folder / SBD / "cls").is_dir()), None)
        self.conversion = "sbd" if self._sbd else None

    @classmethod
    def locate(cls, root: Path | None) -> Path:
        """Return the folder ``VOC2012`` at or below ``root``."""
        names = ("VOCdevkit/VOC2012", "VOC2012", "voc/VOCdevkit/VOC2012", "voc/VOC2012", "voc")
        return find_folder(root, names, ("JPEGImages", f"{LISTS}/train.txt", f"{LISTS}/val.txt"))

    def ids(self, subset: str) -> Sequence[str]:
        """Return the ids, such as ``2007_000032``: ``train`` sorted, the others in VOC's order."""
        if subset not in self.subsets:
            raise self.unknown_subset(subset)
        return self._pool if subset == "train" else self._voc[subset.removeprefix("voc_")]

    def decode_mask(self, id: str) -> NDArray[np.uint8]:
        """Return the class of each pixel, (H, W) uint8, from VOC where it has one, else from SBD."""
        return self.decoder(id)()

    def decoder(self, id: str) -> Callable[[], NDArray[np.uint8]]:
        """Return what decodes the mask of an id; it holds a path alone."""
        path = self.annotation(id)
        if path.suffix == ".mat":
            return partial(read_sbd, path)
        return partial(_read_bordered if id in self._fine else read_index, path)

    def files(self, id: str) -> tuple[Path, ...]:
        """Return the photo, and the mask of VOC, of SBD or a ready-made one."""
        return self.root / "JPEGImages" / f"{id}.jpg", self._mask_file(id)

    def _mask_file(self, id: str) -> Path:
        official = self.root / "SegmentationClass" / f"{id}.png"
        if id in self._fine and official.is_file():
            return official
        if self._sbd and id not in self._fine:
            return self._sbd / "cls" / f"{id}.mat"
        return self._ready / f"{id}.png"

    @property
    def _ready(self) -> Path:
        augmented = self.root / "SegmentationClassAug"
        return augmented if augmented.is_dir() else self.root / "SegmentationClass"

    @cached_property
    def _pool(self) -> tuple[str, ...]:
        """All of SBD and VOC train but for VOC val, which SBD's own lists contain."""
        if self._sbd:
            others = {id for name in ("train", "val") for id in read_lines(self._sbd / f"{name}.txt")}
        else:
            others = {path.stem for path in self._ready.glob("*.png")}
        if others <= self._fine:
            raise DataError(
                f"{self._sbd or self._ready} adds no mask to those of VOC's own lists, 'train' needs 9,118 more",
                "Put SBD's benchmark_RELEASE beside VOCdevkit ('semibench data fetch voc'), or the 12,031 masks of "
                f"SegmentationClassAug into {self.root.name}.",
            )
        return tuple(sorted(others.union(self._voc["train"]).difference(self._voc["val"])))


def _read_bordered(path: Path) -> NDArray[np.uint8]:
    """Read a mask of VOC, all of which have a void border; some converters write SBD's version under the same name."""
    mask = read_index(path)
    if not (mask == IGNORE_INDEX).any():
        raise DataError(
            f"mask {path} of VOC's own lists has no void border, so it is SBD's version",
            "Use the masks of the official VOC archive for these images, in SegmentationClass.",
        )
    return mask
