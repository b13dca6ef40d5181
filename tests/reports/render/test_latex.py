"""LaTeX: a document that compiles, and prints what the table says."""

import re
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semibench.reports.render.latex import escape, render
from semibench.reports.render.table import Cell, Column, Table

COLUMNS = (Column("method", "Method", "left", ("method",)), Column("miou", "mIoU (%)", "right", ("miou_mean", "miou_std")))
PRINTED = {
    r"\textbackslash{}": "\\",
    r"\textasciitilde{}": "~",
    r"\textasciicircum{}": "^",
    r"\textless{}": "<",
    r"\textgreater{}": ">",
    r"\textbar{}": "|",
    r"\textquotedblright{}": '"',
    r"\`{}": "`",
    r"\textendash{}": "\N{EN DASH}",
    r"$\pm$": "±",
    r"$\times$": "\N{MULTIPLICATION SIGN}",
    "$-$": "\N{MINUS SIGN}",
    "{[}": "[",
    "{*}": "*",
}


def _table(*names):
    rows = [(Cell(name, (name,)), Cell("51.23 ± 0.50", (0.5123, 0.005), "best")) for name in names]
    return Table("voc-92_x", {}, COLUMNS, tuple(rows), ("50 % of it.",))


def _printed(latex):
    """Read escaped text as LaTeX would: the slow obvious way, command by command."""
    text = ""
    while latex:
        command = next((command for command in PRINTED if latex.startswith(command)), None)
        if command is not None:
            text, latex = text + PRINTED[command], latex[len(command) :]
        elif re.match(r"\\[{}$&#%_]", latex):
            text, latex = text + latex[1], latex[2:]
        elif latex.startswith("{}"):
            latex = latex[2:]
        else:
            assert latex[0] not in "\\{}$&#%_~^"
            text, latex = text + latex[0], latex[1:]
    return text


def test_rows_are_set_with_booktabs():
    latex = render([_table("weak_strong")])
    assert r"weak\_strong & \textbf{51.23 $\pm$ 0.50} \\" in latex
    assert r"\caption{voc-92\_x}" in latex
    assert "\\toprule\nMethod & mIoU (\\%) \\\\\n\\midrule\n" in latex


def test_neither_two_hyphens_nor_two_apostrophes_become_one_sign():
    assert escape("a--b''c---") == "a-{}-b'{}'c-{}-{}-"


def test_a_character_that_the_fonts_lack_is_printed_as_its_number():
    assert escape("é中") == "é{[}U+4E2D]"


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126) | st.sampled_from("\\{}$&#%_~^-,±Äßéÿ")))
def test_latin_text_is_printed_as_it_is(text):
    assert _printed(escape(text)) == " ".join(text.split())


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_a_document_of_hostile_names_compiles_as_it_is(tmp_path):
    printable = "".join(map(chr, [*range(32, 127), *range(160, 256)]))
    names = [printable, r"\input{/etc/passwd}", "$x^2$", "%", "a & b", "\\\\", "#1", "中文 😀", "[x]", "*", "", "wide " * 60]
    (tmp_path / "table.tex").write_text(render([_table(*names)] * 30), encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "table.tex"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False)
    assert run.returncode == 0, run.stdout[-2000:]
    assert "Overfull" not in run.stdout
