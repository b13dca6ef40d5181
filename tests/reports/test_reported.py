"""Reported figures beside measured ones: never in one cell, marked where their lists are not known."""

import json

import pytest

from semibench.reports import compare
from semibench.reports.ledger import on
from semibench.reports.render import csv, latex, markdown
from semibench.reports.render.json import render
from semibench.reports.store import Collection

PROTOCOL = "voc-183@classic"


@pytest.fixture
def table(make_result):
    def build(**selection):
        collection = Collection((make_result(protocol=PROTOCOL), make_result(protocol=PROTOCOL, method="supervised")))
        [one] = compare.build(collection, compare.Selection(published=True, **selection)).tables
        return one

    return build


def _values(table, field):
    fields = [name for column in table.columns for name in column.fields]
    return [[value for cell in row for value in cell.raw][fields.index(field)] for row in table.rows]


def test_no_row_has_a_measured_and_a_reported_figure(table):
    measured, reported = _values(table(), "miou_mean"), _values(table(), "reported_miou")
    assert [one is None for one in measured] == [one is not None for one in reported]
    assert measured[:2] == [0.6, 0.6]
    assert len(reported) > 20


def test_reported_rows_are_those_of_the_ledger_that_somebody_checked(table):
    expected = [entry.value for entry in on(PROTOCOL) if entry.claim.grade != "recalled"]
    assert _values(table(), "reported_miou")[2:] == expected
    assert "recalled" not in _values(table(), "reported_grade")


def test_unverified_figures_are_shown_when_asked_for_and_marked(table):
    shown = table(unverified=True)
    rows = {row for row, grade in zip(shown.rows, _values(shown, "reported_grade"), strict=True) if grade == "recalled"}
    assert rows
    assert all(any("unverified" in cell.text and cell.emphasis == "muted" for cell in row) for row in rows)


def test_figures_whose_lists_are_not_known_are_marked_with_the_words_of_their_source(table):
    shown = table()
    [cell] = [cell for row in shown.rows for cell in row if cell.raw[:2] == (0.7581, "VOC 1/8")]
    assert cell.text == "75.81 (VOC 1/8?)"
    assert cell.emphasis == "muted"
    assert "*75.81 (VOC 1/8?)*" in markdown.render([shown])
    assert r"\textcolor{gray}{75.81 (VOC 1/8?)}" in latex.render([shown])


def test_notes_say_what_reported_means_and_what_is_not_shown(table):
    text = "\n".join(table().notes)
    assert "not measured by this program" in text
    hidden = sum(entry.claim.grade == "recalled" for entry in on(PROTOCOL))
    assert f"Not shown: {hidden} reported figures that nobody has checked (--unverified)." in text
    assert "Not shown" not in "\n".join(table(unverified=True).notes)


def test_programs_read_them_in_fields_of_their_own(table):
    rows = json.loads(render([table(columns=("method", "miou"))]))["tables"][0]["rows"]
    assert rows[0]["reported_miou"] is None
    assert rows[-1]["miou_mean"] is None
    assert rows[-1]["reported_source"]
    assert '"reported_miou","reported_setting","reported_grade"' in csv.render([table()])


def test_the_best_measured_figure_is_marked_as_without_them(table):
    assert [cell.emphasis for row in table(columns=("miou",)).rows[:2] for cell in row[:1]] == ["best", "best"]
