"""Markdown: what a Markdown parser reads is what the table says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from semibench.plain import visible
from semibench.reports.render.markdown import escape, render
from semibench.reports.render.table import Cell, Column, Table

COLUMNS = (Column("method", "Method", "left", ("method",)), Column("miou", "mIoU (%)", "right", ("miou_mean", "miou_std")))
PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def _table(name="fixmatch", emphasis="best"):
    row = (Cell(name, (name,)), Cell("51.23 ± 0.50", (0.5123, 0.005), emphasis))
    return Table("voc-92", {}, COLUMNS, (row,), ("A note.",))


def _cells(markdown):
    """Return the texts of the table's body as a parser sees them; markup inside a cell is an error."""
    cells, is_body = [], False
    for token in PARSER.parse(markdown):
        is_body = token.type == "tbody_open" or (is_body and token.type != "tbody_close")
        if token.type == "inline" and is_body:
            texts = [child for child in token.children if child.content not in ("<span>", "</span>")]
            assert {child.type for child in texts} <= {"text", "text_special"}
            cells.append("".join(child.content for child in texts))
    return cells


def test_the_best_is_bold_and_the_second_underlined():
    assert "**51.23 ± 0.50**" in render([_table(emphasis="best")])
    assert "<ins>51.23 ± 0.50</ins>" in render([_table(emphasis="second")])


def test_a_table_is_written_as_github_reads_it():
    assert render([_table(emphasis="none")]) == (
        "### voc-92\n\n| Method   |     mIoU (%) |\n|:---------|-------------:|\n| fixmatch | 51.23 ± 0.50 |\n\n- A note.\n"
    )


def test_names_with_underscores_stay_readable():
    assert escape("weak_strong") == "weak_strong"


@pytest.mark.parametrize(
    "name", ["a|b", "_a_", "<script>", "[a](http://b)", "`a`", "&lt;", "a\\|b", "~~a~~", "__a__b", "a\nb", "007"]
)
def test_hostile_names_are_shown_as_they_are(name):
    assert _cells(render([_table(name, "none")]))[0] == " ".join(name.split())


@pytest.mark.parametrize(("character", "text"), [("$", "$x^2$ costs 5 $"), ("@", "@someone, (@another) or _@third")])
def test_what_github_reads_on_its_own_stands_in_an_element_of_its_own(character, text):
    written = escape(text)
    assert written.count(f"<span>{character}</span>") == written.count(character) == text.count(character)
    assert written.replace("<span>", "").replace("</span>", "").replace("\\", "") == text


def test_the_name_of_a_protocol_calls_nobody():
    assert escape("voc-92@hash0") == "voc-92@hash0"


def test_no_control_character_and_no_mark_that_turns_text_is_written():
    assert escape("a\x1b[2J\u202eb") == "a\N{REPLACEMENT CHARACTER}\\[2J\N{REPLACEMENT CHARACTER}b"


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=12).map(lambda text: "x" + text + "x"))
def test_any_name_is_shown_as_it_is(name):
    assert _cells(render([_table(name, "none")])) == [visible(" ".join(name.split())), "51.23 ± 0.50"]
