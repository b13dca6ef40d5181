"""Reports: a verdict, and a row for each promise."""

from semibench.harness.conformance.report import Finding, Report


def report(*outcomes: str) -> Report:
    findings = [
        Finding.model_validate(
            {"check": f"check{number}", "promise": "a | b", "outcome": outcome, "detail": "d", "seconds": 0.1}
        )
        for number, outcome in enumerate(outcomes)
    ]
    return Report(method="mine", findings=tuple(findings))


def test_a_refused_promise_is_no_broken_one() -> None:
    assert report("kept", "refused").broken == ()
    assert "\n\nConformant.\n\n" in report("kept", "refused").to_markdown()


def test_broken_promises_are_named_before_the_table() -> None:
    assert "Not conformant: check1, check2." in report("kept", "broken", "broken").to_markdown()


def test_each_promise_is_a_row_whose_text_cannot_break_the_table() -> None:
    lines = report("kept", "refused").to_markdown().splitlines()
    assert lines[-1] == r"| check1 | refused | a \| b | d |"
    assert len([line for line in lines if line.startswith("| check")]) == 3


def test_a_report_reads_back_from_its_json() -> None:
    written = report("broken")
    assert Report.model_validate_json(written.model_dump_json()) == written
