"""CSV: unrounded values in stored units (fractions, FLOPs, images per second), one line a row, for other programs."""

import csv
import io
from collections.abc import Sequence

from semibench.reports.render.table import Raw, Table

# A spreadsheet runs a text that begins so as a formula; the apostrophe that prevents it is therefore marked as well.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "'", "＝", "＋", "－", "＠")  # noqa: RUF001 - full-width forms count too


def render(tables: Sequence[Table]) -> str:
    """Return all tables as one: facts of the table first, then the values of each column that any of them has."""
    rows = [row for table in tables for row in _rows(table)]
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval=None, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _safe(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def _rows(table: Table) -> list[dict[str, Raw]]:
    names = [field for column in table.columns for field in column.fields]
    return [
        {**table.facts, **dict(zip(names, (value for cell in row for value in cell.raw), strict=True))} for row in table.rows
    ]


def _safe(value: Raw) -> Raw:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA_STARTS) else value
