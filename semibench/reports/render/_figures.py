"""What the figures of a page hold: curves of training, accuracy against cost, IoU by class, label efficiency."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from semibench.reports.aggregate import Group, names
from semibench.reports.columns import COLUMNS, MISSING, percent
from semibench.reports.efficiency import Curve, Equivalent, Family, equivalent_labels, saved
from semibench.reports.page import CURVES, Section
from semibench.reports.render._charts import COLORS, Chart, Mark, Series

_MAX_DOTS = 40
_MAX_HEAT = 20  # rows
_COSTS: Mapping[str, float] = {"macs": 1e9, "parameters": 1e6, "hours": 1}  # column -> its unit


@dataclass(frozen=True)
class Heat:
    """IoU of rows and classes, each cell with its text and the class of its color."""

    classes: tuple[str, ...]
    rows: tuple[Mapping[str, Any], ...]
    note: str


def curves(section: Section) -> Chart | None:
    """Return the scores of the first rows during training; None where no run has logged any."""
    if not section.curves:
        return None
    named = names(section.rows)
    lines = []
    for color, (row, curve) in enumerate(section.curves.items()):
        marks = tuple(map(Mark, curve.steps, curve.mean, curve.low, curve.high))
        lines.append(Series(str(row + 1), named[row], color % COLORS, marks))
    return Chart(f"mIoU during training on {section.table.title}", "steps", "mIoU (%)", tuple(lines))


def curves_note(section: Section) -> str:
    """Return what the curves are of."""
    rule = section.rows[0].first.evaluation
    scored = (
        f"Scored on {rule.select_on} with the weights of that step; mean over seeds, the band from the lowest to the highest."
    )
    return scored + (f" Drawn are the first {CURVES} rows that logged any." if len(section.curves) == CURVES else "")


def costs(section: Section) -> list[Chart]:
    """Return mIoU against each kind of cost that two rows or more have, one dot a row."""
    charts = []
    named = names(section.rows)
    for key, unit in _COSTS.items():
        kind = COLUMNS[key]
        dots = []
        for row, one in enumerate(section.rows[:_MAX_DOTS]):
            cost = kind.raw(one)[0]
            if isinstance(cost, int | float) and cost > 0:
                dots.append(Series(str(row + 1), named[row], 0, (_mark(float(cost), one),)))
        if len(dots) > 1:
            title = f"mIoU against {kind.header} on {section.table.title}"
            charts.append(Chart(title, kind.header, "mIoU (%)", tuple(dots), is_log=True, x_unit=unit))
    return charts


def costs_note(section: Section) -> str:
    """Return what the dots are."""
    drawn = "Numbers are those of the rows; strokes reach from the lowest seed to the highest; costs on a logarithmic axis."
    return drawn + _left_out(len(section.rows), _MAX_DOTS)


def heat(section: Section) -> Heat | None:
    """Return the IoU of the first rows by class, the mean over seeds; None where nothing was measured."""
    if not section.rows:
        return None
    named = names(section.rows)
    rows = tuple(
        {"number": row + 1, "name": named[row], "cells": _class_cells(one)} for row, one in enumerate(section.rows[:_MAX_HEAT])
    )
    note = (
        f"Mean over seeds; the further from the page's background, the higher. {MISSING}: neither in truth nor in predictions."
    )
    return Heat(section.rows[0].first.class_names, rows, note + _left_out(len(section.rows), _MAX_HEAT))


def efficiency(family: Family) -> Mapping[str, Any]:
    """Return the chart and the table of one family of partitions."""
    shown = family.curves[:CURVES]
    lines = tuple(
        Series(str(number), ", ".join(filter(None, one.name)), number - 1, tuple(_mark(*at) for at in one.groups.items()))
        for number, one in enumerate(shown, start=1)
    )
    title = f"{family.dataset}, partitions {family.family}"
    nested = (
        "Nested partitions: more labels are the same labels and others."
        if family.is_nested
        else ("Published lists of one family; whether they are nested is not known here.")
    )
    note = (
        f"{nested} Labels saved: against supervised training of the same backbone, division and weights to start from, in "
        "custom of the same recipe, too; its score is taken to be linear in the logarithm of the labels between its own "
        "points; beyond them only a bound is known. "
        "Scores are means over seeds, whose noise is not in it."
    )
    return {
        "title": title,
        "chart": Chart(f"mIoU over labelled images, {title}", "labelled images", "mIoU (%)", lines, is_log=True),
        "note": note + _left_out(len(family.curves), CURVES, "curves"),
        "rows": [row for number, one in enumerate(shown, start=1) for row in _savings(number, one, family)],
    }


def _savings(number: int, curve: Curve, family: Family) -> list[Mapping[str, str]]:
    supervised = family.supervised(curve)
    if supervised is None:
        return []
    rows: list[Mapping[str, str]] = []
    for point, group in zip(curve.points, curve.groups.values(), strict=True):
        needed = equivalent_labels(supervised.points, point.miou)
        rows.append(
            {
                "number": str(number),
                "name": curve.name[0],
                "protocol": group.first.protocol,
                "labels": str(point.labels),
                "miou": percent(*group.miou),
                "needs": _bounded(needed, f"{needed.labels:.0f}"),
                "saved": _bounded(needed, f"{100 * saved(point.labels, needed):.0f} %".replace("-", "\N{MINUS SIGN}")),
            }
        )
    return rows


def _bounded(needed: Equivalent, text: str) -> str:
    return text if needed.bound == "exactly" else f"{needed.bound} {text}"


def _mark(x: float, one: Group) -> Mark:
    values = [result.miou for result in one.results]
    return Mark(x, one.miou.mean, min(values), max(values))


def _class_cells(one: Group) -> list[tuple[str, str]]:
    cells = []
    for values in zip(*(result.ranked.class_iou for result in one.results), strict=True):
        known = [value for value in values if value is not None]
        mean = fmean(known) if known else None
        cells.append((MISSING, "none") if mean is None else (f"{100 * mean:.1f}", f"q{min(int(10 * mean), 9)}"))
    return cells


def _left_out(count: int, limit: int, what: str = "rows") -> str:
    return f" Drawn are the first {limit} {what} of {count}." if count > limit else ""
