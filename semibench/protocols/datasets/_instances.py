"""COCO's instance annotations: one JSON file -> the objects of each image -> its index mask.

The file does not say which of two overlapping objects is in front. The rule here is "last-wins": each object overwrites those
before it, in the order of the file, crowds like any other object. Polygons are rasterized by COCO's own library.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as rasterizer

from semibench.errors import DataError

LONGEST = 4096  # pixels a side, to refuse absurd sizes before memory is asked for; COCO's are at most 640
CORNERS = 3  # a polygon of fewer has no area
_AGAIN = "Use annotations_trainval2017.zip of COCO 2017 ('semibench data fetch coco')."


class Objects(NamedTuple):
    """What is drawn into one image: each object's class and its outline as the file has it, polygons or a run-length code."""

    height: int
    width: int
    outlines: list[tuple[int, Any]]


def load(path: Path, categories: Mapping[int, str]) -> dict[int, Objects]:
    """Read a file of instances whose ``categories`` must be these, id -> name in the order of the classes from 1.

    Raises DataError when it is missing, damaged, of another year or not a file of instances.
    """
    document = _parse(path)
    try:
        found = {entry["id"]: entry["name"] for entry in document["categories"]}
        if found != categories:
            raise DataError(f"{path} has {len(found)} categories, not the {len(categories)} of COCO's instances", _AGAIN)
        classes = {category: number for number, category in enumerate(categories, 1)}
        images = {image["id"]: Objects(image["height"], image["width"], []) for image in document["images"]}
        for image in document["images"]:
            if image["file_name"] != f"{image['id']:012d}.jpg":
                raise DataError(f"{path} is of another year: it names {image['file_name']}, not {image['id']:012d}.jpg", _AGAIN)
        for entry in document["annotations"]:
            images[entry["image_id"]].outlines.append((classes[entry["category_id"]], entry["segmentation"]))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} is no file of instances ({type(error).__name__}: {error})", _AGAIN) from error
    return images


def draw(objects: Objects, id: str) -> NDArray[np.uint8]:
    """Return the class of each pixel, (H, W) uint8, 0 where no object is; raise DataError for an outline that is none."""
    try:
        mask = _draw(objects)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise DataError(f"the annotation of image '{id}' is damaged ({error})", _AGAIN) from error
    return np.ascontiguousarray(mask)


def _draw(objects: Objects) -> NDArray[np.uint8]:
    height, width = objects.height, objects.width
    if not (0 < height <= LONGEST and 0 < width <= LONGEST):
        raise ValueError(f"its size is {height} x {width}")
    mask = np.zeros((height, width), np.uint8, order="F")  # the order of the rasterizer
    for number, outline in objects.outlines:
        for region in _regions(outline, height, width):
            left, _, across, _ = rasterizer.toBbox(region).astype(int)
            columns = slice(left, left + across)
            np.copyto(mask[:, columns], np.uint8(number), where=rasterizer.decode(region)[:, columns].view(np.bool_))
    return mask


def _regions(outline: Any, height: int, width: int) -> list[dict[str, Any]]:
    """Return an object's parts in the rasterizer's own code; it is C and trusts what it gets, so check first."""
    if isinstance(outline, list):
        polygons = [_polygon(points) for points in outline]
        polygons = [points for points in polygons if points.size >= 2 * CORNERS]
        return list(rasterizer.frPyObjects(polygons, height, width)) if polygons else []
    counts = np.asarray(outline["counts"])
    if counts.dtype.kind not in "iu" or counts.ndim != 1 or (counts < 0).any() or counts.sum() != height * width:
        raise ValueError("a run-length code does not fill the image")
    return [rasterizer.frPyObjects({"counts": counts.tolist(), "size": [height, width]}, height, width)]


def _polygon(points: Any) -> NDArray[np.float64]:
    polygon = np.asarray(points, np.float64)
    if polygon.ndim != 1 or polygon.size % 2 or not (np.abs(polygon) <= 2 * LONGEST).all():
        raise ValueError("a polygon is no list of x, y")
    return polygon


def _parse(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            return json.load(file)
    except FileNotFoundError as error:
        raise DataError(f"file {path} not found", _AGAIN) from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is truncated or damaged ({error})", _AGAIN) from error
