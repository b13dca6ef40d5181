"""Figures as SVG that scales, follows the colors of the page, and is the same text for the same numbers.

Colors are classes of the page's style sheet, so that light, dark and print have their own; every text is escaped.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from markupsafe import Markup

from semibench.reports.render._axes import Axis, covering

WIDTH, HEIGHT = 380, 264
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 30, 12, 42
_LABEL_WIDTH, _LABEL_HEIGHT = 24, 12
_EMPTY = Markup("")
COLORS = 8  # classes c0 to c7
FOREST_WIDTH, FOREST_HEIGHT = 132, 18


class Mark(NamedTuple):
    """A value of a figure: where it lies, and the interval around it where one is known."""

    x: float
    y: float
    low: float
    high: float


@dataclass(frozen=True)
class Series:
    """A line, or a single dot, that stands for a row of the table."""

    label: str  # number of the row
    name: str  # what a pointer that rests on it shows
    color: int
    marks: tuple[Mark, ...]


@dataclass(frozen=True)
class Chart:
    """A figure: what is said of it to those who do not see it, its axes and what it holds; y is in [0, 1], shown in percent."""

    title: str
    x_title: str
    y_title: str
    series: tuple[Series, ...]
    is_log: bool = False  # of x
    x_unit: float = 1.0


def draw(chart: Chart) -> Markup:
    """Return the figure; each series has its label at its end, so that nothing is told by color alone."""
    marks = [mark for one in chart.series for mark in one.marks]
    x = covering((mark.x / chart.x_unit for mark in marks), _LEFT, WIDTH - _RIGHT, is_log=chart.is_log)
    y = covering((100 * value for mark in marks for value in mark[1:]), HEIGHT - _BOTTOM, _TOP)
    ends = [(x.place(one.marks[-1].x / chart.x_unit), y.place(100 * one.marks[-1].y)) for one in chart.series]
    body = [_series(one, x, y, chart.x_unit, label) for one, label in zip(chart.series, _spread(ends), strict=True)]
    return Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}"><title>{}</title>{}{}{}</svg>').format(
        WIDTH, HEIGHT, chart.title, chart.title, _frame(x, y), _titles(chart), _EMPTY.join(body)
    )


def swatch(color: int) -> Markup:
    """Return the color of a series as a small sign for a legend."""
    return Markup(
        '<svg class="swatch" viewBox="0 0 14 10" aria-hidden="true"><path class="line c{}" d="M0 5H14"/></svg>'
    ).format(color % COLORS)


def color(rgb: Sequence[int]) -> Markup:
    """Return a class's color as a small square for a legend."""
    return Markup(
        '<svg class="swatch" viewBox="0 0 10 10" aria-hidden="true"><rect width="10" height="10" fill="{}"/></svg>'
    ).format("#{:02x}{:02x}{:02x}".format(*rgb))


def forest(axis: Axis, values: Iterable[float], low: float | None, mean: float, high: float | None, text: str) -> Markup:
    """Return a row of a forest plot: a dot for each seed, the mean as a stroke, the interval as a bar."""
    middle = FOREST_HEIGHT / 2
    parts = [Markup('<path class="rule" d="M0 {}H{}"/>').format(middle, FOREST_WIDTH)]
    if low is not None and high is not None:
        left, right = axis.place(max(low, axis.low)), axis.place(min(high, axis.high))
        parts.append(Markup('<path class="whisker" d="M{} {}H{}"/>').format(_number(left), middle, _number(right)))
    parts += [Markup('<circle class="seed" cx="{}" cy="{}" r="2"/>').format(_number(axis.place(one)), middle) for one in values]
    parts.append(Markup('<path class="mean" d="M{} 3V{}"/>').format(_number(axis.place(mean)), FOREST_HEIGHT - 3))
    return Markup('<svg class="forest" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        FOREST_WIDTH, FOREST_HEIGHT, text, _EMPTY.join(parts)
    )


def _series(one: Series, x: Axis, y: Axis, unit: float, label: float) -> Markup:
    marks = [(x.place(mark.x / unit), *(y.place(100 * value) for value in mark[1:])) for mark in one.marks]
    places = [(left, middle) for left, middle, _, _ in marks]
    lows, highs = [(left, low) for left, _, low, _ in marks], [(left, high) for left, _, _, high in marks]
    kind = f"c{one.color % COLORS}"
    parts = [Markup("<title>{}</title>").format(one.name)]
    if len(marks) > 1:
        parts.append(Markup('<path class="band {}" d="{}Z"/>').format(kind, _path([*highs, *reversed(lows)])))
        parts.append(Markup('<path class="line {}" d="{}"/>').format(kind, _path(places)))
    else:
        parts.append(Markup('<path class="line thin {}" d="{}"/>').format(kind, _path([*highs, *lows])))
    parts += [
        Markup('<circle class="dot {}" cx="{}" cy="{}" r="3"/>').format(kind, _number(left), _number(top))
        for left, top in places
    ]
    parts.append(_text(places[-1][0] + 7, label + 4, one.label, f"label {kind}"))
    return Markup("<g>{}</g>").format(_EMPTY.join(parts))


def _frame(x: Axis, y: Axis) -> Markup:
    bottom, parts = HEIGHT - _BOTTOM, []
    for value in y.ticks():
        place = y.place(value)
        parts.append(Markup('<path class="grid" d="M{} {}H{}"/>').format(_LEFT, _number(place), WIDTH - _RIGHT))
        parts.append(_text(_LEFT - 6, place + 4, f"{value:g}", "end"))
    for value in x.ticks():
        place = x.place(value)
        parts.append(Markup('<path class="rule" d="M{} {}v4"/>').format(_number(place), bottom))
        parts.append(_text(place, bottom + 17, _short(value), "middle"))
    parts.append(Markup('<path class="rule" d="M{} {}H{}"/>').format(_LEFT, bottom, WIDTH - _RIGHT))
    return _EMPTY.join(parts)


def _titles(chart: Chart) -> Markup:
    middle = (_TOP + HEIGHT - _BOTTOM) / 2
    turned = Markup('<text class="axis middle" transform="translate(11 {}) rotate(-90)">{}</text>').format(
        middle, chart.y_title
    )
    return _text((_LEFT + WIDTH - _RIGHT) / 2, HEIGHT - 7, chart.x_title, "axis middle") + turned


def _text(x: float, y: float, text: str, kind: str) -> Markup:
    return Markup('<text class="{}" x="{}" y="{}">{}</text>').format(kind, _number(x), _number(y), text)


def _path(places: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{_number(left)} {_number(top)}" for left, top in places)


def _spread(ends: Sequence[tuple[float, float]]) -> list[float]:
    """Return the heights of labels near to their ends, moved so far that none lies on another one."""
    moved = [top for _, top in ends]
    columns: dict[int, list[int]] = {}
    for place in sorted(range(len(ends)), key=lambda place: ends[place][1]):
        columns.setdefault(int(ends[place][0] // _LABEL_WIDTH), []).append(place)
    for order in columns.values():
        for before, after in pairwise(order):
            moved[after] = max(moved[after], moved[before] + _LABEL_HEIGHT)
        floor = float(HEIGHT - _BOTTOM)
        for place in reversed(order):
            moved[place] = min(moved[place], floor)
            floor = moved[place] - _LABEL_HEIGHT
    return moved


def _number(value: float) -> str:
    """Return a coordinate: a tenth of a unit is finer than any screen."""
    return f"{value:.1f}".removesuffix(".0")


def _short(value: float) -> str:
    return f"{value / 1000:g}k" if value >= 10_000 else f"{value:g}"
