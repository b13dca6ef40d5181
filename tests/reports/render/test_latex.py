"""LaTeX: a document that compiles, and prints what the table says."""

import re
import shutil
import subprocess
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semibench.reports import baseline, score_columns
from semibench.reports import columns as columns_module
from semibench.reports.compare import Selection, build
from semibench.reports.render.latex import escape, render
from semibench.reports.render.table import Cell, Column, Table
from semibench.reports.store import Collection

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
    assert r"weak\_strong & \textbf{\num{51.23 \pm 0.50}} \\" in latex
    assert r"\caption{voc-92\_x}" in latex
    assert "\\toprule\nMethod & mIoU (\\%) \\\\\n\\midrule\n" in latex


def test_neither_two_hyphens_nor_two_apostrophes_become_one_sign():
    assert escape("a--b''c---") == "a-{}-b'{}'c-{}-{}-"


def test_a_character_that_the_fonts_lack_is_printed_as_its_number():
    assert escape("é中") == "é{[}U+4E2D]"


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126) | st.sampled_from("\\{}$&#%_~^-,±Äßéÿ")))
def test_latin_text_is_printed_as_it_is(text):
    assert _printed(escape(text)) == " ".join(text.split())


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("51.23", r"\num{51.23}"),
        ("+4.63 ± 0.20", r"\num{+4.63 \pm 0.20}"),
        ("\N{MINUS SIGN}0.50", r"\num{-0.50}"),
        ("<0.001", r"\textless{}0.001"),
        ("[+3.81, +10.88]", "{[}+3.81, +10.88]"),
        ("5\\input", r"5\textbackslash{}input"),
        ("\N{ARABIC-INDIC DIGIT FIVE}", "{[}U+0665]"),
    ],
)
def test_a_number_is_set_by_siunitx_and_anything_else_is_text(text, latex):
    table = Table("x", {}, COLUMNS, ((Cell("m", ("m",)), Cell(text, (None, None))),), ())
    assert f"m & {latex} \\\\\n" in render([table])


def test_a_method_whose_name_is_a_number_is_text():
    assert r"\num" not in render([_table("51.23")]).split("&")[-2].splitlines()[-1]


def _is_there(package):
    if shutil.which("pdflatex") is None or shutil.which("kpsewhich") is None:
        return False
    return subprocess.run(["kpsewhich", package], capture_output=True, check=False).returncode == 0


NEEDS_TEX = pytest.mark.skipif(
    not all(map(_is_there, ("booktabs.sty", "siunitx.sty"))), reason="a TeX with booktabs and siunitx is not installed"
)


def _compile(latex, folder):
    (folder / "table.tex").write_text(latex, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "table.tex"]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", check=False)
    assert run.returncode == 0, run.stdout[-2000:]
    assert "Overfull" not in run.stdout
    return (folder / "table.pdf").read_bytes()


def test_a_long_table_is_set_in_parts_that_each_have_the_heading():
    latex = render([_table(*(f"method {row}" for row in range(81)))])
    captions = re.findall(r"\\caption{(.*)}", latex)
    assert captions == [rf"voc-92\_x (rows {rows} of 81)" for rows in ("1 to 40", "41 to 80", "81 to 81")]
    assert latex.count("Method & mIoU (\\%)") == 3
    assert latex.count("50 \\% of it.") == 1
    assert [latex.count(f"method {row} &") for row in range(81)] == [1] * 81


def test_a_table_without_rows_has_its_heading():
    assert render([_table()]).count("Method & mIoU (\\%)") == 1


@NEEDS_TEX
@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="pdftotext is not installed")
@pytest.mark.parametrize("note", ["A note.", "A long note. " * 900], ids=["short note", "a note of pages"])
def test_every_row_of_a_long_table_reaches_the_page(tmp_path, note):
    table = _table(*(f"Äg row{row:03}." for row in range(205)))
    _compile(render([replace(table, notes=(note, "The last note."))] * 2), tmp_path)
    command = ["pdftotext", "-layout", "table.pdf", "-"]
    text = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert [text.count(f"row{row:03}.") for row in range(205)] == [2] * 205
    assert len(re.findall(r"51\.23 +± 0\.50", text)) == 2 * 205
    assert text.count("The last note.") == 2


@NEEDS_TEX
def test_a_document_of_hostile_names_compiles_as_it_is(tmp_path):
    printable = "".join(map(chr, [*range(32, 127), *range(160, 256)]))
    names = [printable, r"\input{/etc/passwd}", "$x^2$", "%", "a & b", "\\\\", "#1", "中文 😀", "[x]", "*", "", "wide " * 60]
    assert _compile(render([_table(*names)] * 30), tmp_path).startswith(b"%PDF")


@NEEDS_TEX
def test_a_table_with_every_column_compiles(make_result, tmp_path):
    results = [make_result(method=method, seed=seed) for method in ("fixmatch", "supervised") for seed in range(3)]
    of_classes = score_columns.CLASSES, score_columns.BOUNDARIES
    columns = (*columns_module.COLUMNS, *score_columns.COLUMNS, *baseline.KEYS, *of_classes, score_columns.IMAGES)
    tables = build(Collection(tuple(results)), Selection(columns=columns, baseline="supervised")).tables
    assert _compile(render(tables), tmp_path).startswith(b"%PDF")
