"""Markdown: pipe tables, as GitHub shows them."""

import re
from collections.abc import Sequence

from tabulate import tabulate

from semibench.plain import visible
from semibench.reports.render.table import Cell, Table

# an underscore between letters or digits means nothing in Markdown, and names are full of them
_SPECIAL = re.compile(r"(?<![^\W_])_|_(?![^\W_])|[\\`*~|\[\]<>&]")
_COMMANDS = re.compile(r"\$|(?<![A-Za-z0-9])@(?=[A-Za-z0-9])")  # on GitHub: mathematics, and a name that is told of it
_EMPHASIS = {"none": "{}", "best": "**{}**", "second": "<ins>{}</ins>", "muted": "*{}*"}  # GitHub strips <u>


def render(tables: Sequence[Table]) -> str:
    """Return a heading, a table and its notes for each protocol."""
    return "\n".join(map(_table, tables))


def escape(text: str) -> str:
    r"""Return ``text`` so that Markdown shows it as it is, on one line.

    >>> escape("a|b *c* weak_strong")
    'a\\|b \\*c\\* weak_strong'
    >>> escape("@someone voc-92@hash0")
    '<span>@</span>someone voc-92@hash0'
    """
    return _COMMANDS.sub(r"<span>\g<0></span>", _SPECIAL.sub(r"\\\g<0>", visible(" ".join(text.split()))))


def _table(table: Table) -> str:
    lines = tabulate(
        [[_cell(cell) for cell in row] for row in table.rows],
        headers=[escape(column.header) for column in table.columns],
        tablefmt="pipe",
        colalign=[column.align for column in table.columns],
        disable_numparse=True,
    )
    notes = "\n".join(f"- {escape(note)}" for note in table.notes)
    return f"### {escape(table.title)}\n\n{lines}\n\n{notes}\n"


def _cell(cell: Cell) -> str:
    return _EMPHASIS[cell.emphasis].format(escape(cell.text))
