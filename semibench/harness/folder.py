"""The folder of one run: its files, its lock, and its log of events."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from semibench.errors import UsageError
from semibench.files import write_text
from semibench.reports.result import Status


class RunFolder:
    """Paths and bookkeeping of ``<output>/<protocol>/<method>/<run id>``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.result = path / "result.json"
        self.scores = path / "scores.npz"
        self.config = path / "config.toml"
        self.environment = path / "environment.json"
        self.last = path / "checkpoints" / "last.pt"
        self.best = path / "checkpoints" / "best.pt"
        self.tensorboard = path / "tensorboard"
        self.pictures = path / "pictures"
        self.events = Events(path / "events.jsonl")

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep every other process out; raise UsageError at once when one is in."""
        self.path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.path / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise UsageError(
                f"another process is working on the run in {self.path}", "Wait for it, or stop it; then give the command again."
            ) from error
        try:
            yield
        finally:
            lock.release()

    def write_config(self, text: str, digest: str) -> None:
        """Write the resolved configuration, or raise UsageError when the folder holds another one's run."""
        line = f"# run {digest}\n"
        begun = self.config.exists() or self.last.exists() or self.result.exists()
        if begun and not (self.config.exists() and self.config.read_text(encoding="utf-8").startswith(line)):
            raise UsageError(
                f"the folder {self.path} holds a run of another configuration", "Move it away, or choose another --output."
            )
        write_text(self.config, line + text)

    def write_status(self, status: Status) -> None:
        """Say how the run stands."""
        write_text(self.path / "status.json", status.model_dump_json(indent=2) + "\n")


class Events:
    """A log of one JSON object a line, each with its ``event`` and ``step``."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, event: str, step: int, **values: Any) -> None:
        """Add one event; a reader sees the whole line or none."""
        line = json.dumps({"event": event, "step": step, **values})
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def read(self) -> list[dict[str, Any]]:
        """Return all events; a last line that a crash cut short is left out."""
        if not self.path.exists():
            return []
        lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def cut(self, step: int) -> None:
        """Forget everything after ``step``."""
        kept = [event for event in self.read() if event["step"] <= step]
        write_text(self.path, "".join(json.dumps(event) + "\n" for event in kept))
