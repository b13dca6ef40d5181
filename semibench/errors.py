"""One family of errors: what was wrong, with the value, and what to do next."""

from collections.abc import Iterable
from difflib import get_close_matches


class SemibenchError(Exception):
    """An error meant for the user: one paragraph, naming the value and the next step.

    Subclasses differ only in the exit code that the command line returns for them.
    """

    exit_code = 1

    def __init__(self, what: str, next_step: str) -> None:
        super().__init__(f"{what}. {next_step}")
        self.what = what
        self.next_step = next_step

    def __reduce__(self) -> tuple[type["SemibenchError"], tuple[str, str]]:
        """Survive pickling, so that a data-loading worker can raise it in the main process."""
        return type(self), (self.what, self.next_step)


class RunFailedError(SemibenchError):
    """A run or a check did not succeed (exit code 1)."""


class UsageError(SemibenchError):
    """A command, a name or a key is wrong (exit code 2)."""

    exit_code = 2


class MissingPackageError(UsageError):
    """A part needs a package that is optional, and not installed here (exit code 2)."""


class NotConformantError(SemibenchError):
    """What was asked for would break comparability (exit code 3)."""

    exit_code = 3


class DataError(SemibenchError):
    """Files are missing, unreadable or hold what they must not hold (exit code 4)."""

    exit_code = 4


def unknown(kind: str, name: str, known: Iterable[str], next_step: str) -> UsageError:
    """Build the error for a name that does not exist, with the nearest ones that do.

    >>> unknown("method", "fixmach", ["fixmatch", "supervised"], "Run 'semibench list methods'.").what
    "method 'fixmach' not found; nearest: fixmatch"
    """
    candidates = sorted(known)
    nearest = get_close_matches(name, candidates, n=3, cutoff=0.5) or candidates[:6]
    hint = f"; nearest: {', '.join(nearest)}" if nearest else ""
    return UsageError(f"{kind} '{name}' not found{hint}", next_step)
