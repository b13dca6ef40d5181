"""How the user and the system ask a run to end: by signals, after which the same command continues it.

Ctrl-C is the user's wish, with the exit code of a shell. SIGTERM and SIGUSR1 are the system's, such as Slurm's warning before
a time limit, with an exit code of its own, so that a batch script can put the job back into the queue.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from semibench.errors import SemibenchError

OF_THE_SYSTEM = (signal.SIGTERM, signal.SIGUSR1)
CONTINUE = "Give the same command again to continue; nothing is lost."


class InterruptedRunError(SemibenchError):
    """The user asked the run to stop (exit code 130, as a shell's for Ctrl-C)."""

    exit_code = 130


class PreemptedRunError(InterruptedRunError):
    """The system asked the run to stop (exit code 75, EX_TEMPFAIL of sysexits.h: worth another try)."""

    exit_code = 75


class Signalled(KeyboardInterrupt):
    """One of the system's signals, raised where the process stands: as Ctrl-C, so that no ``except Exception`` takes it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def stopped(number: int, what: str) -> InterruptedRunError:
    """Return the error of a run that a signal ended; ``{}`` in ``what`` is the name of the signal."""
    kind = PreemptedRunError if number in OF_THE_SYSTEM else InterruptedRunError
    return kind(what.format(signal.Signals(number).name), CONTINUE)


def number_of(error: KeyboardInterrupt) -> int:
    """Return the signal that an interrupt stands for."""
    return error.number if isinstance(error, Signalled) else signal.SIGINT


@contextmanager
def ending_at_once(what: str) -> Iterator[None]:
    """Let the system's signals end what is done inside as Ctrl-C does, as an error that says ``what`` they ended."""
    former = {number: signal.signal(number, _raise) for number in OF_THE_SYSTEM}
    try:
        yield
    except Signalled as error:
        raise stopped(error.number, what) from error
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _raise(number: int, frame: FrameType | None) -> None:
    raise Signalled(number)
