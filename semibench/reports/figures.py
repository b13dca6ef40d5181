"""The figures of a result that follow from its confusion matrix, and those that follow from its counts per image."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from semibench import metrics
from semibench.reports.per_image import PerImage

_EDGES = 3  # of 15 bins: 0.8, 0.87, 0.93, near to the thresholds of methods


class Derived(NamedTuple):
    """The figures of ``Scores`` that follow from its confusion matrix alone."""

    miou: float
    class_iou: tuple[float | None, ...]
    pixel_accuracy: float
    frequency_weighted_iou: float


class Counted(NamedTuple):
    """The figures of ``Scores`` that follow from its counts per image alone."""

    boundary_iou: float
    calibration_error: float | None


def derive(confusion: metrics.Counts | Sequence[Sequence[int]], classes: metrics.Mean) -> Derived:
    """Return the figures of a confusion matrix (K, K), K > 0; nan where no pixel was counted.

    >>> derive(((2, 1, 0), (1, 0, 0), (0, 0, 0)), "present")
    Derived(miou=0.25, class_iou=(0.5, 0.0, None), pixel_accuracy=0.5, frequency_weighted_iou=0.375)
    """
    matrix = np.asarray(confusion, dtype=np.int64)
    class_iou = metrics.class_iou(matrix)
    return Derived(
        float(metrics.mean_over_classes(class_iou, classes)),
        tuple(None if math.isnan(iou) else iou for iou in class_iou.tolist()),
        metrics.pixel_accuracy(matrix),
        metrics.weighted_by_frequency(class_iou, matrix),
    )


def derive_counts(counts: PerImage, classes: metrics.Mean) -> Counted:
    """Return the figures of counts per image; nan where no pixel was counted, None where no confidence is known."""
    bins = (counts.bin_count.sum(axis=0), counts.bin_correct.sum(axis=0), counts.bin_confidence.sum(axis=0))
    error = metrics.expected_calibration_error(*bins)
    return Counted(float(metrics.mean_over_classes(_boundary_iou(counts), classes)), None if math.isnan(error) else error)


def class_boundary_iou(counts: PerImage) -> tuple[float | None, ...]:
    """Return the boundary IoU of each class; None where it has no boundary in truth or predictions."""
    return tuple(None if math.isnan(iou) else iou for iou in _boundary_iou(counts).tolist())


def _boundary_iou(counts: PerImage) -> metrics.Scores:
    return metrics.intersection_over_union(counts.boundary_intersection.sum(axis=0), counts.boundary_union.sum(axis=0))


class Precision(NamedTuple):
    """What pseudo-labels above a confidence would have been worth."""

    above: float  # confidence
    coverage: float  # share of the pixels
    precision: float | None  # share of those that are right; None without any


def precision(counts: PerImage) -> list[Precision]:
    """Return coverage and precision of all pixels, and of those above the lower edges of the last bins of confidence."""
    count, correct = counts.bin_count.sum(axis=0), counts.bin_correct.sum(axis=0)
    found = []
    for first in (0, *range(metrics.N_BINS - _EDGES, metrics.N_BINS)):
        kept, right = int(count[first:].sum()), int(correct[first:].sum())
        found.append(Precision(first / metrics.N_BINS, kept / int(count.sum()), right / kept if kept else None))
    return found


def is_close(stored: float | None, expected: float | None) -> bool:
    """Tell whether two figures agree up to the last digits, in which sums in another order differ."""
    if stored is None or expected is None:
        return stored is expected
    return math.isclose(stored, expected, rel_tol=0, abs_tol=1e-9)
