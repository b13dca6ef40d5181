"""Equations on 2 x 2 images by hand, counts against slow obvious references, and what must hold for any label maps."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from semibench import metrics
from semibench.errors import DataError

VOID = 255
K = 3

TRUTH = np.array([[0, 1], [1, VOID]], np.uint8)
PREDICTION = np.array([[0, 0], [1, 2]], np.uint8)


def label_maps(values):
    return arrays.arrays(np.uint8, (6, 7), elements=st.sampled_from(values))


truths = label_maps([0, 1, 2, VOID])
predictions = label_maps([0, 1, 2])


def confusion(truth, prediction, n_classes=K):
    return metrics.confusion_matrix(truth, prediction, n_classes, VOID)


def test_confusion_has_a_row_per_truth_and_a_column_per_prediction():
    assert confusion(TRUTH, PREDICTION).tolist() == [[1, 0, 0], [1, 1, 0], [0, 0, 0]]


def test_confusion_is_int64():
    assert confusion(TRUTH, PREDICTION).dtype == np.int64


def test_a_prediction_under_void_is_not_counted():
    assert confusion(TRUTH, PREDICTION).sum() == 3


@pytest.mark.parametrize("truth, prediction", [(3, 0), (0, 3), (-1, 0), (0, -1)])
def test_a_value_outside_the_classes_is_refused(truth, prediction):
    with pytest.raises(DataError, match="outside the 3 classes"):
        confusion(np.array([truth]), np.array([prediction]))


@given(truths, predictions)
def test_confusion_agrees_with_a_loop_over_pixels(truth, prediction):
    expected = np.zeros((K, K), np.int64)
    for row, column in zip(truth.ravel(), prediction.ravel(), strict=True):
        if row != VOID:
            expected[row, column] += 1
    np.testing.assert_array_equal(confusion(truth, prediction), expected)


def test_scores_of_two_by_two_pixels():
    matrix = confusion(TRUTH, PREDICTION)
    np.testing.assert_array_equal(metrics.class_iou(matrix), [1 / 2, 1 / 2, np.nan])
    assert metrics.pixel_accuracy(matrix) == 2 / 3
    assert metrics.frequency_weighted_iou(matrix) == pytest.approx(1 / 3 * 1 / 2 + 2 / 3 * 1 / 2)


def test_the_mean_over_present_classes_leaves_an_absent_class_out():
    assert metrics.mean_iou(confusion(TRUTH, PREDICTION), "present") == 1 / 2


def test_the_mean_over_all_classes_counts_an_absent_class_as_zero():
    assert metrics.mean_iou(confusion(TRUTH, PREDICTION), "all") == pytest.approx(1 / 3)


def test_a_class_that_is_only_predicted_is_present():
    assert metrics.mean_iou(np.array([[1, 1], [0, 0]]), "present") == 1 / 4


def test_nothing_counted_has_no_score():
    empty = np.zeros((K, K), np.int64)
    scores = (metrics.mean_iou(empty, "present"), metrics.pixel_accuracy(empty), metrics.frequency_weighted_iou(empty))
    assert all(math.isnan(score) for score in scores)


def test_means_over_classes_work_on_stacks():
    iou = np.array([[0.5, 1.0, np.nan], [np.nan, np.nan, np.nan]])
    np.testing.assert_array_equal(metrics.mean_over_classes(iou, "present"), [0.75, np.nan])


@given(truths, predictions, st.permutations(range(K)))
def test_permuting_classes_permutes_iou(truth, prediction, order):
    table = np.full(256, VOID, np.uint8)
    table[list(order)] = np.arange(K)
    permuted = metrics.class_iou(confusion(table[truth], table[prediction]))
    np.testing.assert_array_equal(permuted, metrics.class_iou(confusion(truth, prediction))[list(order)])


@given(truths, predictions, truths, predictions)
def test_counts_of_two_images_add_up_to_those_of_both(truth, prediction, other_truth, other_prediction):
    both = confusion(np.stack([truth, other_truth]), np.stack([prediction, other_prediction]))
    np.testing.assert_array_equal(confusion(truth, prediction) + confusion(other_truth, other_prediction), both)


def slow_band(mask, width):
    """Pixels of ``mask`` (H, W) bool from which a pixel that is not of it, or outside, is at most ``width`` away."""
    padded = np.pad(mask, width, constant_values=False)
    size = 2 * width + 1
    rows, columns = mask.shape
    whole = [[padded[y : y + size, x : x + size].all() for x in range(columns)] for y in range(rows)]
    return mask & ~np.array(whole)


@settings(max_examples=40)
@given(truths, predictions, st.integers(1, 3))
def test_boundary_counts_agree_with_bands_drawn_mask_by_mask(truth, prediction, width):
    intersection, union = metrics.boundary_counts(truth, prediction, K, VOID, width)
    for index in range(K):
        true_band = slow_band(truth == index, width)
        band = slow_band((prediction == index) & (truth != VOID), width)
        assert (intersection[index], union[index]) == ((true_band & band).sum(), (true_band | band).sum())


@given(truths, predictions, st.integers(1, 3))
def test_boundaries_of_a_right_prediction_agree_even_beside_void(truth, prediction, width):
    intersection, union = metrics.boundary_counts(truth, np.where(truth == VOID, prediction, truth), K, VOID, width)
    np.testing.assert_array_equal(intersection, union)


def test_the_inside_of_an_object_is_no_boundary():
    _, union = metrics.boundary_counts(np.zeros((9, 9), np.uint8), np.zeros((9, 9), np.uint8), 1, VOID, 2)
    assert union.tolist() == [9 * 9 - 5 * 5]


@pytest.mark.parametrize("size, expected", [((375, 500), 12), ((1024, 2048), 46), ((4, 4), 1)])
def test_boundaries_are_two_percent_of_the_diagonal_wide(size, expected):
    assert metrics.boundary_width(*size) == expected


def test_the_edges_of_bins_belong_to_the_lower_bin():
    count, _, _ = metrics.calibration_bins(np.array([0.0, 0.25, 0.5, 0.75, 1.0]), np.zeros(5, bool), n_bins=4)
    assert count.tolist() == [2, 1, 1, 1]


def test_confidence_that_equals_accuracy_has_no_calibration_error():
    bins = metrics.calibration_bins(np.full(4, 0.75), np.array([True, True, True, False]))
    assert metrics.expected_calibration_error(*bins) == pytest.approx(0)


def test_calibration_error_weighs_bins_by_their_pixels():
    bins = metrics.calibration_bins(np.array([0.9, 0.9, 0.9, 0.2]), np.array([True, True, False, True]), n_bins=2)
    assert metrics.expected_calibration_error(*bins) == pytest.approx(3 / 4 * (0.9 - 2 / 3) + 1 / 4 * (1 - 0.2))


def test_no_pixels_have_no_calibration_error():
    assert math.isnan(metrics.expected_calibration_error(*metrics.calibration_bins(np.zeros(0), np.zeros(0, bool))))
