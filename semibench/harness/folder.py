"""The folder of one run: its files, its lock, and its log of events."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from semibench.errors import DataError, RunFailedError, UsageError
from semibench.files import remove_drafts, write_text
from semibench.reports.listing import CONFIG, COUNTS, EVENTS, RESULT, STATUS
from semibench.reports.result import Status


class RunFolder:
    """Paths and bookkeeping of ``<output>/<protocol>/<method>/<run id>``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.result = path / RESULT
        self.scores = path / COUNTS
        self.config = path / CONFIG
        self.status = path / STATUS
        self.environment = path / "environment.json"
        self.last = path / "checkpoints" / "last.pt"
        self.best = path / "checkpoints" / "best.pt"
        self.tensorboard = path / "tensorboard"
        self.pictures = path / "pictures"
        self.events = Events(path / EVENTS)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep every other process out, and remove what killed ones left half written.

        Raises UsageError at once when one is in, RunFailedError when the folder cannot be made or written.
        """
        lock = FileLock(self.path / ".lock")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=0)
            remove_drafts(self.path)
        except Timeout as error:
            raise UsageError(
                f"another process is working on the run in {self.path}", "Wait for it, or stop it; then give the command again."
            ) from error
        except OSError as error:
            raise RunFailedError(
                f"the folder {self.path} cannot be made or written: {error.strerror or error}",
                "Mend its permissions or the disk, or choose another --output.",
            ) from error
        try:
            yield
        finally:
            lock.release()

    def check(self, digest: str) -> None:
        """Raise UsageError when the folder holds a run of another configuration."""
        begun = self.config.exists() or self.last.exists() or self.result.exists()
        if begun and not (self.config.exists() and self.config.read_bytes().startswith(_identity(digest).encode())):
            raise UsageError(
                f"the folder {self.path} holds a run of another configuration", "Move it away, or choose another --output."
            )

    def run_id(self) -> str:
        """Return the id of the run in the folder; raise UsageError when there is none."""
        head = self.config.read_text(encoding="utf-8", errors="replace").partition("\n")[0] if self.config.is_file() else ""
        found = re.fullmatch("# run ([0-9a-f]{64})", head)
        if found is None:
            raise UsageError(f"{self.path} is not the folder of a run", "Run 'semibench list runs' to see them.")
        return found[1]

    def write_config(self, text: str, digest: str) -> None:
        """Write the resolved configuration; raise UsageError when the folder holds another one's run."""
        self.check(digest)
        write_text(self.config, _identity(digest) + text)

    def write_status(self, status: Status) -> None:
        """Say how the run stands."""
        write_text(self.status, status.model_dump_json(indent=2) + "\n")

    def read_status(self) -> Status | None:
        """Return how the run stands, None when that was not written or cannot be read."""
        try:
            return Status.model_validate_json(self.status.read_bytes())
        except (OSError, ValueError):
            return None

    def forget_attempt(self) -> None:
        """Remove what an attempt left that ended before its first checkpoint."""
        self.best.unlink(missing_ok=True)
        self.events.path.unlink(missing_ok=True)


class Events:
    """A log of one JSON object a line, each with its ``event`` and ``step``."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, event: str, step: int, **values: Any) -> None:
        """Add one event; a reader sees the whole line or none."""
        line = json.dumps({"event": event, "step": step, **values}) + "\n"
        with self.path.open("ab", buffering=0) as file:  # one write
            file.write(line.encode())
            if event == "evaluate":
                os.fsync(file.fileno())  # a resumed run takes the step of the best checkpoint from here

    def sync(self) -> None:
        """Wait until what was added is on disk."""
        with self.path.open("ab") as file:
            os.fsync(file.fileno())

    def read(self) -> list[dict[str, Any]]:
        """Return all events; a last line that a crash cut short is left out.

        Raises DataError when a whole line is not an event.
        """
        if not self.path.exists():
            return []
        lines = self.path.read_bytes().splitlines(keepends=True)
        return [self._parse(number, line) for number, line in enumerate(lines, start=1) if line.endswith(b"\n")]

    def cut(self, step: int) -> None:
        """Forget everything after ``step``."""
        kept = [event for event in self.read() if event["step"] <= step]
        write_text(self.path, "".join(json.dumps(event) + "\n" for event in kept))

    def _parse(self, number: int, line: bytes) -> dict[str, Any]:
        try:
            event: dict[str, Any] = json.loads(line)
            _ = event["event"], event["step"]
        except (ValueError, TypeError, KeyError) as error:
            raise DataError(
                f"line {number} of {self.path} is not an event", "It was edited or damaged: restore it, or remove that line."
            ) from error
        return event


def _identity(digest: str) -> str:
    """Return the first line of a run's configuration."""
    return f"# run {digest}\n"
