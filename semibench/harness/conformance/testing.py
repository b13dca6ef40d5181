"""The kit as tests of pytest, for any package that has methods.

from semibench.harness.conformance.testing import conformance_test

test_my_method_conforms = conformance_test("my_method")
"""

from collections.abc import Callable

import pytest

from semibench.errors import MissingPackageError
from semibench.harness.conformance.checks import CHECKS, Check
from semibench.harness.conformance.examine import examine
from semibench.harness.conformance.processes import in_two_processes
from semibench.harness.conformance.subject import Subject


def conformance_test(*names: str) -> Callable[[str, Check], None]:
    """Return one test for each method and each check of the kit that needs no processes."""

    @pytest.mark.parametrize("name", names)
    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
    def test_conforms(name: str, check: Check) -> None:
        try:
            finding = examine(Subject.find(name), check)
        except MissingPackageError as missing:
            pytest.skip(str(missing))
        assert finding.outcome != "broken", finding.detail

    return test_conforms


def processes_test(*names: str) -> Callable[[], None]:
    """Return one test of all methods in two processes."""

    def test_trains_alike_in_two_processes() -> None:
        present = [name for name in names if _is_present(name)]
        findings = dict(zip(present, in_two_processes(present), strict=True))
        assert {name: finding.detail for name, finding in findings.items() if finding.outcome == "broken"} == {}

    return test_trains_alike_in_two_processes


def _is_present(name: str) -> bool:
    """Return whether the packages that a method needs are."""
    try:
        Subject.find(name).build()
    except MissingPackageError:
        return False
    return True
