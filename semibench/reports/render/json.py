"""JSON: unrounded values in stored units with the notes of each table, for other programs."""

import json
from collections.abc import Sequence
from typing import Any  # JSON values have no narrower type

from semibench.reports.render.table import Table


def render(tables: Sequence[Table]) -> str:
    """Return an object with a list of tables; a row is an object with one value for each field."""
    return json.dumps({"tables": [_table(table) for table in tables]}, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _table(table: Table) -> dict[str, Any]:
    names = [field for column in table.columns for field in column.fields]
    return {
        "title": table.title,
        **table.facts,
        "rows": [dict(zip(names, (value for cell in row for value in cell.raw), strict=True)) for row in table.rows],
        "notes": list(table.notes),
    }
