"""What another draw of the scored images would change: intervals and paired tests from the counts per image of runs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semibench import metrics
from semibench.reports import figures, per_image
from semibench.reports.aggregate import Group
from semibench.reports.listing import COUNTS
from semibench.reports.per_image import PerImage
from semibench.reports.result import Result
from semibench.reports.statistics import (
    MIN_IMAGES_DRAWN,
    MIN_IMAGES_OF_CLASS,
    Values,
    bootstrap_images,
    flip_images,
    percentile_interval,
)

_FLIPS = 4999
_FLIPS_A_TEST = 40  # the smallest p-value is then half of what Holm asks of the first at the 5 % level
_MAX_NAMES = 12
INDEPENDENT = (
    f"Intervals are given from {MIN_IMAGES_DRAWN} images on. "
    "Images are taken to be independent, which frames of one video are not."
)


@dataclass(frozen=True)
class Difference:
    """Two rows over the images that both were scored on, the runs of common seeds held fixed; fractions in [-1, 1]."""

    images: int
    low: float | None  # paired bootstrap; None: too few images
    high: float | None
    p: float | None  # images change sides; None: too few


@dataclass(frozen=True)
class Images:
    """The counts per image of runs; each run is drawn once."""

    folders: Mapping[str, Path]  # run id -> where they lie
    draws: dict[str, Values] = field(default_factory=dict)  # run id -> mIoU of each draw
    boundaries: dict[str, tuple[float | None, ...]] = field(default_factory=dict)  # run id -> boundary IoU of each class
    kept: dict[str, "_Counts"] = field(default_factory=dict)  # run id -> counts of a row that others are compared with
    holders: dict[str, metrics.Counts] = field(default_factory=dict)  # run id -> (K,) drawn images with each class in truth

    def has(self, results: Sequence[Result]) -> bool:
        """Return whether the counts of all ``results`` are there."""
        paths = [self.folders[result.run_id] / COUNTS for result in results if result.run_id in self.folders]
        return len(paths) == len(results) and all(path.is_file() for path in paths)

    def interval(self, results: Sequence[Result]) -> tuple[float, float] | None:
        """Return the bootstrap interval of the mean over seeds; None for few images or without a run's counts."""
        if results[0].ranked.n_images < MIN_IMAGES_DRAWN or not self.has(results):
            return None
        return percentile_interval(self._drawn(results))

    def boundary_iou(self, results: Sequence[Result]) -> list[tuple[float | None, ...]]:
        """Return for each of ``results`` the boundary IoU of each class, None where it has none; nothing without all counts."""
        if not self.has(results):
            return []
        for result in results:
            if result.run_id not in self.boundaries:
                self.boundaries[result.run_id] = figures.class_boundary_iou(self._load(result))
        return [self.boundaries[result.run_id] for result in results]

    def difference(self, one: Group, other: Group, tests: int = 1) -> Difference | None:
        """Compare two rows over common seeds; None without any, without their counts, or where their images differ.

        ``tests`` is how many p-values will be judged together: more of them need more draws to become as small as that asks.
        """
        pairs = _common(one, other)
        ours, theirs = [first for first, _ in pairs], [second for _, second in pairs]
        if not pairs or not self.has((*ours, *theirs)):
            return None
        classes = one.first.evaluation.classes
        for result in theirs:
            self.kept.setdefault(result.run_id, self._counts(result))
        counts, others = [[self._counts(result) for result in results] for results in (ours, theirs)]
        ids = counts[0].ids
        if not all(np.array_equal(found.ids, ids) for found in (*counts, *others)):
            return None
        is_enough = len(ids) >= MIN_IMAGES_DRAWN
        low, high = (percentile_interval(self._drawn(ours) - self._drawn(theirs)) if is_enough else None) or (None, None)
        p = flip_images(_stacked(counts), _stacked(others), classes, resamples=max(_FLIPS, _FLIPS_A_TEST * tests))
        return Difference(len(ids), low, high, None if np.isnan(p) else p)

    def notes(self, class_names: Sequence[str]) -> Iterator[str]:
        """Yield which classes are in too few of the images that were drawn so far, fewest first."""
        fewest = np.min(list(self.holders.values()), axis=0).tolist() if self.holders else []
        scarce = [(n, name) for n, name in zip(fewest, class_names, strict=False) if 0 < n < MIN_IMAGES_OF_CLASS]
        if scarce:
            shown = ", ".join(f"{name} ({n})" for n, name in sorted(scarce)[:_MAX_NAMES])
            more = f" and {len(scarce) - _MAX_NAMES} more" if len(scarce) > _MAX_NAMES else ""
            yield (
                f"Intervals over images are too narrow where a class is in fewer than {MIN_IMAGES_OF_CLASS} of them, "
                f"as here: {shown}{more}."
            )

    def _drawn(self, results: Sequence[Result]) -> Values:
        """Return the mean over ``results`` of the mIoU of each draw; the draws are the same for every run."""
        for result in results:
            if result.run_id not in self.draws:
                counts = self._counts(result)
                self.draws[result.run_id] = bootstrap_images(counts.intersection, counts.union, result.evaluation.classes)
                self.holders[result.run_id] = counts.holders
        mean: Values = np.mean([self.draws[result.run_id] for result in results], axis=0)
        return mean

    def _counts(self, result: Result) -> "_Counts":
        if result.run_id in self.kept:
            return self.kept[result.run_id]
        counts = self._load(result)
        order = np.argsort(counts.ids)
        union = counts.truth + counts.prediction - counts.intersection
        return _Counts(counts.ids[order], counts.intersection[order], union[order], (counts.truth > 0).sum(axis=0))

    def _load(self, result: Result) -> PerImage:
        return per_image.load(self.folders[result.run_id] / COUNTS, result.ranked.n_images, len(result.class_names))


@dataclass(frozen=True, eq=False)
class _Counts:
    """Counts of n images over K classes, sorted by id."""

    ids: NDArray[np.str_]
    intersection: metrics.Counts  # (n, K)
    union: metrics.Counts  # (n, K)
    holders: metrics.Counts  # (K,) images with the class in truth


def _common(one: Group, other: Group) -> list[tuple[Result, Result]]:
    by_seed = {result.seed: result for result in other.results}
    return [(result, by_seed[result.seed]) for result in one.results if result.seed in by_seed]


def _stacked(runs: Sequence[_Counts]) -> metrics.Counts:
    """Return counts (n, S, 2, K) of S runs."""
    return np.stack([np.stack([run.intersection, run.union], axis=1) for run in runs], axis=1)
