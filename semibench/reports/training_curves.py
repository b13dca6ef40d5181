"""How scores rose during training: the evaluations that runs logged in ``events.jsonl``."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from semibench.errors import DataError
from semibench.records import MOST
from semibench.reports.listing import EVENTS


class Curve(NamedTuple):
    """mIoU in [0, 1] over steps, at those steps at which every seed was scored."""

    steps: tuple[int, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]  # of all seeds, as is ``high``
    high: tuple[float, ...]


def read(folder: Path) -> dict[int, float]:
    """Return step -> mIoU as the run in ``folder`` logged it; empty without a log.

    A last line that a crash cut short is left out. Raises DataError for a line that is no evaluation but says it is one.
    """
    path = folder / EVENTS
    if not path.is_file():
        return {}
    found = {}
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if b'"evaluate"' in line and line.endswith(b"\n"):
                found.update(_evaluation(line, f"line {number} of {path}"))
    return found


def over_seeds(runs: Sequence[Mapping[int, float]]) -> Curve | None:
    """Return the curve of runs that differ in their seed; None when they share fewer than two steps.

    >>> over_seeds([{10: 0.25, 20: 0.5}, {10: 0.75, 20: 0.5, 30: 0.5}])
    Curve(steps=(10, 20), mean=(0.5, 0.5), low=(0.25, 0.5), high=(0.75, 0.5))
    """
    steps = sorted(set.intersection(*map(set, runs))) if runs else []
    if len(steps) < 2:
        return None
    columns = [[run[step] for run in runs] for step in steps]
    mean = tuple(sum(column) / len(column) for column in columns)
    return Curve(tuple(steps), mean, tuple(map(min, columns)), tuple(map(max, columns)))


def _evaluation(line: bytes, where: str) -> dict[int, float]:
    try:
        event = json.loads(line)
        if event["event"] != "evaluate":
            return {}
        step, miou = int(event["step"]), float(event["miou"])
        if not (0 <= step <= MOST and 0 <= miou <= 1):
            raise ValueError(f"a step is between 0 and {MOST}, a mIoU between 0 and 1")
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise DataError(
            f"{where} is not an evaluation", "It was edited or damaged: restore it, or remove that line."
        ) from error
    return {step: miou}
