"""The columns that a table can have: heading, stored values, and how they are shown."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import floor, log10
from statistics import fmean
from typing import Literal

from semibench.reports.aggregate import Group, agree, conditions
from semibench.reports.render.table import Cell, Column, Raw
from semibench.reports.result import Cost, Result

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

    def column(self, key: str) -> Column:
        """Return the column of a table, called ``key`` there."""
        return Column(key, self.header, self.align, self.fields)

    def cell(self, one: Group) -> Cell:
        """Return the cell of a group."""
        raw = tuple(self.raw(one))
        return Cell(self.show(*raw), raw)


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


def signed(fraction: float) -> str:
    r"""Return a fraction in percentage points with its sign, a minus that is one.

    >>> signed(0.0463), signed(-0.005) == "\N{MINUS SIGN}0.50"
    ('+4.63', True)
    """
    return f"{100 * fraction:+.2f}".replace("-", "\N{MINUS SIGN}")


def seconds_per_step(result: Result) -> float | None:
    """Return the training time of one step; None where the clock did not see the whole run."""
    seconds = result.cost.training_seconds if result.cost else None
    return seconds / result.steps if seconds and result.steps and not result.provenance.resumed else None


def _text(header: str, field: str, value: Callable[[Group], str | None]) -> ColumnKind:
    def show(stored: str | None) -> str:
        return MISSING if stored is None else stored

    return ColumnKind(header, (field,), lambda group: (value(group),), show, align="left")


def _number(
    header: str, field: str, unit: float, value: Callable[[Group], float | None], is_descending: bool = False
) -> ColumnKind:
    def show(stored: float | None) -> str:
        return MISSING if stored is None else significant(stored / unit)

    return ColumnKind(header, (field,), lambda group: (value(group),), show, is_descending=is_descending)


def _energy(result: Result) -> float | None:
    return result.cost.energy if result.cost and not result.provenance.resumed else None


def _of_cost(value: Callable[[Cost], float | None]) -> Callable[[Result], float | None]:
    return lambda result: value(result.cost) if result.cost else None


def _of_first(value: Callable[[Cost], float | None]) -> Callable[[Group], float | None]:
    return lambda group: _of_cost(value)(group.first)


def _size(group: Group) -> str | None:
    return " x ".join(map(str, group.first.cost.input_size)) if group.first.cost else None


def _mean(group: Group, value: Callable[[Result], float | None]) -> float | None:
    """Return the mean over seeds, None where a run lacks the value, or the runs were not measured alike or disagree."""
    values = [value(result) for result in group.results]
    known = [one for one in values if one is not None]
    machines = {conditions(result.provenance) for result in group.results}
    return fmean(known) if len(known) == len(values) and len(machines) == 1 and agree(known) else None


def _timed(group: Group, value: Callable[[Result], float | None]) -> float | None:
    """Return such a mean of what a clock has measured, None where rows of one network disagree as well."""
    return None if group.is_disputed else _mean(group, value)


def _p50(cost: Cost) -> float | None:
    return cost.latency.p50 if cost.latency else None


def _hours(result: Result) -> float | None:
    seconds = seconds_per_step(result)
    return None if seconds is None else seconds * result.steps * result.provenance.processes / 3600


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
    "miou": ColumnKind(
        "mIoU (%)",
        ("miou_mean", "miou_std", "miou_by_seed", "identity"),  # of whose scores: a later table finds the row by it
        lambda group: (*group.miou, " ".join(repr(result.miou) for result in group.results), group.identity),
        lambda mean, std, *_: percent(mean, std),
        is_descending=True,
    ),
    "parameters": _number("Parameters (M)", "parameters", 1e6, _of_first(lambda cost: cost.parameters)),
    "trainable": _number("Trainable (M)", "trainable_parameters", 1e6, _of_first(lambda cost: cost.trainable_parameters)),
    "flops": _number("GFLOPs", "flops", 1e9, _of_first(lambda cost: cost.flops)),
    "macs": _number("GMACs", "macs", 1e9, lambda group: group.first.macs),
    "size": _text("Input", "input_size", _size),
    "images_per_second": _number("Images/s", "images_per_second", 1, lambda group: group.images_per_second, is_descending=True),
    "latency": _number(
        "Latency (ms)",
        "latency_p50",
        1e-3,
        lambda group: _timed(group, _of_cost(_p50)),
    ),
    "memory": _number(
        "Memory (GiB)", "peak_memory", 2**30, lambda group: _mean(group, _of_cost(lambda cost: cost.peak_memory))
    ),
    "step": _number("Step (ms)", "seconds_per_step", 1e-3, lambda group: _timed(group, seconds_per_step)),
    "hours": _number("Device-hours", "training_hours", 1, lambda group: _timed(group, _hours)),
    "energy": _number("Energy (kWh)", "training_energy", 3.6e6, lambda group: _timed(group, _energy)),
    "training_images_per_second": _number(
        "Training images/s",
        "training_images_per_second",
        1,
        lambda group: _timed(group, _of_cost(lambda cost: cost.training_images_per_second)),
        is_descending=True,
    ),
    "device": _text("Device", "device", lambda group: ", ".join(group.devices) or None),
}
DEFAULT = ("method", "backbone", "division", "seeds", "miou", "parameters", "flops", "images_per_second")
