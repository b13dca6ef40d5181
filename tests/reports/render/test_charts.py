"""Figures: axes with round numbers, and SVG that says what it shows."""

import math
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semibench.reports.render._axes import covering
from semibench.reports.render._charts import COLORS, HEIGHT, WIDTH, Chart, Mark, Series, draw

SIZES = st.floats(1e-6, 1e9)
HOSTILE = "<script>alert('&\"')</script>"


@given(st.lists(SIZES, min_size=1), st.booleans())
def test_an_axis_holds_all_values_and_a_few_round_ticks(values, is_log):
    axis = covering(values, 0, 100, is_log=is_log)
    places = [axis.place(value) for value in values]
    assert all(-1e-6 <= place <= 100 + 1e-6 for place in places)
    assert 1 <= len(axis.ticks()) <= 8
    assert all(axis.low <= tick * (1 + 1e-9) and tick <= axis.high * (1 + 1e-9) for tick in axis.ticks())


def _chart(*series, **fields):
    return Chart("mIoU on voc-92", "steps", "mIoU (%)", series, **fields)


def _line(label="1", name="fixmatch", color=0, *values):
    return Series(label, name, color, tuple(Mark(10 * x, y, y - 0.01, y + 0.01) for x, y in enumerate(values or (0.2, 0.5), 1)))


def _elements(chart, name):
    return list(ElementTree.fromstring(draw(chart)).iter(name))


def test_a_line_has_its_row_s_number_at_its_end_and_a_band():
    chart = _chart(_line("7"))
    assert "7" in [text.text for text in _elements(chart, "text")]
    assert [path.get("class") for path in _elements(chart, "path") if "c0" in path.get("class")] == ["band c0", "line c0"]


def test_a_figure_says_what_it_is_and_has_no_style_of_its_own():
    svg = ElementTree.fromstring(draw(_chart(_line())))
    assert (svg.get("role"), svg.get("aria-label")) == ("img", "mIoU on voc-92")
    assert not [element for element in svg.iter() if element.get("style")]


def test_names_are_text_and_nothing_else():
    chart = Chart(HOSTILE, HOSTILE, HOSTILE, (_line(HOSTILE, HOSTILE),))
    assert not _elements(chart, "script")
    assert HOSTILE in [text.text for text in _elements(chart, "text")]


def test_labels_of_equal_values_do_not_lie_on_each_other():
    lines = [_line(str(number), "", number, 0.2, 0.5) for number in range(COLORS)]
    chart = _chart(*lines, _line("low", "", 0, 0.1, 0.1))
    labels = [text for text in _elements(chart, "text") if "label" in text.get("class")]
    heights = sorted(float(text.get("y")) for text in labels)
    assert all(after - before > 11.9 for before, after in pairwise(heights))


@pytest.mark.parametrize("is_log", [False, True])
def test_a_single_value_is_drawn_within_the_figure(is_log):
    chart = _chart(Series("1", "", 0, (Mark(5.0, 0.5, 0.5, 0.5),)), is_log=is_log)
    [dot] = _elements(chart, "circle")
    x, y = float(dot.get("cx")), float(dot.get("cy"))
    assert 0 < x < WIDTH
    assert 0 < y < HEIGHT
    assert math.isfinite(x + y)
