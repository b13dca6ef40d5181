"""Pictures of a few images under several runs: which images, and the index of a folder that holds them.

``semibench gallery`` writes such a folder; the HTML page embeds it, so an index is read like anything from a stranger.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from semibench import metrics
from semibench.errors import DataError
from semibench.records import Count, Record
from semibench.reports.per_image import PerImage
from semibench.reports.result import Fraction, Sha256

INDEX = "gallery.json"
MAX_BYTES = 20 * 2**20  # of all pictures of a folder
_PNG = b"\x89PNG\r\n\x1a\n"
_NEXT_STEP = "Make the folder anew with 'semibench gallery'."

Reason = Literal["best", "worst", "disputed"]
File = Annotated[str, Field(pattern=r"^[a-z0-9-]+\.png$")]  # beside the index
Channel = Annotated[int, Field(ge=0, le=255)]


class Shown(Record):
    """One of the runs: a column."""

    run_id: Sha256
    method: str
    seed: Count


class Overlay(Record):
    """An image under the labels that a run gives it."""

    file: File
    iou: Fraction | None  # None where neither truth nor prediction has a class


class Picture(Record):
    """One of the images: a row."""

    id: str
    reason: Reason
    image: File
    truth: File
    overlays: Annotated[tuple[Overlay, ...], Field(min_length=1)]  # in the order of the runs


class Color(Record):
    """An entry of the legend."""

    name: str
    rgb: tuple[Channel, Channel, Channel]


class Gallery(Record):
    """The index of a folder of pictures."""

    schema_version: Literal[1] = 1
    protocol: str
    digest: Sha256  # of the protocol
    dataset: str
    synthetic: bool  # drawn by the program; pictures of any other data set are not ours to publish
    checkpoint: Literal["last", "best"]
    runs: Annotated[tuple[Shown, ...], Field(min_length=1)]
    pictures: tuple[Picture, ...]
    legend: tuple[Color, ...]


@dataclass(frozen=True)
class Embedded:
    """A gallery with its pictures as data URIs, by file."""

    index: Gallery
    uris: Mapping[str, str]


def image_iou(counts: PerImage) -> NDArray[np.float64]:
    """Return the IoU of each image, (n,): the mean over the classes that its truth or its prediction has; nan without any."""
    union = counts.truth + counts.prediction - counts.intersection
    return metrics.mean_over_classes(metrics.intersection_over_union(counts.intersection, union), "present")


def choose(iou: NDArray[np.float64], count: int) -> list[tuple[int, Reason]]:
    """Return the images to show by their place in ``iou`` (runs, n): ``count`` for each reason, none twice.

    Best and worst go by the mean over runs, disputed by the distance between highest and lowest; of equals the first is taken.

    >>> choose(np.array([[0.5, 0.9, 0.1, 0.2], [0.5, 0.9, 0.1, 0.8]]), 1)
    [(1, 'best'), (2, 'worst'), (3, 'disputed')]
    """
    known = np.flatnonzero(~np.isnan(iou).any(axis=0))
    means, ranges = iou[:, known].mean(axis=0), np.ptp(iou[:, known], axis=0)
    orders: list[tuple[Reason, NDArray[np.float64]]] = [("best", -means), ("worst", means)]
    if len(iou) > 1:
        orders.append(("disputed", -ranges))
    chosen: dict[int, Reason] = {}
    for reason, order in orders:
        left = [int(known[place]) for place in np.argsort(order, kind="stable") if int(known[place]) not in chosen]
        chosen |= dict.fromkeys(left[:count], reason)
    return list(chosen.items())


def embed(folder: Path) -> Embedded:
    """Return the gallery in ``folder``; raise DataError where it is not whole, or not what its index says."""
    index = _read(folder / INDEX)
    for picture in index.pictures:
        if len(picture.overlays) != len(index.runs):
            raise DataError(f"'{picture.id}' in {folder / INDEX} has not one overlay for each run", _NEXT_STEP)
    files = [file for one in index.pictures for file in (one.image, one.truth, *(overlay.file for overlay in one.overlays))]
    uris, total = {}, 0
    for file in dict.fromkeys(files):
        content = _picture(folder / file)
        total += len(content)
        if total > MAX_BYTES:
            raise DataError(f"the pictures in {folder} take more than {MAX_BYTES} bytes", "Choose fewer: --count.")
        uris[file] = f"data:image/png;base64,{base64.b64encode(content).decode()}"
    return Embedded(index, uris)


def _read(path: Path) -> Gallery:
    try:
        return Gallery.model_validate_json(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}", _NEXT_STEP) from error
    except ValidationError as invalid:
        first = invalid.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise DataError(f"{path} is not the index of a gallery: {where}: {first['msg']}", _NEXT_STEP) from invalid


def _picture(path: Path) -> bytes:
    if path.is_symlink() or not path.is_file() or path.stat().st_size > MAX_BYTES:
        raise DataError(f"{path} is not there, not a plain file or too large", _NEXT_STEP)
    content = path.read_bytes()
    if not content.startswith(_PNG):
        raise DataError(f"{path} is no PNG", _NEXT_STEP)
    return content
