"""What 'semibench protocol' prints, as text."""

from collections.abc import Mapping, Sequence
from typing import Any

from semibench.protocols.difference import ClassCounts, Difference, Overlap
from semibench.protocols.verify_lists import Finding


def describe(description: Mapping[str, Any]) -> str:
    """Return a description line by line; tables and lists are indented below their key."""
    return "\n".join(_lines(description, ""))


def findings(found: Sequence[Finding]) -> str:
    """Return a line for each list, what is wrong with it, and how many there are of each kind."""
    rows = [(finding.owner, finding.kind, _size(finding.size), _digest(finding), _verdict(finding)) for finding in found]
    wrong, absent = sum(bool(finding.problem) for finding in found), sum(finding.is_absent for finding in found)
    summary = f"{len(found) - wrong - absent} lists accepted, {wrong} wrong, {absent} not at hand"
    return "\n".join([*_columns(rows), summary])


def difference(names: Sequence[str], compared: Difference, counts: Sequence[ClassCounts]) -> str:
    """Return two protocols side by side."""
    rows = [("", *names, "common")]
    rows += [_overlap("labelled", compared.labeled)]
    rows += [_overlap("unlabelled", compared.unlabeled)]
    if compared.fine:
        rows += [_overlap("finely labelled", compared.fine), ("share of fine masks", *_shares(compared), "")]
    if counts:
        rows += [("images on disk", *(str(count.images_on_disk) for count in counts), "")]
        rows += [(name, *(str(count.images_per_class[name]) for count in counts), "") for name in counts[0].images_per_class]
    return "\n".join(_columns(rows))


def _lines(value: Mapping[str, Any], indent: str) -> list[str]:
    lines = []
    for key, inner in value.items():
        if isinstance(inner, Mapping):
            lines += [f"{indent}{key}", *_lines(inner, f"{indent}  ")]
        elif isinstance(inner, list):
            lines.append(f"{indent}{key}: {', '.join(map(str, inner)) or 'none'}")
        else:
            lines.append(f"{indent}{key}: {inner}")
    return lines


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _size(size: int | None) -> str:
    return "" if size is None else str(size)


def _digest(finding: Finding) -> str:
    return finding.found or ""


def _verdict(finding: Finding) -> str:
    return finding.problem or ("not at hand" if finding.is_absent else "ok")


def _overlap(title: str, overlap: Overlap | None) -> tuple[str, ...]:
    if overlap is None:
        return (title, "not at hand", "", "")
    return (title, *map(str, overlap))


def _shares(compared: Difference) -> tuple[str, str]:
    if compared.fine is None:
        return ("", "")
    labeled, fine = compared.labeled, compared.fine
    return f"{100 * fine.first / labeled.first:.1f} %", f"{100 * fine.second / labeled.second:.1f} %"
