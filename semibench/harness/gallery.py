"""A folder of pictures: the images on which runs are best, worst and furthest apart, under the labels of each run."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from semibench.errors import NotConformantError
from semibench.files import write_text
from semibench.harness import pictures
from semibench.harness.scoring import Scorer
from semibench.protocols.datasets.base import Dataset
from semibench.reports import per_image
from semibench.reports.gallery import INDEX, Color, Gallery, Overlay, Picture, Reason, Shown, choose, image_iou
from semibench.reports.listing import COUNTS
from semibench.reports.result import Result

_MAX_SIDE = 320  # pixels; what a page needs, and small enough for a dozen pictures in one
Pixels = NDArray[np.uint8]


class Run(NamedTuple):
    """A run with its result, its network at the checkpoint that ranks, and the IoU of each image by its id."""

    result: Result
    scorer: Scorer
    iou: dict[str, float]


def image_scores(result: Result, folder: Path) -> dict[str, float]:
    """Return id -> IoU of each scored image of the run in ``folder``; nan where an image has no class."""
    counts = per_image.load(folder / COUNTS, result.ranked.n_images, len(result.class_names))
    return dict(zip(counts.ids.tolist(), image_iou(counts).tolist(), strict=True))


def check(runs: Sequence[tuple[Result, dict[str, float]]]) -> None:
    """Raise NotConformantError unless the runs share protocol, evaluation rule and scored images."""
    first, scores = runs[0]
    for other, others in runs[1:]:
        measured = [(one.digest, one.digests.evaluation, one.digests.truth) for one in (first, other)]
        if measured[0] != measured[1] or scores.keys() != others.keys():
            raise NotConformantError(
                f"the runs {first.run_id[:12]} ({first.protocol}) and {other.run_id[:12]} ({other.protocol}) "
                "were not scored alike on the same images",
                "Name runs of one protocol.",
            )


def write(runs: Sequence[Run], dataset: Dataset, folder: Path, count: int) -> Gallery:
    """Write pictures of ``count`` images for each reason, and their index; return the index."""
    runs = sorted(runs, key=lambda run: (run.result.method, run.result.seed, run.result.run_id))
    ids = sorted(runs[0].iou)
    chosen = choose(np.array([[run.iou[id] for id in ids] for run in runs]), count)
    occurs = np.zeros(256, np.bool_)
    rows = tuple(
        _picture(number, ids[place], reason, runs, dataset, folder, occurs) for number, (place, reason) in enumerate(chosen)
    )
    first = runs[0].result
    index = Gallery(
        protocol=first.protocol,
        digest=first.digest,
        dataset=first.dataset,
        synthetic=first.synthetic,
        checkpoint=first.evaluation.checkpoint,
        runs=tuple(Shown(run_id=run.result.run_id, method=run.result.method, seed=run.result.seed) for run in runs),
        pictures=rows,
        legend=tuple(Color(name=name, rgb=rgb) for name, rgb in pictures.legend(dataset, occurs)),
    )
    write_text(folder / INDEX, index.model_dump_json(indent=2) + "\n")
    return index


def _picture(
    number: int, id: str, reason: Reason, runs: Sequence[Run], dataset: Dataset, folder: Path, occurs: NDArray[np.bool_]
) -> Picture:
    """Write the pictures of one image; mark in ``occurs`` (256,) the labels that they show."""
    image, mask = dataset.pair(id)
    labels = [run.scorer.predict(image) for run in runs]
    for one in (mask, *labels):
        occurs[one] = True
    name = f"{number:02}"
    _save(image, folder / f"{name}-image.png")
    _save(pictures.colorize(mask, dataset.palette), folder / f"{name}-truth.png")
    overlays = []
    for run, one in zip(runs, labels, strict=True):
        file = f"{name}-{run.result.run_id[:12]}.png"
        _save(pictures.overlay(image, one, dataset.palette), folder / file)
        iou = run.iou[id]
        overlays.append(Overlay(file=file, iou=None if np.isnan(iou) else iou))
    return Picture(id=id, reason=reason, image=f"{name}-image.png", truth=f"{name}-truth.png", overlays=tuple(overlays))


def _save(pixels: Pixels, path: Path) -> None:
    height, width = pixels.shape[:2]
    scale = min(1.0, _MAX_SIDE / max(height, width))
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        pixels = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX))
    pictures.save_rgb(pixels, path)
