"""Run folders and how they stand, read with the standard library alone: ``semibench list runs`` loads nothing else."""

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar  # JSON values have no narrower type

from semibench.errors import DataError
from semibench.plain import line

RESULT = "result.json"
COUNTS = "scores.npz"  # per image
CONFIG = "config.toml"
EVENTS = "events.jsonl"
STATUS = "status.json"
T = TypeVar("T")


class RunSummary(NamedTuple):
    """One run as its folder tells it, each text as one visible line; None where its files do not say."""

    protocol: str
    method: str
    seed: int | None
    status: str  # running, complete, failed, or unreadable
    miou: float | None  # in [0, 1]
    run_id: str  # its first 12 digits, as in the folder's name

    @property
    def name(self) -> str:
        """What tells the run apart, for messages."""
        return f"{self.protocol}/{self.method}/{self.run_id}"


def find(folders: Sequence[Path]) -> list[Path]:
    """Return the folders of runs in and below ``folders``, each once, sorted by path.

    Raises DataError when one of ``folders`` does not exist.
    """
    found: set[Path] = set()
    for folder in folders:
        if not folder.is_dir():
            raise DataError(
                f"folder '{folder}' not found", "Name an existing folder of runs, or make one with 'semibench run'."
            )
        found.update(_below(folder.resolve()))  # no link is followed below it
    return sorted(found)


def list_runs(folders: Sequence[Path]) -> list[RunSummary]:
    """Return a summary of every run in and below ``folders``."""
    return [summarize(folder) for folder in find(folders)]


def summarize(folder: Path) -> RunSummary:
    """Return how the run in ``folder`` (``<protocol>/<method>/<run id>``) stands; a result counts more than a status."""
    result = _read(folder / RESULT)
    record = result or _read(folder / STATUS)
    protocol, method = folder.parts[-3:-1] if len(folder.parts) > 3 else ("unknown", "unknown")
    status = "unreadable" if (folder / RESULT).exists() and not result else record.get("status")
    return RunSummary(
        protocol=_text(record.get("protocol"), protocol),
        method=_text(record.get("method"), method),
        seed=_number(record.get("seed"), int),
        status=_text(status, "unreadable"),
        miou=_number(record.get("miou"), float),
        run_id=_text(record.get("run_id"), folder.name)[:12],
    )


def _below(folder: Path) -> Iterator[Path]:
    for path, subfolders, files in os.walk(folder):
        if RESULT in files or STATUS in files:
            subfolders.clear()  # what a run keeps in its folder is not a run
            yield Path(path)


def _read(path: Path) -> dict[str, Any]:
    """Return the JSON object in ``path``, empty where there is none: a listing shows broken runs, it does not stop at them."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _text(value: object, otherwise: str) -> str:
    return line(value if isinstance(value, str) else otherwise)  # both may be strangers' names


def _number(value: object, kind: type[T]) -> T | None:
    return value if isinstance(value, kind) else None
