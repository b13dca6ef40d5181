"""Rows against a baseline: paired differences of mIoU over common seeds, and what a step of training costs."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import numpy as np

from semibench.reports.aggregate import (
    AGREEMENT,
    UNKNOWN,
    Group,
    agree,
    conditions,
    names,
    scores_by_seed,
    training_conditions,
)
from semibench.reports.columns import MISSING, ColumnKind, seconds_per_step, signed, significant
from semibench.reports.over_images import INDEPENDENT, Difference, Images
from semibench.reports.render.table import Raw
from semibench.reports.statistics import (
    CONFIDENCE,
    LEVEL,
    MIN_IMAGES,
    MIN_SEEDS,
    POWER,
    Estimate,
    holm,
    smallest_detectable,
    student,
)

KEYS = ("difference", "interval", "pairs", "p", "image_difference", "image_p", "step_time")
OVER_IMAGES = ("image_difference", "image_p")


@dataclass(frozen=True)
class Against:
    """One row against the baseline's; fractions in [-1, 1], None where too few seeds, or partitions, are common to both."""

    pairs: int
    mean: float | None
    low: float | None
    high: float | None
    std: float | None  # of the differences
    p: float | None  # after Holm, over the rows of the table
    images: Difference | None = None  # None where the counts per image of a run are not there; its p as above
    step_time: float | None = None  # seconds per step over those of the baseline


def compare(groups: Sequence[Group], method: str, images: Images | None = None) -> list[Against]:
    """Return each of ``groups``, which share a protocol, against the row of ``method`` made under the same conditions.

    Without the counts per image in ``images``, nothing is said about other images.
    """
    opponents = [_opponent(one, groups, method) for one in groups]
    over_images = _over_images(groups, opponents, images or Images({}))
    times = [None if other is None else _step_time(one, groups[other]) for one, other in zip(groups, opponents, strict=True)]
    found = _against(_over_seeds(groups, opponents))
    return [replace(one, images=images, step_time=time) for one, images, time in zip(found, over_images, times, strict=True)]


def compare_over_partitions(rows: Sequence[Sequence[Group]], method: str) -> list[Against]:
    """Return each of ``rows``, the groups of a configuration on several partitions, against the row of ``method``.

    What is paired is a partition: the mean difference over its common seeds.
    """
    ones = [groups[0] for groups in rows]
    places = {name: place for place, name in enumerate(sorted({one.first.protocol for groups in rows for one in groups}))}
    differences = np.full((len(rows), len(places)), np.nan)
    for row, opponent in enumerate(_opponent(one, ones, method) for one in ones):
        if opponent is not None and opponent != row:
            theirs = {one.first.protocol: one for one in rows[opponent]}
            for one in (one for one in rows[row] if one.first.protocol in theirs):
                own, other = scores_by_seed([one, theirs[one.first.protocol]])
                differences[row, places[one.first.protocol]] = student(own - other).mean
    return _against(student(differences))


def _against(found: Estimate) -> list[Against]:
    """Return the rows of an estimate of paired differences, with p-values after Holm."""
    adjusted = holm(found.p)
    return [
        Against(
            pairs=int(found.n[row]),
            mean=_present(found.mean[row]),
            low=_present(found.low[row]),
            high=_present(found.high[row]),
            std=_present(found.std[row]),
            p=_present(adjusted[row]),
        )
        for row in range(len(found.n))
    ]


def _over_seeds(groups: Sequence[Group], opponents: Sequence[int | None]) -> Estimate:
    scores = scores_by_seed(groups)
    differences = np.full_like(scores, np.nan)
    for row, opponent in enumerate(opponents):
        if opponent is not None and opponent != row:
            differences[row] = scores[row] - scores[opponent]
    return student(differences)


def columns(groups: Sequence[Group], method: str, compared: Sequence[Against], over: str = "seeds") -> Mapping[str, ColumnKind]:
    """Return the columns ``KEYS`` of the table of ``groups``, which were ``compared`` with ``method`` over ``over``."""
    found = {one.first.run_id: against for one, against in zip(groups, compared, strict=True)}

    def column(
        header: str, show: Callable[..., str], value: Callable[[Against], tuple[Raw, ...]], *fields: str, descends: bool = True
    ) -> ColumnKind:
        return ColumnKind(header, fields, lambda one: value(found[one.first.run_id]), show, is_descending=descends)

    interval = f"{100 * CONFIDENCE:.0f} % over"
    return {
        "difference": column(f"vs {method} (points)", _points, lambda one: (one.mean,), "difference"),
        "interval": column(
            f"{interval} {over}", _interval, lambda one: (one.low, one.high), "difference_low", "difference_high"
        ),
        "pairs": column("Pairs", lambda pairs: str(pairs) if pairs else MISSING, lambda one: (one.pairs,), "pairs"),
        "p": column(f"p over {over}", _probability, lambda one: (one.p,), "p", descends=False),
        "image_difference": column(
            f"{interval} images", _interval, _image_interval, "image_difference_low", "image_difference_high"
        ),
        "image_p": column("p over images", _probability, _image_p, "image_p", descends=False),
        "step_time": column("Time/step (×)", _ratio, lambda one: (one.step_time,), "step_time", descends=False),  # noqa: RUF001
    }


def notes(groups: Sequence[Group], method: str, compared: Sequence[Against]) -> Iterator[str]:
    """Yield what the columns of ``columns`` mean, and which rows they do not tell apart from the baseline."""
    rows = list(zip(names(groups), compared, strict=True))
    tested = [(name, against.p) for name, against in rows if against.p is not None]
    yield (
        f"vs {method}: mIoU minus that of {method} with the same backbone, division and weights to start from, in custom with "
        "the same recipe, too; paired by seed, the mean over common seeds in percentage points, with Student's interval. "
        f"p over seeds: paired t-test, after Holm over {len(tested)} of them. Both are about training again, on the same "
        "images."
    )
    yield from _decided(rows, method, "seeds")
    yield from _image_notes([(name, against.images) for name, against in rows if against.images], method)
    yield (
        f"Time/step: training time of a step, waiting for data included, over that of {method} with the same seeds; only where "
        f"no run was resumed, all were made on one kind of machine, and {AGREEMENT}."
    )


def notes_over_partitions(rows: Sequence[tuple[str, Against]], method: str) -> Iterator[str]:
    """Yield what the columns mean in a table of named rows over partitions, and which rows they do not tell apart."""
    tested = sum(against.p is not None for _, against in rows)
    yield (
        f"vs {method}: as in the table of each partition, but against one row of this table, paired by partition: the mean "
        "over common partitions of the mean difference over their common seeds, with Student's interval. p over partitions: "
        f"paired t-test, after Holm over {tested} of them. Both are about other labelled images of the same pool."
    )
    yield from _decided(rows, method, "partitions")


def _decided(rows: Sequence[tuple[str, Against]], method: str, over: str) -> Iterator[str]:
    undecided = [name for name, against in rows if 0 < against.pairs < MIN_SEEDS]
    if undecided:
        yield f"Fewer than {MIN_SEEDS} {over} in common with {method} decide nothing: {', '.join(undecided)}."
    tied = [name for name, against in rows if against.p is not None and against.p > LEVEL]
    if tied:
        yield f"Not separable from {method} at the {100 * LEVEL:.0f} % level: {', '.join(tied)}."
    yield _detectable([against for _, against in rows], method, over)


def _detectable(compared: Sequence[Against], method: str, over: str) -> str:
    """Return the smallest detectable differences: a row that varies much, pooled with others, would hide what they can tell."""
    if all(against.std is None for against in compared):
        return f"No difference from {method} can be called detectable: no other row has {MIN_SEEDS} {over} in common with it."
    sizes = [100 * smallest_detectable(against.std, against.pairs) for against in compared if against.std]
    if not sizes:
        return f"No smallest detectable difference from {method}: the paired differences are the same for all common {over}."
    ends = dict.fromkeys(f"{size:.2f}" for size in (min(sizes), max(sizes)))
    return (
        f"Smallest detectable difference from {method}: {' to '.join(ends)} points, by the deviation and the common {over} "
        f"of each row, found with {100 * POWER:.0f} % probability before Holm."
    )


def _image_notes(rows: Sequence[tuple[str, Difference]], method: str) -> Iterator[str]:
    if not rows:
        return
    tested = [(name, found.p) for name, found in rows if found.p is not None]
    yield (
        f"Over images: the same difference were other images scored, the runs of common seeds held fixed; it says nothing "
        f"about training again. Interval: paired bootstrap of the images. p over images: images change sides between the row "
        f"and {method} at random, counts are summed; after Holm over {len(tested)} of them. {INDEPENDENT}"
    )
    undecided = [name for name, found in rows if found.p is None]
    if undecided:
        yield f"Fewer than {MIN_IMAGES} images decide nothing: {', '.join(undecided)}."
    tied = [name for name, p in tested if p > LEVEL]
    if tied:
        yield f"Not separable from {method} over images at the {100 * LEVEL:.0f} % level: {', '.join(tied)}."


def _over_images(groups: Sequence[Group], opponents: Sequence[int | None], images: Images) -> list[Difference | None]:
    """Return each row over images, with p-values after Holm."""
    pairs = {row: opponent for row, opponent in enumerate(opponents) if opponent is not None and opponent != row}
    found = [
        images.difference(one, groups[pairs[row]], tests=len(pairs)) if row in pairs else None for row, one in enumerate(groups)
    ]
    adjusted = holm(np.array([np.nan if one is None or one.p is None else one.p for one in found]))
    return [one and replace(one, p=_present(p)) for one, p in zip(found, adjusted, strict=True)]


def _image_interval(against: Against) -> tuple[float | None, float | None]:
    return (against.images.low, against.images.high) if against.images else (None, None)


def _image_p(against: Against) -> tuple[float | None]:
    return (against.images.p if against.images else None,)


def _opponent(one: Group, groups: Sequence[Group], method: str) -> int | None:
    """Return the place of the baseline's row made under the same conditions, if need be with the same recipe, too."""
    if one.first.method == method:
        return groups.index(one)
    if one.first.backbone == UNKNOWN:
        return None
    rows = [
        row
        for row, other in enumerate(groups)
        if other.first.method == method and training_conditions(other) == training_conditions(one)
    ]
    if len(rows) > 1:
        rows = [row for row in rows if groups[row].first.digests.recipe == one.first.digests.recipe]
    return rows[0] if len(rows) == 1 else None


def _step_time(one: Group, other: Group) -> float | None:
    if one.is_disputed and other.is_disputed:
        return None
    common = set(one.seeds) & set(other.seeds)
    ours, theirs = ([result for result in group.results if result.seed in common] for group in (one, other))
    machines = {conditions(result.provenance) for result in ours + theirs}
    times = [seconds for seconds in map(seconds_per_step, ours + theirs) if seconds is not None]
    if len(machines) != 1 or len(times) < 2 * len(common):
        return None
    of_row, of_baseline = times[: len(common)], times[len(common) :]
    return fmean(of_row) / fmean(of_baseline) if agree(of_row) and agree(of_baseline) else None


def _present(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _points(mean: float | None) -> str:
    return MISSING if mean is None else signed(mean)


def _interval(low: float | None, high: float | None) -> str:
    return MISSING if low is None or high is None else f"[{signed(low)}, {signed(high)}]"


def _probability(p: float | None) -> str:
    if p is None:
        return MISSING
    return f"{p:.3f}" if p >= 0.001 else "<0.001"


def _ratio(value: float | None) -> str:
    return MISSING if value is None else significant(value)
