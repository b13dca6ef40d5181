"""Pascal Context: 4,998 training and 5,105 validation photos of VOC 2010, 59 classes and background (Mottaghi et al. 2014).

Photos of the official archive, with ready-made index masks and lists as mmsegmentation's converter writes them::

    VOCdevkit/VOC2010/
      JPEGImages/2008_000002.jpg
      SegmentationClassContext/2008_000002.png
      ImageSets/SegmentationContext/{train,val}.txt

The class is the position of the raw label among the 60 that are used.

Traps:

- The classes are named after the raw labels; early versions of mmsegmentation list the names in another order, VOC's classes
  first, which does not fit the masks.
- Background is a class here. The variant of 59 classes, where it is void, scores differently.
- The lists are pinned by no digest, so ``verify`` cannot tell another list from the official one.
- No partition of its own is published: GuidedMix-Net takes the ids of ``voc-5291@u2pl`` with these masks.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semibench.protocols.datasets.base import Dataset, find_folder, read_index, read_lines
from semibench.protocols.datasets.voc import devkit_palette

LISTS = Path("ImageSets", "SegmentationContext")


class PascalContext(Dataset):
    """Pascal Context with 60 classes, background counted; no palette is published, VOC's rule gives the colors."""

    class_names = (
        "background", "aeroplane", "bag", "bed", "bedclothes", "bench", "bicycle", "bird", "boat", "book", "bottle", "building",
        "bus", "cabinet", "car", "cat", "ceiling", "chair", "cloth", "computer", "cow", "cup", "curtain", "dog", "door",
        "fence", "floor", "flower", "food", "grass", "ground", "horse", "keyboard", "light", "motorbike", "mountain", "mouse",
        "person", "plate", "platform", "pottedplant", "road", "rock", "sheep", "shelves", "sidewalk", "sign", "sky", "snow",
        "sofa", "table", "track", "train", "tree", "truck", "tvmonitor", "wall", "water", "window", "wood",
    )  # fmt: skip
    palette = devkit_palette(60)
    root: Path

    def __init__(self, root: Path | None) -> None:
        super().__init__(root)
        self._lists = {subset: read_lines(self.root / LISTS / f"{subset}.txt") for subset in self.subsets}

    @classmethod
    def locate(cls, root: Path | None) -> Path:
        """Return the folder ``VOC2010`` at or below ``root``."""
        names = ("VOCdevkit/VOC2010", "VOC2010", "pascal_context/VOCdevkit/VOC2010", "pascal_context/VOC2010", "pascal_context")
        return find_folder(root, names, ("JPEGImages", "SegmentationClassContext", f"{LISTS}/train.txt", f"{LISTS}/val.txt"))

    def ids(self, subset: str) -> Sequence[str]:
        """Return the ids, such as ``2008_000002``, in the order of the lists."""
        if subset not in self.subsets:
            raise self.unknown_subset(subset)
        return self._lists[subset]

    def decode_mask(self, id: str) -> NDArray[np.uint8]:
        """Return the class of each pixel, (H, W) uint8; there is no void."""
        return read_index(self.annotation(id))

    def files(self, id: str) -> tuple[Path, ...]:
        """Return the photo and its mask."""
        return self.root / "JPEGImages" / f"{id}.jpg", self.root / "SegmentationClassContext" / f"{id}.png"
