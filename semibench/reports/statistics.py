"""What differences between runs are worth: intervals, paired tests, ties, and bootstraps.

Arrays run over seeds on their last axis, nan where a seed is absent; leading axes are free, so that a whole table is one call.
Student's distribution comes from ``scipy.special``: ``scipy.stats`` has the same and takes three seconds to import.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple  # the type of shape-free arrays

import numpy as np
from numpy.typing import NDArray
from scipy.special import nctdtrinc, stdtr, stdtrit

from semibench import metrics

Values = NDArray[np.float64]

CONFIDENCE = 0.95
LEVEL = 0.05  # of tests: 1 - CONFIDENCE
POWER = 0.8
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


def tie_groups(is_tied: NDArray[np.bool_]) -> list[tuple[int, ...]]:
    """Return the largest sets of rows that are pairwise tied in ``is_tied`` (k, k), two rows or more, sorted.

    Piepho 2004 (An algorithm for a letter-based representation of all-pairwise comparisons), without its sweeping.

    >>> tie_groups(np.array([[1, 1, 0], [1, 1, 1], [0, 1, 1]], dtype=bool))
    [(0, 1), (1, 2)]
    """
    k = len(is_tied)
    groups = {frozenset(range(k))}
    for first, second in zip(*np.nonzero(np.triu(~is_tied, 1)), strict=True):
        split = {group for group in groups if first in group and second in group}
        parts = {group - {row} for group in split for row in (first, second)}
        kept = groups - split
        groups = kept | {part for part in parts if not any(part < other for other in kept | parts)}
    return sorted(tuple(sorted(group)) for group in groups if len(group) > 1)


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
    iou = np.divide(
        sums[:, :n_classes],
        sums[:, n_classes:],
        out=np.full((resamples, n_classes), np.nan),
        where=sums[:, n_classes:] > 0,
    )
    return metrics.mean_over_classes(iou, classes)


def bootstrap_seeds(values: Sequence[Sequence[float]], resamples: int = 1000, seed: int = 0) -> Values:
    """Return means (resamples,) of partitions drawn with replacement, and of seeds drawn within each of them.

    ``values`` holds one sequence of scores for each partition, of any lengths. Few seeds or few partitions make the
    interval too narrow (five values: 85 % instead of 95 %): for seeds of one partition ``student`` is the right one.

    >>> bootstrap_seeds([[0.5, 0.5], [0.5]], resamples=2).tolist()
    [0.5, 0.5]
    """
    generator = np.random.default_rng(seed)
    n = len(values)
    means = np.stack([generator.choice(scores, (resamples, n, len(scores))).mean(axis=-1) for scores in values])
    partition = generator.integers(n, size=(resamples, n))
    drawn: Values = means[partition, np.arange(resamples)[:, None], np.arange(n)].mean(axis=-1)
    return drawn


def percentile_interval(draws: NDArray[Any], confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return the central interval of bootstrap draws.

    >>> percentile_interval(np.arange(5), confidence=0.5)
    (1.0, 3.0)
    """
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
