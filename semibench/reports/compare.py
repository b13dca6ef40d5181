"""Results -> tables, one for each protocol."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any  # values of one column can be ordered, whichever type they have

from semibench.errors import DataError, unknown
from semibench.reports.aggregate import Group, group
from semibench.reports.columns import COLUMNS, DEFAULT
from semibench.reports.listing import RunSummary
from semibench.reports.notes import notes
from semibench.reports.render.table import Cell, Column, Emphasis, Raw, Table
from semibench.reports.store import Collection

_REVEALING = {"config": "method", "size": "flops", "device": "images_per_second"}  # column -> the one that it follows

_MARKS: tuple[Emphasis, Emphasis] = ("best", "second")


@dataclass(frozen=True)
class Selection:
    """What is shown, and in which order; empty means everything, or the default columns."""

    protocols: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    sort: str = "miou"


@dataclass(frozen=True)
class Comparison:
    """One table for each protocol, sorted by name, and the runs of protocols without any complete run."""

    tables: tuple[Table, ...]
    without_table: tuple[RunSummary, ...]


def build(collection: Collection, selection: Selection) -> Comparison:
    """Return the tables of what ``selection`` chooses from ``collection``.

    Raises UsageError for an unknown column or protocol, DataError when there is nothing to show, NotConformantError when
    results of one protocol were not measured alike.
    """
    for name in (*selection.columns, selection.sort):
        if name not in COLUMNS:
            raise unknown("column", name, COLUMNS, f"Columns: {', '.join(COLUMNS)}.")
    chosen = _choose(collection, selection.protocols)
    if not chosen.results:
        states = f"; {len(chosen.left_out)} not complete" if chosen.left_out else ""
        raise DataError(
            f"no complete run found{states}",
            "Make one with 'semibench run', or name the folder that runs were written to: 'semibench compare FOLDER'.",
        )
    by_protocol = groupby(group(chosen.results), lambda one: one.first.protocol)
    tables = tuple(_table(list(groups), chosen.left_out, selection) for _, groups in by_protocol)
    shown = {table.title for table in tables}
    return Comparison(tables, tuple(run for run in chosen.left_out if run.protocol not in shown))


def _choose(collection: Collection, protocols: Sequence[str]) -> Collection:
    """Return what belongs to ``protocols``, everything when none is named; raise UsageError for one without runs."""
    found = {result.protocol for result in collection.results} | {run.protocol for run in collection.left_out}
    for name in protocols:
        if name not in found:
            raise unknown("protocol", name, found, "Only protocols with runs in the given folders can be shown.")
    wanted = set(protocols) or found
    return Collection(
        tuple(result for result in collection.results if result.protocol in wanted),
        tuple(run for run in collection.left_out if run.protocol in wanted),
    )


def _table(groups: list[Group], left_out: Sequence[RunSummary], selection: Selection) -> Table:
    ordered = _sorted(groups, selection.sort)
    keys = _keys(ordered, selection.columns)
    cells = [_emphasized(key, [_cell(key, one) for one in ordered]) for key in keys]
    first = ordered[0].first
    return Table(
        title=first.protocol,
        facts=_facts(ordered[0]),
        columns=tuple(Column(key, COLUMNS[key].header, COLUMNS[key].align, COLUMNS[key].fields) for key in keys),
        rows=tuple(zip(*cells, strict=True)),
        notes=notes(ordered, [run for run in left_out if run.protocol == first.protocol]),
    )


def _sorted(groups: list[Group], sort: str) -> list[Group]:
    """Sort by a column, best first; groups without a value stand last, and labels decide ties."""
    kind = COLUMNS[sort]
    groups = sorted(groups, key=lambda one: (*one.label, one.config))
    values: dict[Any, list[Group]] = {}
    for one in groups:
        values.setdefault(kind.raw(one)[0], []).append(one)
    without = values.pop(None, [])
    return [one for value in sorted(values, reverse=kind.is_descending) for one in values[value]] + without


def _keys(groups: Sequence[Group], columns: Sequence[str]) -> list[str]:
    """Return the columns asked for, and those without which rows would be mistaken for each other."""
    keys = list(columns or DEFAULT)
    for key, predecessor in _REVEALING.items():
        is_needed = len({COLUMNS[key].raw(one) for one in groups}) > 1 and (key == "config" or not columns)
        if is_needed and key not in keys:
            keys.insert(keys.index(predecessor) + 1 if predecessor in keys else len(keys), key)
    return keys


def _cell(key: str, one: Group) -> Cell:
    raw = COLUMNS[key].raw(one)
    return Cell(COLUMNS[key].show(*raw), tuple(raw))


def _emphasized(key: str, cells: list[Cell]) -> list[Cell]:
    """Mark best and second best mIoU by the unrounded mean; equal means share a mark, a single row has none."""
    if key != "miou" or len(cells) < 2:
        return cells
    ranking = sorted({cell.raw[0] for cell in cells}, key=lambda mean: -float(mean or 0))
    marks: dict[Raw, Emphasis] = dict(zip(ranking, _MARKS, strict=False))
    return [replace(cell, emphasis=marks.get(cell.raw[0], "none")) for cell in cells]


def _facts(one: Group) -> dict[str, Raw]:
    first = one.first
    return {
        "protocol": first.protocol,
        "protocol_digest": first.digest,
        "dataset": first.dataset,
        "synthetic": first.synthetic,
        "subset": first.ranked.subset,
        "checkpoint": first.evaluation.checkpoint,
    }
