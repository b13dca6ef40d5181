"""The rows of a table in HTML: what its cells are sorted by, and the plot of seeds and intervals beside the mIoU."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any  # what a template is given

from markupsafe import Markup

from semibench.reports.page import Section
from semibench.reports.render._axes import covering
from semibench.reports.render._charts import FOREST_WIDTH
from semibench.reports.render._charts import forest as draw_forest
from semibench.reports.render.table import Cell, Column, Table
from semibench.reports.score_columns import over_seeds
from semibench.reports.statistics import CONFIDENCE, MIN_SEEDS

_SCORE = "miou"


@dataclass(frozen=True)
class Forest:
    """A column of plots on one axis, one a measured row."""

    title: str
    low: str  # the ends of the axis, in percent
    high: str
    note: str
    plots: tuple[Markup, ...]


def forest(section: Section) -> Forest | None:
    """Return the seeds, means and intervals of the measured rows; None where the table has none or does not show the mIoU."""
    if not section.rows or _SCORE not in {column.key for column in section.table.columns}:
        return None
    intervals = [over_seeds(one) for one in section.rows]
    seeds = [[result.miou for result in one.results] for one in section.rows]
    ends = [end for pair in intervals for end in pair if end is not None]
    axis = covering([*ends, *(value for one in seeds for value in one)], 0, FOREST_WIDTH)
    plots = tuple(
        draw_forest(axis, values, interval[0], one.miou.mean, interval[1], _text(interval, values))
        for interval, values, one in zip(intervals, seeds, section.rows, strict=True)
    )
    title = f"Seeds, {100 * CONFIDENCE:.0f} % interval"
    note = (
        "Beside the mIoU: a dot for each seed, a stroke for their mean, and as a bar Student's interval over seeds, "
        f"which takes {MIN_SEEDS} of them; all rows on one axis, in percent."
    )
    return Forest(title, f"{100 * axis.low:.1f}", f"{100 * axis.high:.1f}", note, plots)


def columns(table: Table, sort: str, has_forest: bool) -> list[Mapping[str, Any]]:
    """Return the headings of a table that is sorted by the column ``sort``."""
    return [
        {
            "header": column.header,
            "align": column.align,
            "order": _order(table, place) if column.key == sort else None,
            "has_forest": has_forest and column.key == _SCORE,
        }
        for place, column in enumerate(table.columns)
    ]


def rows(section: Section, forest: Forest | None) -> list[Mapping[str, Any]]:
    """Return the rows of a table; the measured ones have a number, by which figures name them."""
    shown: list[Mapping[str, Any]] = []
    for place, row in enumerate(section.table.rows):
        is_measured = place < len(section.rows) or not section.rows
        shown.append(
            {
                "number": place + 1 if is_measured else None,
                "is_traced": place < len(section.traces),
                "division": _division(section.table.columns, row),
                "cells": [_cell(column, one, forest) for column, one in zip(section.table.columns, row, strict=True)],
                "forest": forest.plots[place] if forest and place < len(forest.plots) else "",
            }
        )
    return shown


def _cell(column: Column, one: Cell, forest: Forest | None) -> Mapping[str, Any]:
    value = one.raw[0]
    is_number = isinstance(value, int | float)
    return {
        "text": one.text,
        "emphasis": one.emphasis,
        "value": repr(value) if is_number else "" if value is None else None,  # None: the text itself is what sorts
        "tag": "th" if column.key == "method" else "td",
        "kind": "right" if column.align == "right" else "wrap" if len(one.text) > 60 else "",
        "has_forest": forest is not None and column.key == _SCORE,
    }


def _division(columns: Sequence[Column], row: Sequence[Cell]) -> str:
    return next((one.text for column, one in zip(columns, row, strict=True) if column.key == "division"), "")


def _order(table: Table, place: int) -> str:
    """Return in which order a sorted column is; numbers and texts alike, a column of equals counts as descending."""
    values: list[Any] = [row[place].raw[0] for row in table.rows if row[place].raw[0] is not None]
    return "ascending" if values and values[0] < values[-1] else "descending"


def _text(interval: tuple[float | None, float | None], seeds: Sequence[float]) -> str:
    low, high = interval
    shown = ", ".join(f"{100 * one:.2f}" for one in seeds)
    return f"seeds {shown}" + ("" if low is None or high is None else f"; interval {100 * low:.2f} to {100 * high:.2f}")
