"""ADE20K of the scene parsing challenge: 20,210 training and 2,000 validation photos, 150 classes (Zhou et al. 2017).

Official folder::

    ADEChallengeData2016/
      images/{training,validation}/ADE_{train,val}_00000001.jpg
      annotations/{training,validation}/ADE_{train,val}_00000001.png

Masks hold 0..150, where 0 is everything else; a class is the raw label less one, and 0 becomes void. Masks that are converted
already (0..149 and 255, as one code base distributes them) are recognized by their void and not shifted again.

Traps:

- The full ADE20K of 2016 and 2021 has other sizes, and other files under the same numbers.
- Photos differ in size; large ones were reduced to a short side of 512 for the challenge.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semibench.errors import DataError
from semibench.protocols.datasets.base import IGNORE_INDEX, Dataset, find_folder, list_images, read_index

FOLDERS = {"train": "training", "val": "validation"}
LAST = 150  # the largest raw label
LOOKED_AT = 32  # masks of which at least one has pixels outside the 150 classes, if any data set of photos has
_MASKS = "Use the masks of ADEChallengeData2016.zip, all of them unconverted or all converted once."


class ADE20K(Dataset):
    """ADE20K with the 150 classes of the scene parsing benchmark; everything else is void."""

    class_names = (
        "wall", "building", "sky", "floor", "tree", "ceiling", "road", "bed", "windowpane", "grass", "cabinet", "sidewalk",
        "person", "earth", "door", "table", "mountain", "plant", "curtain", "chair", "car", "water", "painting", "sofa",
        "shelf", "house", "sea", "mirror", "rug", "field", "armchair", "seat", "fence", "desk", "rock", "wardrobe", "lamp",
        "bathtub", "railing", "cushion", "base", "box", "column", "signboard", "chest of drawers", "counter", "sand", "sink",
        "skyscraper", "fireplace", "refrigerator", "grandstand", "path", "stairs", "runway", "case", "pool table", "pillow",
        "screen door", "stairway", "river", "bridge", "bookcase", "blind", "coffee table", "toilet", "flower", "book", "hill",
        "bench", "countertop", "stove", "palm", "kitchen island", "computer", "swivel chair", "boat", "bar", "arcade machine",
        "hovel", "bus", "towel", "light", "truck", "tower", "chandelier", "awning", "streetlight", "booth", "television",
        "airplane", "dirt track", "apparel", "pole", "land", "bannister", "escalator", "ottoman", "bottle", "buffet", "poster",
        "stage", "van", "ship", "fountain", "conveyer belt", "canopy", "washer", "plaything", "swimming pool", "stool",
        "barrel", "basket", "waterfall", "tent", "bag", "minibike", "cradle", "oven", "ball", "food", "step", "tank",
        "trade name", "microwave", "pot", "animal", "bicycle", "lake", "dishwasher", "screen", "blanket", "sculpture", "hood",
        "sconce", "vase", "traffic light", "tray", "ashcan", "fan", "pier", "crt screen", "plate", "monitor", "bulletin board",
        "shower", "radiator", "glass", "clock", "flag",
    )  # fmt: skip
    palette = (
        (120, 120, 120), (180, 120, 120), (6, 230, 230), (80, 50, 50), (4, 200, 3), (120, 120, 80), (140, 140, 140),
        (204, 5, 255), (230, 230, 230), (4, 250, 7), (224, 5, 255), (235, 255, 7), (150, 5, 61), (120, 120, 70), (8, 255, 51),
        (255, 6, 82), (143, 255, 140), (204, 255, 4), (255, 51, 7), (204, 70, 3), (0, 102, 200), (61, 230, 250), (255, 6, 51),
        (11, 102, 255), (255, 7, 71), (255, 9, 224), (9, 7, 230), (220, 220, 220), (255, 9, 92), (112, 9, 255), (8, 255, 214),
        (7, 255, 224), (255, 184, 6), (10, 255, 71), (255, 41, 10), (7, 255, 255), (224, 255, 8), (102, 8, 255), (255, 61, 6),
        (255, 194, 7), (255, 122, 8), (0, 255, 20), (255, 8, 41), (255, 5, 153), (6, 51, 255), (235, 12, 255), (160, 150, 20),
        (0, 163, 255), (140, 140, 140), (250, 10, 15), (20, 255, 0), (31, 255, 0), (255, 31, 0), (255, 224, 0), (153, 255, 0),
        (0, 0, 255), (255, 71, 0), (0, 235, 255), (0, 173, 255), (31, 0, 255), (11, 200, 200), (255, 82, 0), (0, 255, 245),
        (0, 61, 255), (0, 255, 112), (0, 255, 133), (255, 0, 0), (255, 163, 0), (255, 102, 0), (194, 255, 0), (0, 143, 255),
        (51, 255, 0), (0, 82, 255), (0, 255, 41), (0, 255, 173), (10, 0, 255), (173, 255, 0), (0, 255, 153), (255, 92, 0),
        (255, 0, 255), (255, 0, 245), (255, 0, 102), (255, 173, 0), (255, 0, 20), (255, 184, 184), (0, 31, 255), (0, 255, 61),
        (0, 71, 255), (255, 0, 204), (0, 255, 194), (0, 255, 82), (0, 10, 255), (0, 112, 255), (51, 0, 255), (0, 194, 255),
        (0, 122, 255), (0, 255, 163), (255, 153, 0), (0, 255, 10), (255, 112, 0), (143, 255, 0), (82, 0, 255), (163, 255, 0),
        (255, 235, 0), (8, 184, 170), (133, 0, 255), (0, 255, 92), (184, 0, 255), (255, 0, 31), (0, 184, 255), (0, 214, 255),
        (255, 0, 112), (92, 255, 0), (0, 224, 255), (112, 224, 255), (70, 184, 160), (163, 0, 255), (153, 0, 255), (71, 255, 0),
        (255, 0, 163), (255, 204, 0), (255, 0, 143), (0, 255, 235), (133, 255, 0), (255, 0, 235), (245, 0, 255), (255, 0, 122),
        (255, 245, 0), (10, 190, 212), (214, 255, 0), (0, 204, 255), (20, 0, 255), (255, 255, 0), (0, 153, 255), (0, 41, 255),
        (0, 255, 204), (41, 0, 255), (41, 255, 0), (173, 0, 255), (0, 245, 255), (71, 0, 255), (122, 0, 255), (0, 255, 184),
        (0, 92, 255), (184, 255, 0), (0, 133, 255), (255, 214, 0), (25, 194, 194), (102, 255, 0), (92, 0, 255),
    )  # fmt: skip
    root: Path

    @classmethod
    def locate(cls, root: Path | None) -> Path:
        """Return the folder ``ADEChallengeData2016`` at or below ``root``."""
        names = ("ADEChallengeData2016", "ade20k/ADEChallengeData2016", "ade20k")
        return find_folder(
            root, names, [f"{kind}/{folder}" for kind in ("images", "annotations") for folder in FOLDERS.values()]
        )

    def ids(self, subset: str) -> Sequence[str]:
        """Return the sorted ids, such as ``ADE_train_00000001``, of the images that are on disk."""
        if subset not in self.subsets:
            raise self.unknown_subset(subset)
        return list_images(self.root / "images" / FOLDERS[subset], f"ADE_{subset}_*.jpg")

    def decode_mask(self, id: str) -> NDArray[np.uint8]:
        """Return the class of each pixel, (H, W) uint8: raw labels less one, so that the raw 0 becomes void."""
        path = self.annotation(id)
        labels = read_index(path)
        holds = np.bincount(labels.ravel(), minlength=256) > 0
        if holds[IGNORE_INDEX - 1]:
            raise DataError(f"mask {path.name} holds {IGNORE_INDEX - 1}: it was shifted twice", _MASKS)
        if self._are_converted:
            if holds[LAST]:
                raise DataError(f"mask {path.name} holds {LAST}, as unconverted masks do; others here are converted", _MASKS)
            return labels
        if holds[IGNORE_INDEX]:
            raise DataError(f"mask {path.name} holds {IGNORE_INDEX}, as converted masks do; others here are not", _MASKS)
        return labels - np.uint8(1)  # 0 wraps around to 255

    def files(self, id: str) -> tuple[Path, ...]:
        """Return the photo and its mask."""
        prefix, _, rest = id.partition("_")
        subset = rest.partition("_")[0]
        if prefix != "ADE" or subset not in FOLDERS:
            raise DataError(f"'ade20k' has no image '{id}'", "Ids look like ADE_train_00000001 or ADE_val_00000001.")
        folder = FOLDERS[subset]
        return self.root / "images" / folder / f"{id}.jpg", self.root / "annotations" / folder / f"{id}.png"

    @cached_property
    def _are_converted(self) -> bool:
        """Whether the masks are converted: one alone may be without void, several are not."""
        found = sorted((self.root / "annotations" / FOLDERS["val"]).glob("ADE_val_*.png"))
        return any((read_index(path) == IGNORE_INDEX).any() for path in found[:LOOKED_AT])
