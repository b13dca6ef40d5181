"""What a conformance check found, as a record and as Markdown."""

from typing import Literal

from semibench.records import Record
from semibench.reports.render.markdown import escape


class Finding(Record):
    """One promise of a method, and whether it is kept."""

    check: str
    promise: str
    outcome: Literal["kept", "refused", "broken"]  # refused: by an error that names the constraint
    detail: str = ""  # the error, in its own words
    seconds: float


class Report(Record):
    """All findings on one method."""

    method: str
    findings: tuple[Finding, ...]

    @property
    def broken(self) -> tuple[str, ...]:
        """Names of the checks whose promise is broken."""
        return tuple(finding.check for finding in self.findings if finding.outcome == "broken")

    def to_markdown(self) -> str:
        """Return a heading, a verdict and a table with one row for each promise."""
        verdict = f"Not conformant: {', '.join(self.broken)}." if self.broken else "Conformant."
        rows = "\n".join(
            f"| {finding.check} | {finding.outcome} | {escape(finding.promise)} | {escape(finding.detail)} |"
            for finding in self.findings
        )
        heading = f"# Conformance of {escape(self.method)}\n\n{verdict}"
        return f"{heading}\n\n| check | outcome | promise | detail |\n| --- | --- | --- | --- |\n{rows}\n"
