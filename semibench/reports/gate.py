"""Results against an earlier table of them: what has become worse by more than a tolerance and by more than noise."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal  # JSON values have no narrower type

import numpy as np

from semibench.errors import DataError
from semibench.reports.partitions import FACT
from semibench.reports.render import json as json_format
from semibench.reports.render.table import Table
from semibench.reports.statistics import LEVEL, MIN_SEEDS, holm, student

Row = Mapping[str, Any]

_FIELDS = ("method", "backbone", "division", "identity", "seeds", "miou_by_seed")
_DIGESTS = ("protocol_digest", "evaluation_digest", "truth_digest")
_LABEL = ("protocol", "method", "backbone", "division")


@dataclass(frozen=True)
class Verdict:
    """What became of one row of the earlier table."""

    row: str
    outcome: Literal["kept", "worse", "missing", "not comparable"]
    text: str

    @property
    def is_failure(self) -> bool:
        """Whether the gate is closed by it."""
        return self.outcome != "kept"


def read(path: Path, protocols: Sequence[str] = ()) -> list[Row]:
    """Return the measured rows of a table that ``semibench compare --format json`` wrote, of ``protocols`` if any are named."""
    try:
        rows = list(_rows(json.loads(path.read_text(encoding="utf-8"))))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(
            f"{path} is not a table with {', '.join(_FIELDS)}: {error!r}",
            "Write one with 'semibench compare --format json --output FILE', without --columns; what an earlier version wrote "
            "may lack a field.",
        ) from error
    return [row for row in rows if not protocols or row["protocol"] in protocols]


def judge(then: Sequence[Row], tables: Sequence[Table], tolerance: float) -> list[Verdict]:
    """Return a verdict on each row of ``then`` in the light of the ``tables`` of today.

    A row is worse if its mean over common seeds fell by more than ``tolerance`` (in [0, 1]) and, where three seeds or more
    are common, the paired t-test sees the fall, after Holm over the rows that changed. Fewer seeds say nothing about noise:
    there the tolerance alone decides.
    """
    now = list(_rows(json.loads(json_format.render(tables))))
    found = [_counterpart(row, now) for row in then]
    differences = [_differences(row, other) if other else {} for row, other in zip(then, found, strict=True)]
    width = max([MIN_SEEDS, *map(len, differences)])
    changes = [[*one.values()] if any(one.values()) else [] for one in differences]  # what has not changed needs no test
    padded = np.array([[*one, *[np.nan] * (width - len(one))] for one in changes]).reshape(-1, width)
    adjusted = holm(student(padded).p)
    return [
        _verdict(row, other, list(one.values()), p, tolerance)
        for row, other, one, p in zip(then, found, differences, adjusted.tolist(), strict=True)
    ]


def _verdict(row: Row, other: Row | None, differences: list[float], p: float, tolerance: float) -> Verdict:
    name = " ".join(str(row[key]) for key in (*_LABEL, "config") if row.get(key))
    if other is None:
        return Verdict(name, "missing", "has no complete run of the same configuration")
    for key in _DIGESTS:
        if row[key] != other[key]:
            return Verdict(name, "not comparable", f"{key} was {row[key][:12]}, is {other[key][:12]}")
    if not differences:
        return Verdict(name, "missing", f"has none of the seeds {row['seeds']}, but {other['seeds']}")
    change = float(np.mean(differences))
    n = len(differences)
    is_seen = n < MIN_SEEDS or p <= LEVEL
    text = f"{100 * change:+.2f} points over {n} {'seed' if n == 1 else 'seeds'} ({_noise(differences, p)})"
    return Verdict(name, "worse" if -change > tolerance and is_seen else "kept", text)


def _noise(differences: list[float], p: float) -> str:
    if not any(differences):
        return "unchanged"
    if len(differences) < MIN_SEEDS:
        return "one or two seeds: noise is not known"
    return f"p {'< 0.001' if p < 0.001 else f'= {p:.3f}'} after Holm"


def _rows(document: Any) -> Iterator[Row]:
    for table in document["tables"]:
        if FACT in table:  # means over partitions, each of which has a table of its own
            continue
        for row in table["rows"]:
            if row.get("reported_miou") is None:  # what others report is no result
                facts = {key: table[key] for key in ("protocol", *_DIGESTS)}
                found = {key: row[key] for key in _FIELDS} | {"config": row.get("config", "")} | facts
                _by_seed(found)  # what cannot be read says so here, where the file is known
                yield found


def _counterpart(row: Row, rows: Sequence[Row]) -> Row | None:
    """Return the row of the same configuration, by its digest: how its label is shown depends on the other rows."""
    return next((other for other in rows if all(other[key] == row[key] for key in (*_LABEL, "identity"))), None)


def _differences(then: Row, now: Row) -> dict[int, float]:
    """Return seed -> change of the mIoU, of common seeds."""
    before, after = _by_seed(then), _by_seed(now)
    return {seed: after[seed] - before[seed] for seed in sorted(before.keys() & after.keys())}


def _by_seed(row: Row) -> dict[int, float]:
    scores = [float(score) for score in row["miou_by_seed"].split()]
    if not all(0 <= score <= 1 for score in scores):
        raise ValueError(f"scores {row['miou_by_seed']} are not in [0, 1]")
    return dict(zip(map(int, row["seeds"].split()), scores, strict=True))
