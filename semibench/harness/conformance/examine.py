"""From a check to a finding."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch

from semibench.errors import MissingPackageError, SemibenchError, UsageError
from semibench.harness.conformance.checks import Check
from semibench.harness.conformance.demands import BrokenPromiseError
from semibench.harness.conformance.report import Finding
from semibench.harness.conformance.subject import Subject


def examine(subject: Subject, check: Check) -> Finding:
    """Return whether a method keeps a promise; what it raises instead is the finding.

    Raises MissingPackageError where the method needs a package that is not there.
    """
    began = time.perf_counter()
    outcome: Literal["kept", "refused", "broken"] = "kept"
    detail = ""
    try:
        if not (subject.method_class.trains or check.of_every):
            raise UsageError("it trains nothing", "This promise is about training.")
        with torch.random.fork_rng(devices=[]), _one_thread():
            check.verify(subject)
    except BrokenPromiseError as error:
        outcome, detail = "broken", str(error)
    except MissingPackageError:
        raise  # nothing was found out about the method
    except SemibenchError as error:
        outcome, detail = "refused" if check.may_refuse or not subject.method_class.trains else "broken", str(error)
    except Exception as error:  # a method may raise anything
        outcome, detail = "broken", f"{type(error).__name__}: {error}"
    seconds = round(time.perf_counter() - began, 3)
    return Finding(check=check.name, promise=check.promise, outcome=outcome, detail=detail, seconds=seconds)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute on one core: with networks this small, threads wait for each other longer than they compute."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
