"""Show how far a long piece of work is: a bar on a terminal, else a plain line now and then."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

LINE = 15.0  # seconds between plain lines
BRIEF = 2.0  # seconds: the end of anything shorter is not worth a plain line


class Meter:
    """One piece of work after the other, each with its title, counted in pieces or in bytes."""

    def __init__(self, *, is_shown: bool = True, in_bytes: bool = False, console: Console | None = None) -> None:
        self.is_shown = is_shown
        self.in_bytes = in_bytes
        self.console = console or Console(stderr=True)
        self.title = ""
        self.began = 0.0  # of this title
        self.first = 0  # what was done then
        self.printed = time.monotonic()
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[note]}"))
        self.bar = Progress(*columns, TimeRemainingColumn(), console=self.console, transient=True)

    def __enter__(self) -> Self:
        if self.is_shown and self.console.is_terminal:
            self.bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.is_shown and self.console.is_terminal:  # rich would end what never began with an empty line
            self.bar.stop()

    def show(self, title: str, done: int, total: int | None, note: str = "") -> None:
        """Say how much of ``title`` is done, of nobody knows how much where ``total`` is None, and whatever else is of note."""
        if not self.is_shown:
            return
        now = time.monotonic()
        if title != self.title:
            self._begin(title, done, now)
        rate = (done - self.first) / max(now - self.began, 1e-9)
        text = "  ".join(filter(None, (self._describe(done, total, rate), note)))
        if self.console.is_terminal:
            self.bar.update(self.task, completed=done, total=total, note=text)
        elif now - self.printed >= LINE or (done == total and now - self.began >= BRIEF):
            self.printed = now
            remaining = f"  {(total - done) / rate:.0f} s left" if total and rate and done < total else ""
            self.console.out(f"{title}: {text}{remaining}", highlight=False)

    def _begin(self, title: str, done: int, now: float) -> None:
        self.title, self.first, self.began = title, done, now
        if self.console.is_terminal:
            for task in self.bar.task_ids:
                self.bar.remove_task(task)
            self.task = self.bar.add_task(title, total=None, note="")

    def _describe(self, done: int, total: int | None, rate: float) -> str:
        if self.in_bytes:
            return f"{done / 1e6:.1f}{f'/{total / 1e6:.1f}' if total else ''} MB  {rate / 1e6:.1f} MB/s"
        return f"{done}{f'/{total}' if total else ''}  {rate:.1f}/s"
