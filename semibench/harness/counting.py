"""Label maps beside the truth -> int64 counts, whoever made them: what the evaluator and ``semibench score`` share."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple  # arrays of a record differ in their element type

import numpy as np
from numpy.typing import NDArray

from semibench import metrics
from semibench.errors import DataError, RunFailedError
from semibench.hashing import digest_json, digest_pixels
from semibench.protocols.protocol import EvaluationRule
from semibench.reports.figures import derive, derive_counts
from semibench.reports.per_image import PerImage
from semibench.reports.result import Scores


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Counts of one predictor on n images of K classes."""

    n_images: int
    confusion: metrics.Counts  # (K, K): row = truth, column = prediction
    truth_digest: str  # SHA-256 of the decoded masks, whatever the order of the images
    counts: PerImage | None  # None when evaluated without detail

    @property
    def per_image(self) -> PerImage:
        """The counts per image; raise RunFailedError when they were not asked for."""
        if self.counts is None:
            raise RunFailedError("these images were evaluated without counts per image", "Evaluate them with detail=True.")
        return self.counts


class Judged(NamedTuple):
    """One image with what the predictor says about it."""

    id: str
    truth: NDArray[np.uint8]  # (H, W), as all below
    labels: NDArray[np.uint8]
    confidence: NDArray[np.float32] | None  # None: not known, or not needed


class Counted(NamedTuple):
    """The counts of one image."""

    id: str
    truth_digest: str
    confusion: metrics.Counts  # (K, K)
    detail: dict[str, NDArray[Any]]  # fields of PerImage, one row each; empty without detail


def check_list(ids: Sequence[str]) -> None:
    """Raise DataError for a list of images that is empty or names one twice."""
    if not ids:
        raise DataError("the list of images to evaluate is empty", "Check the subset that the evaluation rule names.")
    for id, occurrences in Counter(ids).items():
        if occurrences > 1:
            raise DataError(f"the list of images to evaluate names '{id}' twice", "Use the official list of the subset.")


def count(item: Judged, n_classes: int, ignore_index: int, *, detail: bool) -> Counted:
    """Count one image of ``n_classes``; pixels whose truth is ``ignore_index`` are left out.

    Without confidences, the bins of the detail stay empty.
    """
    id, truth, labels, confidence = item
    confusion = metrics.confusion_matrix(truth, labels, n_classes, ignore_index)
    digest = digest_pixels(truth)
    if not detail:
        return Counted(id, digest, confusion, {})
    width = metrics.boundary_width(*truth.shape)
    boundary = metrics.boundary_counts(truth, labels, n_classes, ignore_index, width)
    is_binned = truth != ignore_index if confidence is not None else np.zeros(truth.shape, dtype=bool)
    confidence = np.zeros(truth.shape, np.float32) if confidence is None else confidence
    bins = metrics.calibration_bins(confidence[is_binned], (truth == labels)[is_binned])
    rows = {
        "intersection": np.diagonal(confusion),
        "truth": confusion.sum(axis=1),
        "prediction": confusion.sum(axis=0),
        "boundary_intersection": boundary[0],
        "boundary_union": boundary[1],
        "bin_count": bins[0],
        "bin_correct": bins[1],
        "bin_confidence": bins[2],
    }
    return Counted(id, digest, confusion, rows)


class Tally:
    """What is kept of each image; matrices are only summed, since 2,000 of 150 classes would take 360 MB."""

    def __init__(self, n_classes: int) -> None:
        self.confusion = np.zeros((n_classes, n_classes), np.int64)
        self.digests: dict[str, str] = {}
        self.detail: dict[str, dict[str, NDArray[Any]]] = {}

    def add(self, counted: Counted) -> None:
        """Take up the counts of one image."""
        self.confusion += counted.confusion
        self.digests[counted.id] = counted.truth_digest
        self.detail[counted.id] = counted.detail

    def evaluation(self, ids: Sequence[str], detail: bool) -> Evaluation:
        """Return the counts of ``ids``; raise RunFailedError when one is missing, DataError when nothing was to be judged."""
        if len(self.digests) != len(ids):
            raise RunFailedError(
                f"{len(self.digests)} of {len(ids)} images were scored", "This is an error in semibench: report it."
            )
        if self.confusion.sum() == 0:
            raise DataError(f"the masks of {len(ids)} images hold nothing but void", "Check the masks and the class table.")
        counts = None
        if detail:
            rows = {name: np.stack([self.detail[id][name] for id in ids]) for name in self.detail[ids[0]]}
            counts = PerImage(ids=np.array(ids, dtype=np.str_), **rows)
        return Evaluation(len(self.digests), self.confusion, digest_json(self.digests), counts)


def to_scores(evaluation: Evaluation, subset: str, step: int, rule: EvaluationRule) -> Scores:
    """Return the record of an evaluation with detail: of the checkpoint after ``step`` steps on ``subset``."""
    return Scores(
        subset=subset,
        step=step,
        n_images=evaluation.n_images,
        confusion=tuple(map(tuple, evaluation.confusion.tolist())),
        **derive(evaluation.confusion, rule.classes)._asdict(),
        **derive_counts(evaluation.per_image, rule.classes)._asdict(),
    )
