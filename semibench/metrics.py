"""Counts of pixels -> scores. Counts are int64 and add up over images; every score is a function of summed counts.

Legend: K classes, H x W pixels, n images. A score without any counted pixel is nan.
"""

import math
from typing import Any, Literal  # the label maps' integer width is free

import numpy as np
from numpy.typing import NDArray

from semibench.errors import DataError

Labels = NDArray[np.integer[Any]]
Counts = NDArray[np.int64]
Scores = NDArray[np.float64]
Mean = Literal["present", "all"]

N_BINS = 15  # of confidence, as in Guo et al. 2017 (On calibration of modern neural networks)


def confusion_matrix(truth: Labels, prediction: Labels, n_classes: int, ignore_index: int) -> Counts:
    """Count the pixels of each (truth, predicted) class, (K, K) int64: rows are truth, columns are predictions.

    ``truth`` and ``prediction`` have one shape, any. Pixels whose truth is ``ignore_index`` are not counted.
    Raises DataError when another value is outside [0, K).

    >>> confusion_matrix(np.array([[0, 1], [1, 255]]), np.array([[0, 1], [0, 1]]), 2, 255).tolist()
    [[1, 0], [1, 1]]
    """
    is_counted = truth != ignore_index
    rows, columns = truth[is_counted], prediction[is_counted]
    _check_classes(rows, n_classes, "truth")
    _check_classes(columns, n_classes, "prediction")
    cells = np.bincount(rows.astype(np.int64) * n_classes + columns, minlength=n_classes * n_classes)
    return cells.astype(np.int64).reshape(n_classes, n_classes)


def intersection_over_union(intersection: Counts, union: Counts) -> Scores:
    """Divide counts of any shape; nan where the union is empty.

    >>> intersection_over_union(np.array([1, 0]), np.array([2, 0])).tolist()
    [0.5, nan]
    """
    iou: Scores = np.divide(intersection, union, out=np.full(union.shape, np.nan), where=union > 0)
    return iou


def mean_over_classes(iou: Scores, classes: Mean) -> Scores:
    """Average IoU (..., K) over the last axis -> (...); nan marks absent classes.

    ``present``: absent classes are left out, nan when all are. ``all``: they count as 0, as in the published code that
    adds 1e-10 to the union.

    >>> iou = np.array([0.5, 1.0, np.nan])
    >>> float(mean_over_classes(iou, "present")), float(mean_over_classes(iou, "all"))
    (0.75, 0.5)
    """
    is_absent = np.isnan(iou)
    total = np.where(is_absent, 0.0, iou).sum(axis=-1)
    counted = (~is_absent).sum(axis=-1) if classes == "present" else np.full(total.shape, iou.shape[-1])
    mean: Scores = np.divide(total, counted, out=np.full(total.shape, np.nan), where=counted > 0)
    return mean


def class_iou(confusion: Counts) -> Scores:
    """Return the IoU of each class, (K,) float64; nan where a class is neither in truth nor in predictions.

    >>> class_iou(np.array([[2, 1, 0], [1, 0, 0], [0, 0, 0]])).tolist()
    [0.5, 0.0, nan]
    """
    intersection = np.diagonal(confusion)
    return intersection_over_union(intersection, confusion.sum(axis=0) + confusion.sum(axis=1) - intersection)


def mean_iou(confusion: Counts, classes: Mean) -> float:
    """Return the mean IoU in [0, 1] of a confusion matrix (K, K); see ``mean_over_classes`` for ``classes``.

    >>> mean_iou(np.array([[2, 1, 0], [1, 0, 0], [0, 0, 0]]), "present")
    0.25
    """
    return float(mean_over_classes(class_iou(confusion), classes))


def pixel_accuracy(confusion: Counts) -> float:
    """Return the share of counted pixels that are right, in [0, 1].

    >>> pixel_accuracy(np.array([[2, 1], [1, 0]]))
    0.5
    """
    total = int(confusion.sum())
    return int(np.trace(confusion)) / total if total else math.nan


def frequency_weighted_iou(confusion: Counts) -> float:
    """Return the mean IoU weighted by each class's share of the truth, in [0, 1].

    >>> frequency_weighted_iou(np.array([[2, 1], [1, 0]]))
    0.375
    """
    return weighted_by_frequency(class_iou(confusion), confusion)


def weighted_by_frequency(iou: Scores, confusion: Counts) -> float:
    """Return the mean of IoU (K,) weighted by each class's share of the truth of ``confusion`` (K, K)."""
    frequency = confusion.sum(axis=1)
    total = int(frequency.sum())
    return float(np.where(frequency > 0, frequency * iou, 0.0).sum()) / total if total else math.nan


def boundary_width(height: int, width: int, ratio: float = 0.02) -> int:
    """Return the width of the boundary band in pixels, at least 1: a share of the diagonal (Cheng et al. 2021: 2 %).

    >>> boundary_width(64, 64), boundary_width(1024, 2048), boundary_width(8, 8)
    (2, 46, 1)
    """
    return max(1, round(ratio * math.hypot(height, width)))


def boundary_counts(truth: Labels, prediction: Labels, n_classes: int, ignore_index: int, width: int) -> tuple[Counts, Counts]:
    """Count intersection and union of the class boundaries of (H, W) label maps, (K,) int64 each.

    Boundary IoU of Cheng et al. 2021: of each class mask only the pixels within ``width`` pixels (chessboard distance)
    of its contour are kept, in truth and in prediction, and these bands are compared. The image border is contour, as in
    the authors' code. [our choice] So is the edge of void, on both sides: void is cut out of the prediction, too, before
    contours are taken. A prediction that is right wherever it is judged thus scores 1.

    >>> truth, prediction = np.array([[0, 1], [255, 1]]), np.array([[0, 1], [0, 0]])
    >>> [counts.tolist() for counts in boundary_counts(truth, prediction, 2, 255, width=1)]
    [[1, 1], [2, 2]]
    """
    judged = np.where(truth == ignore_index, truth, prediction)
    truth_band = np.where(_is_boundary(truth, width), truth, ignore_index)
    judged_band = np.where(_is_boundary(judged, width), judged, ignore_index)
    hits = np.where(truth_band == judged_band, truth_band, ignore_index)
    intersection = _class_counts(hits, n_classes, ignore_index)
    both = _class_counts(truth_band, n_classes, ignore_index) + _class_counts(judged_band, n_classes, ignore_index)
    return intersection, both - intersection


def calibration_bins(
    confidence: NDArray[np.floating[Any]], correct: NDArray[np.bool_], n_bins: int = N_BINS
) -> tuple[Counts, Counts, Scores]:
    """Sort pixels into equal bins of confidence: their number, the number of right ones, and the sum of confidences.

    ``confidence`` in [0, 1] and ``correct`` have one shape, any; results are (n_bins,). Bin i holds
    (i / n_bins, (i + 1) / n_bins], the first one 0 as well.

    >>> bins = calibration_bins(np.array([0.5, 0.75, 1.0]), np.array([True, False, True]), n_bins=2)
    >>> [values.tolist() for values in bins]
    [[1, 2], [1, 1], [0.5, 1.75]]
    """
    flat = confidence.ravel()
    bins = np.clip(np.ceil(flat * n_bins).astype(np.int64) - 1, 0, n_bins - 1)
    count = np.bincount(bins, minlength=n_bins).astype(np.int64)
    right = np.bincount(bins[correct.ravel()], minlength=n_bins).astype(np.int64)
    confidence_sum = np.bincount(bins, weights=flat, minlength=n_bins).astype(np.float64)
    return count, right, confidence_sum


def expected_calibration_error(count: Counts, correct: Counts, confidence_sum: Scores) -> float:
    """Return the mean distance of confidence and accuracy over bins (n_bins,), weighted by their pixels, in [0, 1].

    >>> expected_calibration_error(np.array([1, 2]), np.array([1, 1]), np.array([0.5, 1.75]))
    0.4166666666666667
    """
    total = int(count.sum())
    return float(np.abs(correct - confidence_sum).sum()) / total if total else math.nan


def _check_classes(values: Labels, n_classes: int, where: str) -> None:
    if values.size and not 0 <= values.min() <= values.max() < n_classes:
        stranger = values[(values < 0) | (values >= n_classes)][0]
        raise DataError(
            f"a label map ({where}) holds the value {stranger}, outside the {n_classes} classes",
            "Check the class table of the data set and the number of outputs of the network.",
        )


def _is_boundary(labels: Labels, width: int) -> NDArray[np.bool_]:
    """Mark pixels whose window of ``width`` pixels to each side holds another label or leaves the image."""
    from scipy import ndimage  # tables need no boundaries and should not wait for it

    window = 2 * width + 1
    highest = ndimage.maximum_filter(labels, window, mode="nearest")
    is_boundary: NDArray[np.bool_] = highest != ndimage.minimum_filter(labels, window, mode="nearest")
    is_boundary[:width] = is_boundary[-width:] = True
    is_boundary[:, :width] = is_boundary[:, -width:] = True
    return is_boundary


def _class_counts(labels: Labels, n_classes: int, ignore_index: int) -> Counts:
    return np.bincount(labels[labels != ignore_index], minlength=n_classes).astype(np.int64)
