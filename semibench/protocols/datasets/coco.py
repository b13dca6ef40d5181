"""COCO 2017: 118,287 training and 5,000 validation photos, 80 kinds of things and background (Lin et al. 2014).

Official folders::

    train2017/000000000009.jpg
    val2017/000000000139.jpg
    annotations/instances_{train,val}2017.json

Masks are drawn from the annotations by the rule "last-wins": in the order of the file each object covers those before it,
crowds like any other. Without those files ready-made ``masks/ID.png`` of 81 values are read, as semi-supervised code bases
distribute them. How they were made is not documented and 3 % of all pixels have several objects: a score on them is another
one, as the digest of the truth tells.

Traps:

- A class is 1 + the rank of its category among the 80 that are used; ten of the ids 1..90 are not.
- About a thousand training images have no object: background alone.
- Some files are grey; they are read as RGB.
- Where masks are drawn, training needs ``semibench data prepare coco`` first: each process would parse the annotations anew.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semibench.errors import DataError
from semibench.protocols.datasets._instances import Objects, draw, load
from semibench.protocols.datasets.base import Dataset, find_folder, list_images, read_index

UNUSED = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}  # category ids within 1..90; a class is 1 + the rank of a used one
SLOW = 64 * 2**20  # bytes of a file that every process of a run would take long to parse


class COCO(Dataset):
    """COCO 2017 with 81 classes, background counted; nothing is void."""

    class_names = (
        "background", "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
        "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow", "elephant",
        "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard",
        "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle",
        "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich", "orange", "broccoli", "carrot",
        "hot dog", "pizza", "donut", "cake", "chair", "couch", "potted plant", "bed", "dining table", "toilet", "tv", "laptop",
        "mouse", "remote", "keyboard", "cell phone", "microwave", "oven", "toaster", "sink", "refrigerator", "book", "clock",
        "vase", "scissors", "teddy bear", "hair drier", "toothbrush",
    )  # fmt: skip
    palette = (
        (0, 0, 0), (220, 20, 60), (119, 11, 32), (0, 0, 142), (0, 0, 230), (106, 0, 228), (0, 60, 100), (0, 80, 100),
        (0, 0, 70), (0, 0, 192), (250, 170, 30), (100, 170, 30), (220, 220, 0), (175, 116, 175), (250, 0, 30), (165, 42, 42),
        (255, 77, 255), (0, 226, 252), (182, 182, 255), (0, 82, 0), (120, 166, 157), (110, 76, 0), (174, 57, 255),
        (199, 100, 0), (72, 0, 118), (255, 179, 240), (0, 125, 92), (209, 0, 151), (188, 208, 182), (0, 220, 176),
        (255, 99, 164), (92, 0, 73), (133, 129, 255), (78, 180, 255), (0, 228, 0), (174, 255, 243), (45, 89, 255),
        (134, 134, 103), (145, 148, 174), (255, 208, 186), (197, 226, 255), (171, 134, 1), (109, 63, 54), (207, 138, 255),
        (151, 0, 95), (9, 80, 61), (84, 105, 51), (74, 65, 105), (166, 196, 102), (208, 195, 210), (255, 109, 65),
        (0, 143, 149), (179, 0, 194), (209, 99, 106), (5, 121, 0), (227, 255, 205), (147, 186, 208), (153, 69, 1), (3, 95, 161),
        (163, 255, 0), (119, 0, 170), (0, 182, 199), (0, 165, 120), (183, 130, 88), (95, 32, 0), (130, 114, 135),
        (110, 129, 133), (166, 74, 118), (219, 142, 185), (79, 210, 114), (178, 90, 62), (65, 70, 15), (127, 167, 115),
        (59, 105, 106), (142, 108, 45), (196, 172, 0), (95, 54, 80), (128, 76, 255), (201, 57, 1), (246, 0, 122),
        (191, 162, 208),
    )  # fmt: skip
    root: Path

    def __init__(self, root: Path | None) -> None:
        super().__init__(root)
        self.conversion = "last-wins" if any((self.root / "annotations").glob("instances_*2017.json")) else None
        self._parsed: dict[Path, dict[int, Objects] | DataError] = {}

    @classmethod
    def locate(cls, root: Path | None) -> Path:
        """Return the folder that holds ``train2017`` and ``val2017``: ``root``, or ``coco`` or ``COCO`` below it."""
        return find_folder(root, ("coco", "COCO"), ("train2017", "val2017"))

    def ids(self, subset: str) -> Sequence[str]:
        """Return the sorted ids of a subset, such as ``000000000009``, of the images that are on disk."""
        if subset not in self.subsets:
            raise self.unknown_subset(subset)
        return list_images(self.root / f"{subset}2017", "*.jpg")

    def decode_mask(self, id: str) -> NDArray[np.uint8]:
        """Return the class of each pixel, (H, W) uint8; the first call parses the annotations of the whole subset."""
        return self.decoder(id)()

    def decoder(self, id: str) -> Callable[[], NDArray[np.uint8]]:
        """Return what decodes the mask of an id; it holds the objects of that image alone."""
        path = self.annotation(id)
        if path.suffix == ".png":
            return partial(read_index, path)
        objects = self._objects(path)
        if int(id) not in objects:
            raise DataError(
                f"{path.name} does not know the image {id} of {self.files(id)[0].parent.name}",
                "Use the images and the annotations of the same subset of COCO 2017.",
            )
        return partial(draw, objects[int(id)], id)

    def read_mask(self, id: str) -> NDArray[np.uint8]:
        """Return the prepared mask; decode it only where that takes no minute, for every process of a run would."""
        path = self.annotation(id)
        if self.conversion is not None and not self.is_prepared(id) and path.is_file() and path.stat().st_size > SLOW:
            folder = self.files(id)[0].parent.name
            raise DataError(f"the masks of {folder} are not all prepared", "Run 'semibench data prepare coco' once.")
        return super().read_mask(id)

    def files(self, id: str) -> tuple[Path, ...]:
        """Return the photo, and the annotations of its subset or the ready-made mask."""
        if not (id.isascii() and id.isdecimal()):
            raise DataError(f"'coco' has no image '{id}'", "Ids look like 000000000009.")
        image = self.root / "val2017" / f"{id}.jpg"
        subset = "val" if image.is_file() else "train"
        if self.conversion is None:
            return self.root / f"{subset}2017" / image.name, self.root / "masks" / f"{id}.png"
        return self.root / f"{subset}2017" / image.name, self.root / "annotations" / f"instances_{subset}2017.json"

    def _objects(self, path: Path) -> dict[int, Objects]:
        """Return what a file of annotations holds, parsed once; a damaged one is not parsed again for each image."""
        if path not in self._parsed:
            try:
                self._parsed[path] = load(path, self._categories())
            except DataError as error:
                self._parsed[path] = error
        parsed = self._parsed[path]
        if isinstance(parsed, DataError):
            raise DataError(parsed.what, parsed.next_step)
        return parsed

    def _categories(self) -> dict[int, str]:
        return dict(zip((number for number in range(1, 91) if number not in UNUSED), self.class_names[1:], strict=True))
