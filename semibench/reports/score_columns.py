"""Columns of scores besides the mIoU: all follow from the stored confusion matrices and the counts per image."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from semibench.reports.aggregate import Group, spread
from semibench.reports.columns import MISSING, ColumnKind, percent, signed
from semibench.reports.over_images import INDEPENDENT, Images
from semibench.reports.result import Confusion, Result
from semibench.reports.statistics import CONFIDENCE, MIN_SEEDS, student

CLASSES = "class_iou"  # stands for one column a class, ``iou:<class>``
BOUNDARIES = "class_boundary_iou"  # likewise, ``boundary:<class>``
IMAGES = "image_interval"
SEEDS = "seed_interval"
_RARE = 4  # the quarter of the classes

_OfClasses = Sequence[Sequence[float | None]]  # runs -> classes


def rare_classes(confusion: Confusion) -> list[int]:
    """Return the quarter (at least one) of the classes in the truth that have the fewest pixels there.

    >>> rare_classes(((9, 0, 0), (0, 2, 0), (0, 0, 0)))
    [1]
    """
    pixels = [sum(row) for row in confusion]
    present = sorted((count, label) for label, count in enumerate(pixels) if count)
    return sorted(label for _, label in present[: max(1, len(present) // _RARE)])


def over_seeds(group: Group) -> tuple[float, float] | tuple[None, None]:
    """Return the interval of the mean mIoU over seeds."""
    return mean_interval([result.miou for result in group.results])


def mean_interval(scores: Sequence[float]) -> tuple[float, float] | tuple[None, None]:
    """Return Student's interval of the mean of scores, within [0, 1]; None of fewer than ``MIN_SEEDS``."""
    found = student(np.array(scores))
    return (None, None) if math.isnan(found.low) else (max(float(found.low), 0.0), min(float(found.high), 1.0))


def _rare_mean(result: Result) -> float | None:
    found = [result.ranked.class_iou[label] for label in rare_classes(result.confusion)]
    return None if not found else float(np.mean([iou or 0.0 for iou in found]))


def _spread(header: str, field: str, value: Callable[[Result], float | None], show: Callable[..., str]) -> ColumnKind:
    return _of_group(header, field, lambda group: list(map(value, group.results)), show)


def _of_group(
    header: str, field: str, values: Callable[[Group], Sequence[float | None]], show: Callable[..., str]
) -> ColumnKind:
    def raw(group: Group) -> tuple[float | None, float | None]:
        found = [figure for figure in values(group) if figure is not None]
        return spread(found) if found else (None, None)

    return ColumnKind(header, (f"{field}_mean", f"{field}_std"), raw, show, is_descending=True)


def _of_run(value: Callable[[Result], float]) -> Callable[[Result], float | None]:
    """Return the same of runs alone: label maps of another program are of no known checkpoint."""
    return lambda result: value(result) if result.kind == "run" else None


def _within(what: str) -> str:
    return f"{100 * CONFIDENCE:.0f} % over {what}"


def _share(mean: float | None, std: float | None) -> str:
    return MISSING if mean is None else percent(mean, std)


def show_interval(low: float | None, high: float | None) -> str:
    """Return an interval of fractions as percent."""
    return MISSING if low is None or high is None else f"[{percent(low, None)}, {percent(high, None)}]"


def _gain(mean: float | None, std: float | None) -> str:
    return MISSING if mean is None else signed(mean) + ("" if std is None else f" ± {100 * std:.2f}")


COLUMNS: Mapping[str, ColumnKind] = {
    SEEDS: ColumnKind(f"mIoU, {_within('seeds')}", ("seed_low", "seed_high"), over_seeds, show_interval, is_descending=True),
    "pixel_accuracy": _spread("Pixel accuracy (%)", "pixel_accuracy", lambda result: result.ranked.pixel_accuracy, _share),
    "frequency_weighted_iou": _spread(
        "Frequency-weighted IoU (%)", "frequency_weighted_iou", lambda result: result.ranked.frequency_weighted_iou, _share
    ),
    "boundary_iou": _spread("Boundary IoU (%)", "boundary_iou", lambda result: result.ranked.boundary_iou, _share),
    "calibration_error": replace(
        _spread("Calibration error (%)", "calibration_error", lambda result: result.ranked.calibration_error, _share),
        is_descending=False,
    ),
    "coverage": _spread("Pseudo-label coverage (%)", "coverage", lambda result: result.coverage, _share),
    "rare_iou": _spread("Rare classes (%)", "rare_iou", _rare_mean, _share),
    "last": _spread("Last (%)", "last", _of_run(lambda result: result.last.miou), _share),
    "best": _spread("Best (%)", "best", _of_run(lambda result: result.best.miou), _share),
    "best_minus_last": _spread(
        "Best - last (points)", "best_minus_last", _of_run(lambda result: result.best.miou - result.last.miou), _gain
    ),
}


def class_keys(class_names: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
    """Return for ``CLASSES`` and ``BOUNDARIES`` the columns that each stands for, one a class.

    >>> class_keys(["sky"])
    {'class_iou': ('iou:sky',), 'class_boundary_iou': ('boundary:sky',)}
    """
    prefixes = {CLASSES: "iou", BOUNDARIES: "boundary"}
    return {key: tuple(f"{prefix}:{name}" for name in class_names) for key, prefix in prefixes.items()}


def of_classes(class_names: Sequence[str], images: Images) -> Mapping[str, ColumnKind]:
    """Return the columns of each class, without a value where a data set does not have it."""

    def column(header: str, field: str, name: str, figures: Callable[[Sequence[Result]], _OfClasses]) -> ColumnKind:
        def values(group: Group) -> list[float | None]:
            names = group.first.class_names
            return [run[names.index(name)] for run in figures(group.results)] if name in names else []

        return _of_group(header, f"{field}_{name}", values, _share)

    return {f"iou:{name}": column(f"{name} (%)", "iou", name, _class_iou) for name in class_names} | {
        f"boundary:{name}": column(f"{name}, boundary (%)", "boundary_iou", name, images.boundary_iou) for name in class_names
    }


def _class_iou(results: Sequence[Result]) -> _OfClasses:
    return [result.ranked.class_iou for result in results]


def over_images(images: Images) -> ColumnKind:
    """Return the column ``IMAGES``: what another draw of the images would give, from the counts in the folders of runs."""

    def raw(group: Group) -> tuple[float | None, float | None]:
        return images.interval(group.results) or (None, None)

    return ColumnKind(_within("images"), ("image_low", "image_high"), raw, show_interval, is_descending=True)


def notes(keys: Iterable[str], group: Group) -> Iterable[str]:
    """Yield what the columns of this file that are among ``keys`` mean, where their heading does not say it."""
    if "rare_iou" in keys:
        names = ", ".join(group.first.class_names[label] for label in rare_classes(group.first.confusion))
        yield f"Rare classes: mean IoU of the quarter of the classes with the fewest pixels in the truth: {names}."
    if "boundary_iou" in keys:
        yield "Boundary IoU: IoU of the pixels within 2 % of the diagonal from the contours of each class, mean over classes."
    if any(key.startswith("boundary:") for key in keys):
        yield (
            "Boundary of a class: IoU of the pixels within 2 % of the diagonal from its contours, mean over seeds; "
            "only where the counts per image of all seeds are there."
        )
    if "calibration_error" in keys:
        yield "Calibration error: distance of confidence and accuracy over 15 equal bins, weighted by pixels; less is better."
    if "coverage" in keys:
        yield (
            "Pseudo-label coverage: share of unlabelled pixels that had a pseudo-label, mean over the logged steps; "
            "whether they were right is not known while training, which never opens those masks."
        )
    if SEEDS in keys:
        yield (
            f"mIoU, {_within('seeds')}: Student's interval of the mean, from {MIN_SEEDS} seeds on. It is about training again "
            "with the same labels, scored on the same images."
        )
    if IMAGES in keys:
        yield (
            "95 % over images: bootstrap of the scored images, the same draws for every seed; the runs are held fixed. "
            f"{INDEPENDENT}"
        )
