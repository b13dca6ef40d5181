r"""LaTeX: a document with one booktabs table a protocol; it compiles as it is, and its tables can be copied into a paper."""

import re
from collections.abc import Sequence

from semibench.reports.render.table import Cell, Column, Table

_HEAD = r"""\documentclass{article}
\usepackage[a4paper,margin=2cm]{geometry}
\usepackage{booktabs,float,graphicx,siunitx,xcolor}
\sisetup{mode=text,reset-text-series=false,separate-uncertainty=true,retain-explicit-plus=true,group-digits=none}
% a table wider than the text is scaled down to it
\newcommand{\fitted}[1]{\sbox0{#1}\ifdim\wd0>\linewidth\resizebox{\linewidth}{!}{\usebox0}\else\usebox0\fi}
\begin{document}
"""
_TAIL = "\\end{document}\n"
_EMPHASIS = {"none": "{}", "best": r"\textbf{{{}}}", "second": r"\underline{{{}}}", "muted": r"\textcolor{{gray}}{{{}}}"}
_WRITTEN = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedblright{}",
    "`": r"\`{}",
    "[": "{[}",  # at the start of a row it would be an argument of the line before
    "*": "{*}",  # likewise
    "±": r"$\pm$",
    "×": r"$\times$",  # noqa: RUF001 - the sign itself is meant
    "−": "$-$",  # noqa: RUF001 - of negative differences
    "–": r"\textendash{}",  # noqa: RUF001 - what tables show for no value
    **{character: f"\\{character}" for character in "{}$&#%_"},
}
_ROWS = 40  # of a table on one page, with room for its heading and a caption
_KEPT = re.compile(r"[ -~À-ÏÑ-ÖØ-Ýß-ïñ-öø-ýÿ]")  # what the default fonts of every LaTeX have
_NUMBER = re.compile(r"[+\N{MINUS SIGN}]?\d+(\.\d+)?( ± \d+(\.\d+)?)?", re.ASCII)
_LIGATURE = re.compile(r"([-'])(?=\1)")  # two hyphens would become a dash, two apostrophes a quotation mark


def render(tables: Sequence[Table]) -> str:
    """Return a whole document."""
    return _HEAD + "\n".join(map(_table, tables)) + _TAIL


def escape(text: str) -> str:
    r"""Return ``text`` so that LaTeX prints it as it is; a character that its fonts lack is printed as its number.

    >>> escape("weak_strong 50 % ± 1 中")
    'weak\\_strong 50 \\% $\\pm$ 1 {[}U+4E2D]'
    """
    return _LIGATURE.sub(r"\1{}", "".join(map(_character, " ".join(text.split()))))


def _character(character: str) -> str:
    if character in _WRITTEN:
        return _WRITTEN[character]
    return character if _KEPT.fullmatch(character) else f"{{[}}U+{ord(character):04X}]"


def _table(table: Table) -> str:
    """Return a table in as many parts as pages it takes, and its notes, which may run over pages as text does."""
    total = len(table.rows)
    starts = range(0, max(total, 1), _ROWS)
    parts = [table.rows[start : start + _ROWS] for start in starts]
    places = [f" (rows {start + 1} to {start + len(part)} of {total})" for start, part in zip(starts, parts, strict=True)]
    lines = [
        *(
            line
            for place, part in zip(places, parts, strict=True)
            for line in _part(table.title + place * (len(parts) > 1), table.columns, part)
        ),
        r"{\footnotesize\raggedright",
        *(rf"{escape(note)}\par" for note in table.notes),
        r"}\medskip",
        "",
    ]
    return "\n".join(lines)


def _part(title: str, columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> list[str]:
    alignment = "".join(column.align[0] for column in columns)
    return [
        r"\begin{table}[H]",
        r"\centering",
        rf"\caption{{{escape(title)}}}\smallskip",
        r"\fitted{%",
        rf"\begin{{tabular}}{{{alignment}}}",
        r"\toprule",
        _row([escape(column.header) for column in columns]),
        r"\midrule",
        *(_row([_cell(*pair) for pair in zip(row, columns, strict=True)]) for row in rows),
        r"\bottomrule",
        r"\end{tabular}}",
        r"\end{table}",
    ]


def _row(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def _cell(cell: Cell, column: Column) -> str:
    write = _number if column.align == "right" else escape
    return _EMPHASIS[cell.emphasis].format(write(cell.text))


def _number(text: str) -> str:
    """Return a number, or mean and deviation, in the notation of siunitx; any other text escaped."""
    if not _NUMBER.fullmatch(text):
        return escape(text)
    written = text.replace("±", r"\pm").replace("\N{MINUS SIGN}", "-")
    return rf"\num{{{written}}}"
