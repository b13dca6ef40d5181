"""Figures from counts per image."""

import numpy as np

from semibench.metrics import N_BINS
from semibench.reports.figures import derive_counts, precision
from semibench.reports.per_image import PerImage


def _counts(count, correct):
    one = np.ones((1, 2), np.int64)
    bins = [np.array([row], np.int64) for row in (count, correct)]
    return PerImage(np.array(["one"]), one, one, one, one, one, *bins, np.zeros((1, N_BINS)))


def test_precision_is_the_share_of_right_ones_among_those_above_a_confidence():
    count, correct = [0] * N_BINS, [0] * N_BINS
    count[3], count[13], count[14] = 50, 30, 20
    correct[3], correct[13], correct[14] = 10, 24, 20
    shown = [(round(row.above, 2), row.coverage, row.precision) for row in precision(_counts(count, correct))]
    assert shown == [(0, 1.0, 0.54), (0.8, 0.5, 0.88), (0.87, 0.5, 0.88), (0.93, 0.2, 1.0)]


def test_nothing_is_precise_where_nothing_is_kept():
    count = [10] + [0] * (N_BINS - 1)
    assert precision(_counts(count, [0] * N_BINS))[-1].precision is None


def test_without_confidences_there_is_no_calibration_error():
    assert derive_counts(_counts([0] * N_BINS, [0] * N_BINS), "present").calibration_error is None
