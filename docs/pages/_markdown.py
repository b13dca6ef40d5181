"""Markdown that the pages are built of."""

import urllib.parse
from collections.abc import Iterable, Sequence

from semibench.protocols import sources
from semibench.reports.render.markdown import escape

SITE = "https://github.com"


def text(value: object) -> str:
    """Return a value so that Markdown shows it as it is, an empty one as a dash."""
    return escape(str(value)) or "-"


def code(value: object) -> str:
    """Return a value in the type of programs; it holds no backtick."""
    return f"`{value}`".replace("|", "\\|")  # a pipe ends a cell even there


def table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of cells that are Markdown already."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (headers, ["---"] * len(headers), *rows))


def bullets(items: Iterable[str]) -> str:
    """Return a list of items that are Markdown already."""
    return "\n".join(f"- {item}" for item in items)


def folded(summary: str, body: str) -> str:
    """Return a body that a reader unfolds."""
    return f"<details><summary>{text(summary)}</summary>\n\n{body}\n\n</details>"


def blocks(*parts: str) -> str:
    """Return the parts one below the other, without those that are empty."""
    return "\n\n".join(part for part in parts if part)


def anchor(heading: str) -> str:
    """Return what a code-hosting site calls a heading in links.

    >>> anchor("voc-92@classic")
    '#voc-92classic'
    """
    kept = (letter for letter in heading.casefold() if letter.isalnum() or letter in "-_ ")
    return "#" + "".join(kept).replace(" ", "-")


def source(value: str) -> str:
    """Return where a list comes from, with links to the files of public repositories."""
    found = sources.locate(value)
    if found is None:
        return text(value)
    links = list(map(_link, found.files))
    return links[0] if found.first is None else f"the first {found.first:,} of {links[1]} after the permutation {links[0]}"


def _link(file: sources.File) -> str:
    path = urllib.parse.quote(file.path)
    return f"[{text(f'{file.repository}: {file.path}')}]({SITE}/{file.repository}/blob/{file.commit}/{path})"
