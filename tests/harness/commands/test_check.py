"""semibench check: a report, and an exit code for scripts."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from semibench.harness.conformance import kit
from semibench.harness.conformance.report import Finding, Report

Call = Callable[..., tuple[int, str, str]]


def test_a_conformant_method_gives_a_report_and_zero(call: Call) -> None:
    code, shown, _ = call("check", "supervised", "--quick")
    assert code == 0
    assert shown.startswith("# Conformance of supervised\n\nConformant.\n")
    assert "| resume | kept |" in shown
    assert "| processes |" not in shown


def test_the_report_is_also_json(call: Call) -> None:
    content = json.loads(call("check", "supervised", "--quick", "--json")[1])
    assert content["method"] == "supervised"
    assert {finding["outcome"] for finding in content["findings"]} == {"kept"}


def test_a_broken_promise_is_reported_and_makes_the_exit_code_three(
    call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    finding = Finding(check="void", promise="p", outcome="broken", detail="why", seconds=0.0)
    report = Report(method="mine", findings=(finding,))
    monkeypatch.setattr(kit, "check", lambda name, **_: report)
    file = tmp_path / "report.md"
    code, _, errors = call("check", "mine", "--output", file)
    assert code == 3
    assert "method 'mine' does not keep: void" in errors
    assert "why" in file.read_text()


def test_a_name_that_is_no_method_is_an_error_with_the_nearest(call: Call) -> None:
    code, _, errors = call("check", "fixmach", "--quick")
    assert code == 2
    assert "nearest: fixmatch" in errors
