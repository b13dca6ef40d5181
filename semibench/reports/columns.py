"""The columns that a table can have: heading, stored values, and how they are shown."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import floor, log10
from typing import Literal

from semibench.reports.aggregate import Group
from semibench.reports.render.table import Raw

MISSING = "–"  # noqa: RUF001 - an en dash is what tables show for no value


@dataclass(frozen=True)
class ColumnKind:
    """How a column is made of a group; its first stored value sorts the table."""

    header: str
    fields: tuple[str, ...]
    raw: Callable[[Group], tuple[Raw, ...]]  # stored units, one value a field
    show: Callable[..., str]  # the values -> text
    align: Literal["left", "right"] = "right"
    is_descending: bool = False  # when sorted by it


def significant(value: float) -> str:
    """Return ``value`` >= 0 with three significant digits, without an exponent.

    >>> significant(0.02134), significant(59.34), significant(12345.6)
    ('0.0213', '59.3', '12346')
    """
    return f"{value:.{max(0, 2 - floor(log10(value)))}f}" if value > 0 else "0"


def percent(mean: float, std: float | None) -> str:
    """Return fractions as percent with two decimals.

    >>> percent(0.51234, 0.005), percent(0.5, None)
    ('51.23 ± 0.50', '50.00')
    """
    return f"{100 * mean:.2f}" + ("" if std is None else f" ± {100 * std:.2f}")


def _text(header: str, field: str, value: Callable[[Group], str]) -> ColumnKind:
    return ColumnKind(header, (field,), lambda group: (value(group),), str, align="left")


def _number(
    header: str, field: str, unit: float, value: Callable[[Group], float | None], is_descending: bool = False
) -> ColumnKind:
    def show(stored: float | None) -> str:
        return MISSING if stored is None else significant(stored / unit)

    return ColumnKind(header, (field,), lambda group: (value(group),), show, is_descending=is_descending)


def _size(group: Group) -> str:
    height, width = group.first.cost.input_size
    return f"{height} x {width}"


COLUMNS: Mapping[str, ColumnKind] = {
    "method": _text("Method", "method", lambda group: group.first.method),
    "backbone": _text("Backbone", "backbone", lambda group: group.first.backbone),
    "division": _text("Division", "division", lambda group: group.first.division),
    "config": _text("Configuration", "config", lambda group: group.config),
    "seeds": ColumnKind(
        "Seeds",
        ("n", "seeds"),
        lambda group: (len(group.seeds), " ".join(map(str, group.seeds))),
        lambda n, seeds: str(n),
        is_descending=True,
    ),
    "miou": ColumnKind("mIoU (%)", ("miou_mean", "miou_std"), lambda group: group.miou, percent, is_descending=True),
    "parameters": _number("Parameters (M)", "parameters", 1e6, lambda group: group.first.cost.parameters),
    "trainable": _number("Trainable (M)", "trainable_parameters", 1e6, lambda group: group.first.cost.trainable_parameters),
    "flops": _number("GFLOPs", "flops", 1e9, lambda group: group.first.cost.flops),
    "macs": _number("GMACs", "macs", 1e9, lambda group: group.first.macs),
    "size": _text("Input", "input_size", _size),
    "images_per_second": _number("Images/s", "images_per_second", 1, lambda group: group.images_per_second, is_descending=True),
    "device": _text("Device", "device", lambda group: ", ".join(group.devices)),
}
DEFAULT = ("method", "backbone", "division", "seeds", "miou", "parameters", "flops", "images_per_second")
