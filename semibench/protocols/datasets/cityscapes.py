"""Cityscapes: 2,975 training and 500 validation street scenes of 2048 x 1024 pixels, 19 classes (Cordts et al. 2016).

Official folders; ``gtCoarse`` has the masks of the 19,998 further images::

    leftImg8bit/{train,val,train_extra}/aachen/aachen_000000_000019_leftImg8bit.png
    gtFine/{train,val}/aachen/aachen_000000_000019_gtFine_labelIds.png
    gtCoarse/train_extra/augsburg/augsburg_000000_000000_gtCoarse_labelIds.png

Masks are the official ``labelIds`` (0..33), of which 19 are classes; where those are absent, ready-made ``labelTrainIds`` are
read.

Traps:

- Files of the two kinds look alike. Values that only the other kind has are refused.
- ``instanceIds`` hold 16 bits a pixel and are no masks of classes.
- The labels of the test images are not public.
- Code bases flatten the folders and shorten the names; only the official ones are read.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semibench.errors import DataError
from semibench.protocols.datasets.base import IGNORE_INDEX, SWAPPED, Dataset, find_folder, read_index

TRAINED = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)  # label ids of the 19 classes, in order
LAST = 33  # the largest label id
SUFFIX = "_leftImg8bit.png"
_LABELS = "Use the official gtFine and gtCoarse archives; 'labelIds' and 'labelTrainIds' files must hold what their names say."


class Cityscapes(Dataset):
    """Cityscapes with the 19 classes of its benchmark; ``train_extra`` has coarse masks."""

    class_names = (
        "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation", "terrain",
        "sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle",
    )  # fmt: skip
    palette = (
        (128, 64, 128), (244, 35, 232), (70, 70, 70), (102, 102, 156), (190, 153, 153), (153, 153, 153), (250, 170, 30),
        (220, 220, 0), (107, 142, 35), (152, 251, 152), (70, 130, 180), (220, 20, 60), (255, 0, 0), (0, 0, 142), (0, 0, 70),
        (0, 60, 100), (0, 80, 100), (0, 0, 230), (119, 11, 32),
    )  # fmt: skip
    subsets = ("train", "val", "train_extra")
    root: Path

    @classmethod
    def locate(cls, root: Path | None) -> Path:
        """Return the folder that holds ``leftImg8bit``: ``root``, or ``cityscapes`` or ``Cityscapes`` below it."""
        return find_folder(root, ("cityscapes", "Cityscapes"), ("leftImg8bit",))

    def ids(self, subset: str) -> Sequence[str]:
        """Return the sorted ids of a subset, such as ``aachen_000000_000019``, of the images that are on disk."""
        if subset not in self.subsets:
            raise self.unknown_subset(subset)
        folder = self.root / "leftImg8bit" / subset
        ids = tuple(sorted(path.name.removesuffix(SUFFIX) for path in folder.glob(f"*/*{SUFFIX}")))
        if not ids and any(folder.glob("*/*_gt*.png")):
            raise DataError(f"{folder} holds masks where images should be", SWAPPED)
        if not ids:
            archive = "leftImg8bit_trainextra.zip" if subset == "train_extra" else "leftImg8bit_trainvaltest.zip"
            raise DataError(f"no image in {folder}", f"Unpack {archive} into {self.root}.")
        return ids

    def decode_mask(self, id: str) -> NDArray[np.uint8]:
        """Return the class of each pixel, (1024, 2048) uint8; everything but the 19 classes is void."""
        path = self.annotation(id)
        return read_train_ids(path) if path.stem.endswith("TrainIds") else read_label_ids(path)

    def files(self, id: str) -> tuple[Path, ...]:
        """Return the image and its mask."""
        city = id.partition("_")[0]
        if city not in self._subset_of:
            raise DataError(f"'cityscapes' has no city '{city}' for the image '{id}'", "Ids look like aachen_000000_000019.")
        subset = self._subset_of[city]
        kind = "gtCoarse" if subset == "train_extra" else "gtFine"
        labels = self.root / kind / subset / city / f"{id}_{kind}_labelIds.png"
        ready = labels.with_name(f"{id}_{kind}_labelTrainIds.png")
        image = self.root / "leftImg8bit" / subset / city / f"{id}{SUFFIX}"
        return image, ready if ready.is_file() and not labels.is_file() else labels

    @cached_property
    def _subset_of(self) -> dict[str, str]:
        """The subset of each city: no city is in two."""
        folders = {subset: self.root / "leftImg8bit" / subset for subset in self.subsets}
        return {city.name: subset for subset, folder in folders.items() if folder.is_dir() for city in folder.iterdir()}


def read_label_ids(path: Path) -> NDArray[np.uint8]:
    """Read a mask of label ids, 0..33, as classes."""
    labels = read_index(path)
    if (labels == IGNORE_INDEX).any():
        raise DataError(f"mask {path.name} holds {IGNORE_INDEX}, as training ids do; label ids are 0..{LAST}", _LABELS)
    if (highest := labels.max()) > LAST:
        raise DataError(f"mask {path.name} holds {highest}; label ids are 0..{LAST}", _LABELS)
    return _table()[labels]


def read_train_ids(path: Path) -> NDArray[np.uint8]:
    """Read a ready-made mask of classes, 0..18 and void."""
    classes = read_index(path)
    is_label = (classes >= len(TRAINED)) & (classes <= LAST)
    if is_label.any():
        raise DataError(
            f"mask {path.name} holds {classes[is_label].max()}, as label ids do; training ids are 0..18 and 255", _LABELS
        )
    return classes


def _table() -> NDArray[np.uint8]:
    table = np.full(256, IGNORE_INDEX, np.uint8)
    table[list(TRAINED)] = range(len(TRAINED))
    return table
