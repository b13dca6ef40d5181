"""Texts of strangers: nothing in them commands a terminal, turns what is read, or begins a line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semibench.plain import line, message, visible


@pytest.mark.parametrize(
    "character", ["\x00", "\x1b", "\x7f", "\x9b", "\u061c", "\u200e", "\u202e", "\u2066", "\ud800"], ids=ascii
)
def test_what_commands_a_terminal_or_turns_text_is_replaced(character):
    assert visible(f"a{character}b") == "a\N{REPLACEMENT CHARACTER}b"


@given(st.text())
def test_a_line_is_one_line_and_can_be_printed(text):
    assert len(line(text).splitlines()) <= 1
    line(text).encode()


def test_what_needs_no_change_has_none():
    assert (
        message("it's  a name: \N{GREEK SMALL LETTER PI} [1] voc-92@hash0")
        == "it's  a name: \N{GREEK SMALL LETTER PI} [1] voc-92@hash0"
    )


def test_a_message_holds_no_command_of_a_workflow():
    assert "##[" not in message("##[error]a ###[b")
