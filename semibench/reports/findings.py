"""What was found when results were checked: lines for people, JUnit XML and GitHub's annotations for machines."""

import re
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree  # written here, never read: what is read as XML may be hostile

from semibench.plain import message, visible
from semibench.reports.check import Finding

_NOT_XML = re.compile(r"[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def describe(findings: Sequence[Finding]) -> str:
    """Return a line for each problem."""
    return "".join(f"{message(f'{_shown(one.path)}: {one.check}: {one.problem}')}\n" for one in findings if one.problem)


def to_junit(findings: Sequence[Finding]) -> str:
    """Return JUnit XML: a test case for each check of each result."""
    failed = sum(bool(one.problem) for one in findings)
    suite = ElementTree.Element("testsuite", name="semibench check-results", tests=str(len(findings)), failures=str(failed))
    for one in findings:
        case = ElementTree.SubElement(suite, "testcase", classname=_xml(_shown(one.path.parent)), name=_xml(one.check))
        if one.problem:
            ElementTree.SubElement(case, "failure", message=_xml(one.problem)).text = _xml(f"{_shown(one.path)}: {one.problem}")
    ElementTree.indent(suite)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ElementTree.tostring(suite, encoding="unicode")}\n'


def to_github(findings: Sequence[Finding]) -> str:
    r"""Return a workflow command for each problem, which GitHub shows at the file.

    >>> to_github([Finding(Path("runs/a,b/result.json"), "steps", "90 % is\nnot all")])
    '::error file=runs/a%2Cb/result.json,title=steps::90 %25 is not all\n'
    """
    lines = (
        f"::error file={_property(_shown(one.path))},title={_property(one.check)}::{_command(one.problem)}\n"
        for one in findings
        if one.problem
    )
    return "".join(lines)


def _shown(path: Path) -> str:
    """Return a path as seen from the working folder, as it is where it lies elsewhere."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _xml(text: str) -> str:
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", visible(text))


def _command(text: str) -> str:
    return message(text).replace("%", "%25")


def _property(text: str) -> str:
    return _command(text).replace(":", "%3A").replace(",", "%2C")
