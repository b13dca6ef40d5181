"""The whole kit on one method."""

from semibench.harness.conformance.checks import CHECKS
from semibench.harness.conformance.examine import examine
from semibench.harness.conformance.processes import in_two_processes
from semibench.harness.conformance.report import Report
from semibench.harness.conformance.subject import Subject


def check(name: str, *, is_quick: bool) -> Report:
    """Return the findings on the method called ``name``; a quick check starts no processes.

    Raises UsageError when there is no such method.
    """
    subject = Subject.find(name)
    findings = [examine(subject, check) for check in CHECKS]
    return Report(method=name, findings=(*findings, *([] if is_quick else in_two_processes([name]))))
