"""Every data set: folders, classes, subsets and archives."""

import inspect
import re
import textwrap

from docs.pages._markdown import anchor, blocks, bullets, code, folded, source, table, text
from semibench import plugins
from semibench.protocols import names
from semibench.protocols.archive import ALGORITHMS, Archive, archives
from semibench.protocols.datasets.base import Dataset

INTRODUCTION = """# Data sets

Each data set is read in the folders of its official download; below is said how its masks become classes. The partitions of its
training images are on [the page of protocols](protocols.md).

    semibench data fetch DATASET           archives, checked and unpacked; their terms are shown first
    semibench data link DATASET FOLDER     a copy that exists
    semibench data prepare DATASET         index masks where the annotations are none
    semibench data verify DATASET          every image, mask and list

[Getting data](data.md) shows what they print. No data set is part of this repository, and each has terms of its own. In the
masks that methods and scores see, the value of a pixel is its class, and 255 is void, which neither trains nor counts.
A subset "numbered X" has the ids from X on."""


def page() -> str:
    """Return the page."""
    summaries = plugins.summaries(plugins.DATASET)
    contents = bullets(f"[{name}]({anchor(name)}): {prose(summary)}" for name, summary in summaries.items())
    return blocks(INTRODUCTION, contents, *map(_section, summaries)) + "\n"


_PLACE = "\ue000"  # of a piece of code: a character that nobody writes


def prose(paragraph: str) -> str:
    r"""Return a paragraph of a docstring, in which double backticks enclose code, as a line of Markdown.

    >>> prose("``masks/ID.png`` hold 0..80, *not* 1..90::")
    '`masks/ID.png` hold 0..80, \\*not\\* 1..90:'
    """
    parts = paragraph.replace("::", ":").split("``")
    line = text(_PLACE.join(parts[::2]))  # the code between them must not be escaped
    for span in parts[1::2]:
        line = line.replace(_PLACE, code(" ".join(span.split())), 1)
    return line


def _section(name: str) -> str:
    kind = plugins.find_class(plugins.DATASET, name, Dataset)
    first, *others = (inspect.getdoc(inspect.getmodule(kind)) or "").split("\n\n")
    return blocks(
        f"## {name}",
        prose(first),
        f"{prose(inspect.getdoc(kind) or '')} {_way(kind, name)}",
        *map(_paragraph, others),
        folded(f"{len(kind.class_names)} classes and their colours", _classes(kind)),
        _subsets(name),
        _archives(name),
    )


def _paragraph(paragraph: str) -> str:
    if paragraph.startswith(" "):
        return f"```text\n{textwrap.dedent(paragraph)}\n```"
    if paragraph.startswith("- "):
        return bullets(map(prose, re.split(r"\n- ", paragraph.removeprefix("- "))))
    return prose(paragraph)


def _way(kind: type[Dataset], name: str) -> str:
    if kind.synthetic:
        return "There is nothing to get."
    fetch, link = code(f"semibench data fetch {name}"), code(f"semibench data link {name} FOLDER")
    if any(archive.urls for archive in archives(name)):
        return f"Get it with {fetch}."
    if any(archive.digest for archive in archives(name)):
        return f"Get its archives by hand, which {fetch} then checks and unpacks, or name a copy with {link}."
    return f"Get it by hand and name it with {link}."


def _classes(kind: type[Dataset]) -> str:
    colors = ["#{:02x}{:02x}{:02x}".format(*color) for color in kind.palette]
    rows = zip(map(str, range(len(colors))), map(text, kind.class_names), map(code, colors), strict=True)
    return table(("Class", "Name", "Colour"), rows)


def _subsets(name: str) -> str:
    """Return the pinned subsets, and the public lists that they equal."""
    subsets = names.documents().get(name, {}).get("subsets")
    if not subsets:
        return ""
    rows = [(code(key), f"{pinned['count']:,}", code(pinned["sha256"])) for key, pinned in subsets.items()]
    lists = bullets(f"{code(key)}: {source(pinned['source'])}" for key, pinned in subsets.items() if "source" in pinned)
    return blocks(f"### Subsets of {name}", table(("Subset", "Images", "SHA-256 of the sorted ids"), rows), lists)


def _archives(name: str) -> str:
    known = archives(name)
    return blocks(f"### Archives of {name}", *map(_archive, known)) if known else ""


def _archive(archive: Archive) -> str:
    size = f"{archive.size:,} bytes" if archive.size else "exact size not known"
    by_name = "; only where it is asked for by name (`--archive`)" if archive.optional else ""
    hosts = ", ".join(dict.fromkeys(url.split("/")[2] for url in archive.urls))
    lines = [
        f"{size}; holds {', '.join(map(code, archive.holds))}",
        f"{f'fetched from {text(hosts)}' if hosts else 'got by hand'}{by_name}",
        text(archive.terms),
        f"<{archive.page}>",
        *(f"{algorithm} {code(value)}" for algorithm in ALGORITHMS if (value := getattr(archive, algorithm))),
    ]
    return blocks(f"**{text(archive.name)}**: {text(archive.about)}", bullets(lines))
