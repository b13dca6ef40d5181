"""CSV: unrounded values that another program reads back, and no formula for a spreadsheet."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semibench.reports.render.csv import render
from semibench.reports.render.table import Cell, Column, Table

COLUMNS = (Column("method", "Method", "left", ("method",)), Column("miou", "mIoU (%)", "right", ("miou_mean", "miou_std")))


def _table(name="fixmatch", std=0.005, columns=COLUMNS):
    row = (Cell("shown", (name,)), Cell("51.23 ± 0.50", (0.5123456789012345, std)))
    return Table("voc-92", {"protocol": "voc-92", "synthetic": False}, columns, (row,), ("A note.",))


def _read(text):
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_values_are_unrounded_and_texts_are_quoted():
    assert render([_table()]) == (
        '"protocol","synthetic","method","miou_mean","miou_std"\n"voc-92",False,"fixmatch",0.5123456789012345,0.005\n'
    )


def test_no_value_is_an_empty_field():
    assert _read(render([_table(std=None)]))[0]["miou_std"] == ""


def test_tables_with_different_columns_share_one_heading():
    other = (Column("config", "Configuration", "left", ("config",)), COLUMNS[1])
    rows = _read(render([_table(), _table("a=1", columns=other)]))
    assert [(row["method"], row["config"]) for row in rows] == [("fixmatch", ""), ("", "a=1")]


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\N{FULLWIDTH EQUALS SIGN}1"])
def test_no_text_is_a_formula(name):
    assert _read(render([_table(name)]))[0]["method"] == f"'{name}"


@given(st.text(st.characters(codec="utf-8")))
def test_texts_come_back(name):
    assert _read(render([_table(name)]))[0]["method"] in (name, f"'{name}")


@given(st.floats(0, 1))
def test_numbers_come_back_bit_for_bit(value):
    assert float(_read(render([_table(std=value)]))[0]["miou_std"]) == value
