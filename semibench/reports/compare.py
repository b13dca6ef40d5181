"""Results -> tables, one for each protocol."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any  # values of one column can be ordered, whichever type they have

from semibench.errors import DataError, unknown
from semibench.reports import baseline, ledger, partitions, reported, score_columns, ties
from semibench.reports.aggregate import Group, group
from semibench.reports.baseline import Against
from semibench.reports.columns import COLUMNS, DEFAULT, ColumnKind
from semibench.reports.listing import RunSummary
from semibench.reports.notes import notes
from semibench.reports.over_images import Images
from semibench.reports.render.table import Cell, Emphasis, Raw, Table
from semibench.reports.store import Collection

_REVEALING = {"config": "method", "size": "flops", "device": "images_per_second"}  # column -> the one that it follows

_MARKS: tuple[Emphasis, Emphasis] = ("best", "second")


@dataclass(frozen=True)
class Selection:
    """What is shown, and in which order; empty means everything, or the default columns."""

    protocols: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    sort: str = "miou"
    baseline: str = ""  # method that the others are compared with
    published: bool = False  # show what others report, too
    unverified: bool = False  # of that, what nobody has checked as well


@dataclass(frozen=True)
class Comparison:
    """One table for each protocol, sorted by name, those over partitions, and the runs of protocols without a complete run."""

    tables: tuple[Table, ...]
    without_table: tuple[RunSummary, ...]
    rows: tuple[tuple[Group, ...], ...] = ()  # for each table of one protocol, what its measured rows are made of, in order


def build(collection: Collection, selection: Selection) -> Comparison:
    """Return the tables of what ``selection`` chooses from ``collection``.

    Raises UsageError for an unknown column or protocol, DataError when there is nothing to show, NotConformantError when
    results of one protocol were not measured alike.
    """
    chosen = _choose(collection, selection.protocols)
    _check_columns(selection, chosen.class_names)
    if not chosen.results:
        states = f"; {len(chosen.left_out)} not complete" if chosen.left_out else ""
        raise DataError(
            f"no complete run found{states}",
            "Make one with 'semibench run', or name the folder that runs were written to: 'semibench compare FOLDER'.",
        )
    methods = {result.method for result in chosen.results}
    if selection.baseline and selection.baseline not in methods:
        raise unknown("method", selection.baseline, methods, "Only a method with a complete run can be the baseline.")
    by_protocol = [list(groups) for _, groups in groupby(group(chosen.results), lambda one: one.first.protocol)]
    sections = [_table(groups, chosen, selection) for groups in by_protocol]
    over_partitions = partitions.tables(by_protocol, selection.baseline)
    tables = (*(table for table, _ in sections), *over_partitions)
    rows = (*(tuple(ordered) for _, ordered in sections), *(() for _ in over_partitions))
    shown = {table.title for table in tables}
    return Comparison(tables, tuple(run for run in chosen.left_out if run.protocol not in shown), rows)


def _check_columns(selection: Selection, class_names: Sequence[str]) -> None:
    single = (*COLUMNS, *score_columns.COLUMNS, score_columns.IMAGES, *(baseline.KEYS if selection.baseline else ()))
    of_classes = score_columns.class_keys(class_names)
    sortable = (*single, *(key for keys in of_classes.values() for key in keys))
    for name, known, shown in (
        *((name, (*sortable, *of_classes), (*single, *of_classes)) for name in selection.columns),
        (selection.sort, sortable, single),
    ):
        if name not in known:
            listed = f"{', '.join(shown)}; of one class: iou:<class>, boundary:<class>"
            raise unknown("column", name, known, f"Columns: {listed}; with --baseline: {', '.join(baseline.KEYS)}.")


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
        collection.folders,
    )


def _table(groups: list[Group], collection: Collection, selection: Selection) -> tuple[Table, list[Group]]:
    """Return the table of ``groups``, and them in the order of its rows."""
    method, images = selection.baseline, Images(collection.folders)
    compared = baseline.compare(groups, method, images) if method else []
    of_classes = score_columns.class_keys(groups[0].first.class_names)
    kinds = {
        **COLUMNS,
        **score_columns.COLUMNS,
        **score_columns.of_classes(collection.class_names, images),
        score_columns.IMAGES: score_columns.over_images(images),
        **(baseline.columns(groups, method, compared) if method else {}),
    }
    ordered = _sorted(groups, kinds[selection.sort])
    compared = [compared[groups.index(one)] for one in ordered] if method else []
    keys = [part for key in _keys(ordered, selection, compared) for part in of_classes.get(key, (key,))]
    cells = [_emphasized(key, [kinds[key].cell(one) for one in ordered]) for key in keys]
    first = ordered[0].first
    statistics = (
        *score_columns.notes(keys, ordered[0]),
        *(baseline.notes(ordered, method, compared) if method else ties.notes(ordered)),
        *images.notes(first.class_names),
    )
    left_out = [run for run in collection.left_out if run.protocol == first.protocol]
    table = Table(
        title=first.protocol,
        facts=_facts(ordered[0]),
        columns=tuple(kinds[key].column(key) for key in keys),
        rows=tuple(zip(*cells, strict=True)),
        notes=notes(ordered, statistics, left_out),
    )
    return (_with_reported(table, selection) if selection.published else table), ordered


def _with_reported(table: Table, selection: Selection) -> Table:
    """Return the table with what others report on its protocol, in rows and columns of their own."""
    if not ledger.on(table.title):
        return table
    entries = reported.entries(table.title, unverified=selection.unverified)
    measured = tuple((*row, *map(reported.empty, reported.COLUMNS)) for row in table.rows)
    return replace(
        table,
        columns=(*table.columns, *reported.COLUMNS),
        rows=(*measured, *(reported.row(entry, table.columns) for entry in entries)),
        notes=(*table.notes, *reported.notes(table.title, entries)),
    )


def _sorted(groups: list[Group], kind: ColumnKind) -> list[Group]:
    """Sort by a column, best first; groups without a value stand last, and labels decide ties."""
    groups = sorted(groups, key=lambda one: (*one.label, one.config))
    values: dict[Any, list[Group]] = {}
    for one in groups:
        values.setdefault(kind.raw(one)[0], []).append(one)
    without = values.pop(None, [])
    return [one for value in sorted(values, reverse=kind.is_descending) for one in values[value]] + without


def _keys(groups: Sequence[Group], selection: Selection, compared: Sequence[Against]) -> list[str]:
    """Return the columns asked for, and those without which rows would be mistaken for each other."""
    columns = selection.columns
    keys = list(columns or DEFAULT)
    if selection.baseline and not set(keys) & set(baseline.KEYS):
        place = keys.index("miou") + 1 if "miou" in keys else len(keys)
        has_images = any(against.images for against in compared)
        keys[place:place] = [key for key in baseline.KEYS if has_images or key not in baseline.OVER_IMAGES]
    for key, predecessor in _REVEALING.items():
        values = {COLUMNS[key].raw(one) for one in groups} - {(None,)}
        is_needed = len(values) > 1 and (key == "config" or not columns)
        if is_needed and key not in keys:
            keys.insert(keys.index(predecessor) + 1 if predecessor in keys else len(keys), key)
    return keys


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
        "evaluation_digest": first.digests.evaluation,
        "truth_digest": first.digests.truth,
        "dataset": first.dataset,
        "synthetic": first.synthetic,
        "subset": first.ranked.subset,
        "checkpoint": first.evaluation.checkpoint,
    }
