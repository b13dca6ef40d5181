"""What differences between runs are worth: intervals, paired tests, ties, and bootstraps.

Arrays run over seeds on their last axis, nan where a seed is absent; leading axes are free, so that a whole table is one call.
Student's distribution comes from ``scipy.special``: ``scipy.stats`` has the same and takes three seconds to import.
"""

from collections.abc import Iterator
from heapq import heappop, heappush
from typing import Any, NamedTuple  # the type of shape-free arrays

import numpy as np
from numpy.typing import NDArray
from scipy.special import nctdtrinc, stdtr, stdtrit

from semibench import metrics

Values = NDArray[np.float64]

CONFIDENCE = 0.95
LEVEL = 0.05  # of tests: 1 - CONFIDENCE
POWER = 0.8
MIN_IMAGES = 6  # of five, no way to change sides has a p-value under 1/16
MIN_IMAGES_DRAWN = (
    50  # bootstrap intervals of 6 images cover the truth in 84 % of cases instead of 95, of 20 in 92, of 50 in 93 to 94
)
MIN_IMAGES_OF_CLASS = 30  # likewise those of many images, where one of five classes is in 5 of them 85 to 92 %, in 30 about 93
_CHUNK = 500  # draws at a time: 20 MB for 5,000 images
MIN_SEEDS = 3  # of two values, a 95 % interval reaches 13 times as far from the mean as they do


class Estimate(NamedTuple):
    """Mean of n values with its interval and the p-value against 0; nan where too few values say nothing."""

    n: NDArray[np.int64]
    mean: Values  # nan without any value
    std: Values  # sample standard deviation, as all below nan under ``MIN_SEEDS`` values
    low: Values
    high: Values
    p: Values  # two-sided t-test; of paired differences it is the paired t-test


def student(values: Values, confidence: float = CONFIDENCE) -> Estimate:
    """Return the mean over the last axis of ``values`` (..., S) with Student's interval; nan marks absent values.

    >>> one = student(np.array([1.0, 2.0, 6.0, np.nan]))
    >>> int(one.n), [round(float(figure), 3) for figure in one[1:]]
    (3, [3.0, 2.646, -3.572, 9.572, 0.188])
    """
    n = (~np.isnan(values)).sum(axis=-1)
    is_enough = n >= MIN_SEEDS
    freedom = np.where(is_enough, n - 1, 1)
    mean = np.divide(np.nansum(values, axis=-1), n, out=np.full(n.shape, np.nan), where=n > 0)
    squares = np.nansum((values - mean[..., None]) ** 2, axis=-1)
    std = np.where(is_enough, np.sqrt(squares / freedom), np.nan)
    error = std / np.sqrt(np.maximum(n, 1))
    half = stdtrit(freedom, (1 + confidence) / 2) * error
    with np.errstate(divide="ignore", invalid="ignore"):  # without any spread, t is infinite, or 0 / 0
        t = np.where(mean == 0, 0.0, np.abs(mean) / error)
    p = np.where(is_enough, 2 * stdtr(freedom, -t), np.nan)
    return Estimate(n, mean, std, mean - half, mean + half, p)


def holm(p: Values) -> Values:
    """Return p-values (m,) adjusted for being m tests, after Holm 1979; nan is no test and stays nan.

    >>> [round(float(one), 3) for one in holm(np.array([0.01, 0.04, np.nan, 0.03]))]
    [0.03, 0.06, nan, 0.06]
    """
    adjusted = np.full(p.shape, np.nan)
    order = np.argsort(p)[: (~np.isnan(p)).sum()]  # nan is sorted to the end
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(p[order] * factors))
    return adjusted


def smallest_detectable(std: float, n: int, confidence: float = CONFIDENCE, power: float = POWER) -> float:
    """Return the true difference that a paired t-test over ``n`` seeds finds with probability ``power``.

    ``std`` is that of the differences. The chance of finding it with the wrong sign, below 1e-4, is left out.

    >>> round(smallest_detectable(std=0.42, n=5), 3)
    0.706
    """
    critical = stdtrit(n - 1, (1 + confidence) / 2)
    return float(nctdtrinc(n - 1, 1 - power, critical)) * std / float(np.sqrt(n))


def tie_groups(is_tied: NDArray[np.bool_]) -> Iterator[tuple[int, ...]]:
    """Yield the largest sets of rows that are pairwise tied in ``is_tied`` (k, k), two rows or more, in the order of tuples.

    There can be 3^(k/3) of them, but from one to the next takes a time polynomial in k: fewer than k sets are completed.
    Johnson, Yannakakis and Papadimitriou 1988 (On generating all maximal independent sets). Only the upper triangle is read.

    >>> list(tie_groups(np.array([[1, 1, 0], [1, 1, 1], [0, 1, 1]], dtype=bool)))
    [(0, 1), (1, 2)]
    """
    is_tied = np.triu(is_tied, 1)
    is_tied |= is_tied.T
    (rows,) = np.nonzero(is_tied.any(axis=0))
    queue = [_completed(is_tied, [row]) for row in rows[:1].tolist()]
    seen = set(queue)
    while queue:
        group = heappop(queue)
        yield group
        for row in sorted({*rows.tolist()} - {*group}):
            other = _completed(is_tied, [row, *(one for one in group if one < row and is_tied[one, row])])
            if other not in seen:  # else it is in the queue, or was yielded
                seen.add(other)
                heappush(queue, other)


def _completed(is_tied: NDArray[np.bool_], rows: list[int]) -> tuple[int, ...]:
    """Return the first largest set, in the order of tuples, that holds ``rows``, which are tied to each other."""
    group, is_open = [*rows], is_tied[rows].all(axis=0)
    while is_open.any():
        group.append(int(is_open.argmax()))
        is_open &= is_tied[group[-1]]
    return tuple(sorted(group))


def bootstrap_images(
    intersection: metrics.Counts,
    union: metrics.Counts,
    classes: metrics.Mean,
    resamples: int = 1000,
    seed: int = 0,
) -> Values:
    """Return the mIoU (resamples,) of as many draws of n images with replacement from counts (n, K) per image.

    The draws depend on n and ``seed`` alone: subtracting those of two methods on the same images pairs them by image.

    >>> counts = np.array([[3, 0], [1, 2]])
    >>> bootstrap_images(counts, counts + 1, "present", resamples=3).shape
    (3,)
    """
    generator = np.random.default_rng(seed)
    n = len(intersection)
    drawn = generator.integers(n, size=(resamples, n)) + n * np.arange(resamples)[:, None]
    weights = np.bincount(drawn.ravel(), minlength=resamples * n).reshape(resamples, n).astype(np.float64)
    sums = weights @ np.concatenate([intersection, union], axis=1).astype(np.float64)  # exact below 2^53 pixels
    n_classes = intersection.shape[1]
    return _miou(sums[:, :n_classes], sums[:, n_classes:], classes)


def flip_images(
    first: metrics.Counts, second: metrics.Counts, classes: metrics.Mean, resamples: int = 4999, seed: int = 0
) -> float:
    """Return the p-value, two-sided, of no difference in mIoU between two methods on the same n images.

    ``first`` and ``second`` (n, S, 2, K) are counts of intersection and union for S pairs of runs; the mIoU of summed counts
    is averaged over them. Were the methods alike, it would not matter which of the two labelled an image: images change
    sides at random, with all their runs, and p is the share of such draws whose difference is as large as the one seen.
    All ways to do so are taken where there are no more than ``resamples``. nan under ``MIN_IMAGES``.
    """
    n = len(first)
    if n < MIN_IMAGES:
        return float("nan")
    flipped = (second - first).reshape(n, -1).astype(np.float64)  # exact below 2^53 pixels
    totals = first.sum(axis=0), second.sum(axis=0)
    is_exact = 2**n <= resamples
    generator = np.random.default_rng(seed)
    draws = 2**n if is_exact else resamples
    hits = 0
    for start in range(0, draws, _CHUNK):
        number = np.arange(start, min(start + _CHUNK, draws))
        swaps = number[:, None] >> np.arange(n) & 1 if is_exact else generator.integers(2, size=(len(number), n))
        moved = (swaps.astype(np.float64) @ flipped).reshape(-1, *first.shape[1:])
        drawn = _difference(totals[0] + moved, totals[1] - moved, classes)
        hits += int((np.abs(drawn) >= abs(_difference(*totals, classes)) - 1e-12).sum())
    return hits / draws if is_exact else (hits + 1) / (draws + 1)


def _difference(first: NDArray[Any], second: NDArray[Any], classes: metrics.Mean) -> Values:
    """Return the difference in mIoU (...) of summed counts (..., S, 2, K), mean over S."""
    scores = [_miou(counts[..., 0, :], counts[..., 1, :], classes).mean(axis=-1) for counts in (first, second)]
    difference: Values = scores[0] - scores[1]
    return difference


def _miou(intersection: NDArray[Any], union: NDArray[Any], classes: metrics.Mean) -> Values:
    return metrics.mean_over_classes(metrics.intersection_over_union(intersection, union), classes)


def percentile_interval(draws: NDArray[Any], confidence: float = CONFIDENCE) -> tuple[float, float] | None:
    """Return the central interval of bootstrap draws; None where one of them has no value.

    >>> percentile_interval(np.arange(5), confidence=0.5)
    (1.0, 3.0)
    """
    if np.isnan(draws).any():
        return None
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
