"""Show how far a long piece of work is: a bar on a terminal, else a plain line now and then."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn


class Meter:
    """A bar for each title in turn; work is counted in ``unit``, or in bytes."""

    def __init__(self, unit: str = "bytes", console: Console | None = None, seconds_between_lines: float = 15.0) -> None:
        self.unit = unit
        self.console = console or Console(stderr=True)
        self.between = seconds_between_lines
        self.title = ""
        self.began = self.printed = 0.0
        self.first = 0  # what was done when this title began
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[note]}"))
        self.progress = Progress(*columns, TimeRemainingColumn(), console=self.console, transient=True)

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self.progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.console.is_terminal:
            self.progress.stop()

    def show(self, title: str, done: int, total: int | None) -> None:
        """Say how much of ``title`` is done; None: nobody knows of how much."""
        now = time.monotonic()
        if title != self.title:
            self._begin(title, done, now)
        note = self._note(done, total, (done - self.first) / max(now - self.began, 1e-9))
        if self.console.is_terminal:
            self.progress.update(self.task, completed=done, total=total, note=note)
        elif now - self.printed >= self.between or done == total:
            self.printed = now
            self.console.out(f"{title}: {note}", highlight=False)

    def _begin(self, title: str, done: int, now: float) -> None:
        self.title, self.first = title, done
        self.began = self.printed = now
        if self.console.is_terminal:
            for task in self.progress.task_ids:
                self.progress.remove_task(task)
            self.task = self.progress.add_task(title, total=None, note="")

    def _note(self, done: int, total: int | None, rate: float) -> str:
        if self.unit == "bytes":
            whole = f"/{total / 1e6:.1f}" if total else ""
            return f"{done / 1e6:.1f}{whole} MB  {rate / 1e6:.1f} MB/s"
        return f"{done}{f'/{total}' if total else ''} {self.unit}  {rate:.0f}/s"
