"""What differences are worth: held to scipy, to slow obvious references, and to what intervals promise."""

import time
from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from semibench import metrics
from semibench.reports import statistics
from semibench.reports.statistics import (
    MIN_IMAGES,
    MIN_IMAGES_DRAWN,
    MIN_IMAGES_OF_CLASS,
    bootstrap_images,
    flip_images,
    holm,
    percentile_interval,
    smallest_detectable,
    student,
    tie_groups,
)

SIMULATIONS = 4000


def _coverage(low, high, truth):
    return float(((low <= truth) & (truth <= high)).mean())


# Student's interval and the paired test.


@pytest.mark.parametrize("n", [3, 5, 20])
def test_interval_and_p_of_paired_differences_are_scipys(n):
    generator = np.random.default_rng(n)
    ours, theirs = generator.normal(0.70, 0.01, n), generator.normal(0.69, 0.01, n)
    expected = stats.ttest_rel(ours, theirs)
    found = student(ours - theirs)
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert found.std == pytest.approx(np.std(ours - theirs, ddof=1))


def test_absent_seeds_are_left_out_row_by_row():
    rows = np.array([[1.0, 2.0, np.nan, 6.0], [np.nan, 1.0, 2.0, 3.0]])
    found = student(rows)
    assert found.n.tolist() == [3, 3]
    for index, row in enumerate(rows):
        alone = student(row[~np.isnan(row)])
        assert [float(figure[index]) for figure in found] == pytest.approx([float(figure) for figure in alone])


@pytest.mark.parametrize("values", [[0.01], [0.01, 0.02]])
def test_fewer_than_three_seeds_have_a_mean_and_decide_nothing(values):
    found = student(np.array(values))
    assert found.mean == pytest.approx(np.mean(values))
    assert np.isnan([found.std, found.low, found.high, found.p]).all()


def test_no_common_seed_has_not_even_a_mean():
    found = student(np.full((2, 4), np.nan))
    assert found.n.tolist() == [0, 0]
    assert np.isnan(found.mean).all()


@pytest.mark.parametrize(("difference", "p"), [(0.0, 1.0), (0.25, 0.0)])
def test_differences_without_any_spread_are_decided_by_their_sign(difference, p):
    assert student(np.full(5, difference)).p == p


@pytest.mark.parametrize("n", [3, 5, 10])
def test_students_interval_covers_as_often_as_it_says(n):
    values = np.random.default_rng(0).normal(0.01, 0.005, (SIMULATIONS, n))
    found = student(values)
    assert 0.93 < _coverage(found.low, found.high, 0.01) < 0.97


def test_the_paired_test_is_wrong_as_often_as_it_says():
    generator = np.random.default_rng(1)
    common = generator.normal(0.7, 0.02, (SIMULATIONS, 5))  # what a seed does to both methods
    ours, theirs = (common + generator.normal(0, 0.004, common.shape) for _ in range(2))
    assert 0.03 < float((student(ours - theirs).p <= 0.05).mean()) < 0.07


# Several tests, ties, power.


def test_holm_multiplies_the_smallest_by_all_and_never_falls():
    # 0.01 * 4; 0.02 * 3; 0.03 * 2 = 0.06, not below the one before; 0.9 * 1
    assert holm(np.array([0.9, 0.01, 0.03, 0.02])).tolist() == pytest.approx([0.9, 0.04, 0.06, 0.06])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_rejects_what_stepping_down_by_hand_rejects(p):
    rejected = set()
    for step, index in enumerate(sorted(range(len(p)), key=lambda index: p[index])):
        if p[index] * (len(p) - step) > 0.05:
            break
        rejected.add(index)
    assert set(np.flatnonzero(holm(np.array(p)) <= 0.05)) == rejected


def test_a_pair_without_a_test_makes_the_others_no_harder():
    assert holm(np.array([0.01, np.nan])).tolist()[0] == 0.01


def test_holm_keeps_the_chance_of_any_false_difference():
    generator = np.random.default_rng(2)
    rows = generator.normal(0, 1, (SIMULATIONS, 4, 5))
    first, second = np.triu_indices(4, 1)
    p = student(rows[:, first] - rows[:, second]).p
    assert np.mean([(holm(row) <= 0.05).any() for row in p]) < 0.06


def _largest_tied_sets(is_tied):
    k = len(is_tied)
    sets = [[row for row in range(k) if chosen >> row & 1] for chosen in range(1, 2**k)]
    tied = [set(rows) for rows in sets if all(is_tied[a, b] for a in rows for b in rows if a < b)]
    return sorted(tuple(sorted(one)) for one in tied if len(one) > 1 and not any(one < other for other in tied))


@given(st.lists(st.booleans(), min_size=28, max_size=28))
def test_tie_groups_are_the_largest_sets_that_are_tied_pair_by_pair(ties):
    is_tied = np.zeros((8, 8), dtype=bool)
    is_tied[np.triu_indices(8, 1)] = ties
    assert list(tie_groups(is_tied)) == _largest_tied_sets(is_tied)


def _spread_in_mean(rows, seeds):
    """Return the ties by Holm of rows from 20 to 80 % whose seeds vary by a point: they have hundreds of groups and more."""
    generator = np.random.default_rng(3)
    scores = generator.uniform(0.2, 0.8, (rows, 1)) + generator.normal(0, 0.01, (rows, seeds))
    first, second = np.triu_indices(rows, 1)
    is_tied = np.zeros((rows, rows), dtype=bool)
    is_tied[first, second] = holm(student(scores[first] - scores[second]).p) > 0.05
    return is_tied


def _threes(rows):
    """Return the ties of rows of which threes are told apart and all others tied: no graph has more groups (Moon, Moser)."""
    return np.arange(rows)[:, None] // 3 != np.arange(rows) // 3


@pytest.mark.parametrize(
    "is_tied",
    [
        pytest.param(_spread_in_mean(45, 3), id="45 rows of 3 seeds"),
        pytest.param(_spread_in_mean(60, 4), id="60 rows of 4 seeds"),
        pytest.param(_spread_in_mean(100, 5), id="100 rows of 5 seeds"),
        pytest.param(_threes(90), id="threes"),
    ],
)
def test_the_first_of_very_many_tie_groups_take_at_most_one_completed_set_a_row_and_group(is_tied, monkeypatch):
    sets = []
    complete = statistics._completed
    monkeypatch.setattr(statistics, "_completed", lambda *given: sets.append(given) or complete(*given))
    first = list(islice(tie_groups(is_tied), 50))
    assert len(first) == 50
    assert len(sets) <= 50 * len(is_tied)


@pytest.mark.parametrize("n", [3, 5, 10])
def test_the_smallest_detectable_difference_is_found_in_four_of_five_studies(n):
    difference = smallest_detectable(std=0.5, n=n)
    values = np.random.default_rng(4).normal(difference, 0.5, (SIMULATIONS, n))
    assert float((student(values).p <= 0.05).mean()) == pytest.approx(0.8, abs=0.02)


# Bootstraps.


def _counts(n, k, generator):
    union = generator.integers(1, 5000, (n, k))
    return generator.binomial(union, 0.7), union


def test_a_draw_of_images_is_the_score_of_those_images():
    intersection, union = _counts(6, 3, np.random.default_rng(0))
    draws = np.random.default_rng(7).integers(6, size=(4, 6))
    expected = [float(np.mean(intersection[rows].sum(axis=0) / union[rows].sum(axis=0))) for rows in draws]
    assert bootstrap_images(intersection, union, "present", resamples=4, seed=7).tolist() == pytest.approx(expected)


@pytest.mark.parametrize(("classes", "expected"), [("present", 1.0), ("all", 0.5)])
def test_a_class_that_no_drawn_image_has_counts_as_the_rule_says(classes, expected):
    counts = np.array([[5, 0]])
    assert bootstrap_images(counts, counts, classes, resamples=3).tolist() == [expected] * 3


def test_draws_of_images_are_those_of_scipy_up_to_chance():
    intersection, union = _counts(60, 4, np.random.default_rng(5))

    def miou(rows):
        picked = rows.astype(int)
        return float(np.mean(intersection[picked].sum(axis=0) / union[picked].sum(axis=0)))

    other = stats.bootstrap((np.arange(60),), miou, vectorized=False, n_resamples=2000, method="percentile", rng=0)
    ours = percentile_interval(bootstrap_images(intersection, union, "present", resamples=2000))
    width = other.confidence_interval.high - other.confidence_interval.low
    assert ours == pytest.approx(tuple(other.confidence_interval), abs=0.1 * width)


def test_draws_without_a_value_have_no_interval():
    assert percentile_interval(np.array([0.1, np.nan, 0.2])) is None


def test_methods_on_the_same_images_are_paired_by_their_draws():
    intersection, union = _counts(50, 3, np.random.default_rng(6))
    better = np.minimum(intersection + union // 50, union)
    draws = [bootstrap_images(hits, union, "present") for hits in (intersection, better)]
    paired, single = np.std(draws[1] - draws[0]), np.std(draws[0])
    assert paired < 0.3 * single


def test_the_images_of_voc_are_drawn_a_thousand_times_in_less_than_a_second():
    intersection, union = _counts(1449, 21, np.random.default_rng(8))
    began = time.perf_counter()
    assert bootstrap_images(intersection, union, "present", resamples=1000).shape == (1000,)
    assert time.perf_counter() - began < 1


@pytest.mark.parametrize(
    ("n", "holders", "least", "most"),
    [
        pytest.param(MIN_IMAGES_DRAWN, None, 0.93, 0.97, id="fewest images"),
        pytest.param(100, None, 0.93, 0.97, id="more images"),
        pytest.param(200, MIN_IMAGES_OF_CLASS, 0.93, 0.97, id="class in fewest images"),
        pytest.param(MIN_IMAGES, None, 0.8, 0.9, id="too few images: no interval is shown"),
        pytest.param(200, 5, 0.8, 0.9, id="class in too few images: a note says so"),
    ],
)
def test_the_interval_over_images_covers_as_often_as_it_says_from_enough_images_on(n, holders, least, most):
    # Images of very different sizes whose share of right pixels varies by class, of which the last may be in few images.
    k, simulations, generator = 3, SIMULATIONS // 2, np.random.default_rng(9)

    def images(count):
        union = generator.integers(0, 2000, (count, k))
        union[:, -1] *= generator.random(count) < (holders or n) / n
        return np.rint(union * generator.beta(7, 3, (count, k)) ** np.arange(1, k + 1)).astype(np.int64), union

    intersection, union = images(300_000)
    truth = float(np.mean(intersection.sum(axis=0) / union.sum(axis=0)))
    intersection, union = images(simulations * n)
    weights = np.random.default_rng(0).multinomial(n, [1 / n] * n, size=1000).astype(np.float64)  # shared by all simulations
    totals = [
        np.einsum("bn,snk->sbk", weights, counts.reshape(simulations, n, k), optimize=True) for counts in (intersection, union)
    ]
    draws = metrics.mean_over_classes(metrics.intersection_over_union(*totals), "present")
    low, high = np.quantile(draws, [0.025, 0.975], axis=1)
    assert least < _coverage(low, high, truth) < most
    # and these are the draws of the function under test
    one = bootstrap_images(intersection[:n], union[:n], "present", resamples=4000)
    assert percentile_interval(one) == pytest.approx((low[0], high[0]), abs=0.1 * (high[0] - low[0]))


def test_five_seeds_bootstrap_badly_which_is_why_students_interval_is_shown():
    values = np.random.default_rng(12).normal(0, 1, (SIMULATIONS, 5))
    drawn = values[:, np.random.default_rng(0).integers(5, size=(500, 5))].mean(axis=-1)
    low, high = np.quantile(drawn, [0.025, 0.975], axis=1)
    assert 0.8 < _coverage(low, high, 0.0) < 0.88


# Tests over images.


def _pairs(n, k, generator, shift=0.0, seeds=2):
    """Return counts (n, S, 2, K) of two methods whose share of right pixels varies by image and by method."""
    union = generator.integers(50, 2000, (n, seeds, k))
    ease = generator.beta(7, 3, (n, 1, k))

    def method(shift):
        share = np.clip(ease + generator.normal(shift, 0.05, (n, 1, 1)), 0, 1)
        return np.stack([np.rint(union * share).astype(np.int64), union], axis=2)

    return method(0.0), method(shift)


def _slow_p(first, second):
    """Return the p-value of scipy's permutation test, whose statistic sums the counts of the images on either side."""
    both = np.stack([first, second])
    images = np.arange(first.shape[0])

    def difference(own, other):
        picked = [both[side.astype(int), images].sum(axis=0) for side in (own, other)]
        means = [np.nanmean(counts[:, 0] / counts[:, 1], axis=-1).mean() for counts in picked]
        return means[0] - means[1]

    sides = (np.zeros(len(images)), np.ones(len(images)))
    found = stats.permutation_test(sides, difference, permutation_type="samples", vectorized=False, n_resamples=np.inf)
    return found.pvalue


@pytest.mark.parametrize("n", [MIN_IMAGES, 9])
@pytest.mark.parametrize("shift", [0.0, 0.03, 0.2])
def test_few_images_change_sides_in_all_ways_as_in_scipy(n, shift):
    first, second = _pairs(n, 3, np.random.default_rng(13), shift)
    assert flip_images(first, second, "present") == pytest.approx(_slow_p(first, second))


def test_draws_of_many_images_come_near_to_all_ways():
    first, second = _pairs(11, 3, np.random.default_rng(14), 0.03)
    exact = flip_images(first, second, "present")
    assert flip_images(first, second, "present", resamples=2000) == pytest.approx(exact, abs=0.04)
    assert 0.01 < exact < 0.99


def test_five_images_decide_nothing():
    first, second = _pairs(MIN_IMAGES - 1, 3, np.random.default_rng(15), 0.5)
    assert np.isnan(flip_images(first, second, "present"))


def test_methods_that_label_alike_are_not_told_apart():
    first, _ = _pairs(20, 3, np.random.default_rng(16))
    assert flip_images(first, first, "present") == 1.0


def test_a_class_that_changes_sides_with_its_image_counts_as_the_rule_says():
    first, second = _pairs(8, 2, np.random.default_rng(17))
    first[1:, :, :, 1] = second[:, :, :, 1] = 0
    assert 0 < flip_images(first, second, "present") <= 1
    assert 0 < flip_images(first, second, "all") <= 1


def test_alike_methods_are_told_apart_as_often_as_the_level_says():
    generator = np.random.default_rng(18)
    found = [flip_images(*_pairs(25, 3, generator, seeds=1), "present", resamples=199) for _ in range(600)]
    assert 0.03 < np.mean(np.array(found) <= 0.05) < 0.07


def test_the_images_of_voc_change_sides_fast_enough_for_a_table():
    first, second = _pairs(1449, 21, np.random.default_rng(19), seeds=1)
    began = time.process_time()
    assert 0 < flip_images(first, second, "present", resamples=999) <= 1
    assert time.process_time() - began < 5
