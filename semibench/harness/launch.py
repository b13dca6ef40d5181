"""From orders to results: in this process, in several that are started here, or as one of those of a launcher."""

import os
import pickle
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import active_children
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any

from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException, start_processes

from semibench.errors import RunFailedError, SemibenchError, UsageError
from semibench.harness import processes, signals
from semibench.harness.prepare import Order, device_of, prepare
from semibench.harness.run import run
from semibench.reports import result as record
from semibench.reports.result import Result

GRACE = 10.0  # seconds that the others have to end by themselves when one has failed; then they are told, then made to
_SIGNALS = {signal.SIGINT, *signals.OF_THE_SYSTEM}
_STOPPED = "the run was stopped by {}"


def carry_out(orders: Sequence[Order], *, show_progress: bool) -> Iterator[tuple[Result, Path]]:
    """Yield the result and the folder of each run; nothing in processes of a launcher but the main one."""
    if processes.launched() > 1:
        yield from _as_one_of_many(orders, show_progress)
        return
    processes.leave_launcher()
    for order in orders:
        prepared = prepare(order)
        folder, count = prepared.folder, prepared.configuration.run.devices
        if count == 1 or folder.result.exists():
            yield run(prepared, show_progress=show_progress), folder.path
            continue
        start(_run_one, (order, show_progress), count)
        yield record.read(folder.result), folder.path


def start(work: Callable[..., None], arguments: tuple[Any, ...], count: int) -> None:
    """Call ``work(meeting, *arguments)`` in ``count`` processes of this machine, for ``processes.joined`` to meet at.

    When one fails the others are ended, and what that one raised is raised here. Signals to this process reach them all.
    """
    started: list[BaseProcess] = []
    with TemporaryDirectory() as folder, _passing_on(started) as told:
        given = (work, Path(folder), count, arguments)
        context = start_processes(_work, given, nprocs=count, join=False)  # type: ignore[no-untyped-call]  # it has no types
        early = list(told)  # starting a process may lift the block too soon
        started += context.processes
        _tell(started, early)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        try:
            while not context.join(grace_period=GRACE):
                pass
        except ProcessExitedException as failure:
            raise _reason(Path(folder), failure, started, told) from None


def _as_one_of_many(orders: Sequence[Order], show_progress: bool) -> Iterator[tuple[Result, Path]]:
    prepared = [prepare(order) for order in orders]  # before they meet, see ``rehearse``
    if (count := prepared[0].configuration.run.devices) != processes.launched():
        raise UsageError(
            f"run.devices = {count} in one of {processes.launched()} launched processes", "Leave it out: the launcher decides."
        )
    with processes.contact(), processes.joined(device_of(prepared[0].configuration)):
        for one in prepared:
            result = run(one, show_progress=show_progress)
            if processes.is_main():
                yield result, one.folder.path


def _run_one(meeting: str, order: Order, show_progress: bool) -> None:
    prepared = prepare(order)
    with processes.contact(), processes.joined(device_of(prepared.configuration), meeting):
        run(prepared, show_progress=show_progress)


def _tell(started: Sequence[BaseProcess], numbers: Sequence[int]) -> None:
    for process in started:
        for number in numbers:
            if process.is_alive() and process.pid is not None:
                os.kill(process.pid, number)


@contextmanager
def _passing_on(started: Sequence[BaseProcess]) -> Iterator[list[int]]:
    """Pass signals on to processes, yielding those that came.

    They are blocked at first, here and in what is started meanwhile: one that comes early waits until it can be answered.
    """
    told: list[int] = []

    def pass_on(number: int, frame: FrameType | None) -> None:
        told.append(number)
        _tell(started, [number])

    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    former = {number: signal.signal(number, pass_on) for number in _SIGNALS}
    try:
        yield told
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


def _work(rank: int, work: Callable[..., None], folder: Path, count: int, arguments: tuple[Any, ...]) -> None:
    """Be one of the processes; leave behind what went wrong, for the one that started it."""
    os.setsid()  # Ctrl-C reaches every process of a terminal: this one hears of it once, from the one that started it
    numbers = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count}
    os.environ.update({name: str(number) for name, number in numbers.items()})
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo0" if sys.platform == "darwin" else "lo")  # a host's name may lead nowhere
    code = 0
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        work(f"file://{folder}/meeting", *arguments)
    except (Exception, KeyboardInterrupt) as error:
        code = _leave_behind(error, rank, folder)
    for worker in active_children() if code else ():  # loaders leave signals to this process, which would wait without end
        worker.kill()
    sys.exit(code)


def _leave_behind(error: BaseException, rank: int, folder: Path) -> int:
    """Write down what went wrong; return the exit code."""
    told: Exception = ProcessRaisedException(f"\n\n{traceback.format_exc()}", rank, os.getpid())
    if isinstance(error, SemibenchError):
        told = error
    elif isinstance(error, KeyboardInterrupt):
        told = signals.stopped(signals.number_of(error), _STOPPED)
    (folder / f"{rank}.error").write_bytes(pickle.dumps(told))
    return told.exit_code if isinstance(told, SemibenchError) else 1


def _reason(folder: Path, failure: ProcessExitedException, started: Sequence[BaseProcess], told: Sequence[int]) -> Exception:
    """Return why processes have ended: what one raised of its own, else how the first was ended."""
    files = sorted(folder.glob("*.error"), key=lambda file: file.stat().st_mtime_ns)
    raised: list[Exception] = [pickle.loads(file.read_bytes()) for file in files]
    for error in raised:
        if not isinstance(error, processes.LostProcessError):
            return error
    if told:
        return signals.stopped(told[0], _STOPPED)
    ended = {rank: -(process.exitcode or 0) for rank, process in enumerate(started) if (process.exitcode or 0) < 0}
    if not ended:
        return raised[0] if raised else failure
    rank = failure.error_index if failure.error_index in ended else min(ended)
    return RunFailedError(
        f"process {rank} of {len(started)} was ended by {signal.Signals(ended[rank]).name}",
        "Memory may have run out: see 'semibench run --dry-run'. Give the same command again; it resumes from the last "
        "checkpoint.",
    )
