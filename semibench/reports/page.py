"""Tables -> a page: beside each table what its figures are drawn from, and where all of it comes from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from semibench.errors import NotConformantError
from semibench.reports import efficiency, traces, training_curves
from semibench.reports.aggregate import Group
from semibench.reports.compare import Comparison
from semibench.reports.gallery import Embedded
from semibench.reports.notes import leaving_out
from semibench.reports.render.table import Table
from semibench.reports.traces import Setting, Trace
from semibench.reports.training_curves import Curve

CURVES = 8  # lines of a figure that can be told apart


@dataclass(frozen=True)
class Section:
    """What is shown of one protocol; a row without runs is what others report."""

    table: Table
    rows: tuple[Group, ...] = ()  # of the measured rows of the table, in their order
    traces: tuple[Trace, ...] = ()  # one a row
    curves: Mapping[int, Curve] = field(default_factory=dict)  # by row, of the first ``CURVES`` that have one
    galleries: tuple[Embedded, ...] = ()


@dataclass(frozen=True)
class Page:
    """All that a page shows; ``sort`` is the column that rows are sorted by."""

    sections: tuple[Section, ...]
    sort: str = ""
    families: tuple[efficiency.Family, ...] = ()
    environments: tuple[Setting, ...] = ()
    left_out: str = ""


def build(
    comparison: Comparison, folders: Mapping[str, Path], sort: str, start: Path, galleries: Sequence[Embedded] = ()
) -> Page:
    """Return the page of a comparison whose runs lie in ``folders``, as it is seen from the folder ``start``.

    Raises DataError where the log of a run is damaged, NotConformantError where pictures are of other runs than the tables.
    """
    everything = [one for rows in comparison.rows for one in rows]
    _check(galleries, everything)
    settings = traces.environments(everything)
    paths, configurations = traces.relative(folders, start), traces.configurations(folders, start)
    sections = tuple(
        Section(
            table,
            rows,
            tuple(traces.trace(one, paths, configurations, settings) for one in rows),
            _curves(rows, folders),
            tuple(sorted((one for one in galleries if one.index.protocol == table.title), key=lambda one: repr(one.index))),
        )
        for table, rows in zip(comparison.tables, comparison.rows, strict=True)
    )
    left_out = leaving_out(comparison.without_table) if comparison.without_table else ""
    return Page(sections, sort, tuple(efficiency.families(everything)), tuple(settings), left_out)


def _curves(rows: Sequence[Group], folders: Mapping[str, Path]) -> dict[int, Curve]:
    found: dict[int, Curve] = {}
    for row, one in enumerate(rows):
        if len(found) == CURVES:
            break
        places = [folders[result.run_id] for result in one.results if result.run_id in folders]
        curve = training_curves.over_seeds([training_curves.read(folder) for folder in places])
        if curve is not None and len(places) == len(one.results):
            found[row] = curve
    return found


def _check(galleries: Sequence[Embedded], groups: Sequence[Group]) -> None:
    """Refuse pictures of runs that no table shows: a reader could not trace them."""
    known = {result.run_id for one in groups for result in one.results}
    for one in galleries:
        for run in one.index.runs:
            if run.run_id not in known:
                raise NotConformantError(
                    f"the pictures of {one.index.protocol} show the run {run.run_id[:12]} of {run.method}, which no table has",
                    "Make them anew from the runs that are compared: 'semibench gallery'.",
                )
