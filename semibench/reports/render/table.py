"""The one table model; every format is a file beside this one with ``render(tables) -> str``.

A format that shows more than tables also has ``render_page(page: semibench.reports.page.Page) -> str``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Raw = str | int | float | bool | None
Emphasis = Literal["none", "best", "second", "muted"]


@dataclass(frozen=True)
class Column:
    """A column: its heading, and the names of the stored values behind each of its cells."""

    key: str
    header: str
    align: Literal["left", "right"]
    fields: tuple[str, ...]


@dataclass(frozen=True)
class Cell:
    """What people read, and the unrounded values in stored units, one for each of the column's fields."""

    text: str
    raw: tuple[Raw, ...]
    emphasis: Emphasis = "none"


@dataclass(frozen=True)
class Table:
    """One protocol's results. Texts are plain: each format escapes them for itself."""

    title: str
    facts: Mapping[str, Raw]  # what holds for all rows, for machines
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...]
