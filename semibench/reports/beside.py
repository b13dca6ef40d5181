"""What lies beside a result: whether the settings and the log of its run say the same."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any  # JSON and TOML values have no narrower type

from semibench.errors import DataError
from semibench.records import flatten
from semibench.reports import training_curves
from semibench.reports.listing import CONFIG, EVENTS
from semibench.reports.result import Result

_MAX_NAMES = 3
_AGAIN = 1e-4  # of mIoU; what is scored twice on a GPU may differ in a few pixels
_WHOLE = ("network.", "recipe.", "evaluation.")  # sections of which a result has every key; a method's lacks its paths


def settings(result: Result, folder: Path) -> Iterator[str]:
    """Yield where the configuration beside a result has other settings than the result."""
    path = folder / CONFIG
    if result.kind == "external" or not path.is_file():
        return
    try:
        written = dict(flatten(tomllib.loads(path.read_text(encoding="utf-8"))))
    except (ValueError, RecursionError):
        yield f"{CONFIG} beside it is not TOML"
        return
    sections = ("protocol", "seed", "division", "network", "recipe", "evaluation")
    recorded = {
        **{key: value for key, value in result.model_dump(mode="json").items() if key in sections},
        "method": {"name": result.method, **result.config},
    }
    expected = {key: _as_toml(value) for key, value in flatten(recorded)}
    keys = [*expected, *(key for key in written if key.startswith(_WHOLE) and key not in expected)]
    if others := [key for key in keys if written.get(key, {}) != expected.get(key)]:  # an empty table is not written
        more = f" and {len(others) - _MAX_NAMES} more" if len(others) > _MAX_NAMES else ""
        yield f"{CONFIG} beside it has other settings: {', '.join(others[:_MAX_NAMES])}{more}"


def evaluations(result: Result, folder: Path) -> Iterator[str]:
    """Yield where the log beside a result has other evaluations than its scores and its rule."""
    try:
        found = training_curves.read(folder)
    except DataError as error:
        yield error.what
        return
    if result.kind == "external" or not (folder / EVENTS).is_file():
        return
    every = result.evaluation.every or max(result.steps // 10, 1)
    count = -(-result.steps // every)
    if len(found) != count or any(step % every and step != result.steps for step in found):
        yield f"{EVENTS} beside it has {len(found)} evaluations, not the {count} of every {every} of {result.steps} steps"
    best = max(found, key=lambda step: (found[step], -step), default=result.best.step)
    if (
        best != result.best.step and not result.provenance.resumed
    ):  # where arithmetic is not repeatable, a resumed run may differ
        yield f"{EVENTS} beside it has its best evaluation at step {best}, not {result.best.step}"
    if result.evaluation.select_on == result.evaluation.report_on:
        for name, scores in (("last", result.last), ("best", result.best)):
            logged = found.get(scores.step, scores.miou)
            if abs(logged - scores.miou) > _AGAIN:
                yield f"{EVENTS} beside it has mIoU {logged} at step {scores.step}, {name} has {scores.miou}"


def _as_toml(value: Any) -> Any:
    if isinstance(value, list):
        return [_as_toml(one) for one in value]
    if isinstance(value, dict):
        return {key: _as_toml(one) for key, one in value.items()}
    return "none" if value is None else value
