"""Earlier runs of the same configuration, whose trajectories a new run is compared with."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from semibench.errors import UsageError
from semibench.records import flatten
from semibench.reports import result as record
from semibench.reports.listing import RESULT, find
from semibench.reports.result import Result, Teacher
from semibench.reports.trajectory import Trajectory

_ANOTHER = "Name runs of the same configuration; seed, engine, device and evaluation rule may be others."


def deciding_training(
    protocol: str, numerics: int, weights: frozenset[str], teachers: Sequence[Teacher], deciding: Mapping[str, Any], over: int
) -> dict[str, Any]:
    """Return what decides a trajectory besides the seed, by dotted key: all that decides a run's numbers but its evaluation."""
    trained = {section: deciding[section] for section in ("method", "network", "recipe")}
    learnt = {teacher.role: teacher.configuration for teacher in teachers}
    others: dict[str, Any] = {"protocol digest": protocol, "numerics": numerics, "weights": sorted(weights), "teachers": learnt}
    others["processes of batch statistics"] = over
    return dict(flatten(others | trained))


def read_references(paths: Sequence[Path], expected: Mapping[str, Any]) -> tuple[Trajectory, ...]:
    """Return the trajectories of the results in ``paths``: result files, or folders of one or more runs.

    Raises UsageError naming the first difference when a run is of another configuration than ``expected``, or stores none.
    """
    files = [file for path in paths for file in _files(path)]
    return tuple(_trajectory(file, record.read(file), expected) for file in files)


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = [folder / RESULT for folder in find([path]) if (folder / RESULT).exists()]
    if not files:
        raise UsageError(f"--reference {path} holds no finished run", "Name a result.json, or the folder of a finished run.")
    return files


def _trajectory(file: Path, result: Result, expected: Mapping[str, Any]) -> Trajectory:
    deciding = {"method": {"name": result.method, **result.config}, "network": result.network, "recipe": result.recipe}
    weights = frozenset(weights.sha256 for weights in result.weights)
    known = (result.provenance.numerics, weights, result.teachers, deciding, result.statistics_over)
    found = deciding_training(result.digest, *known)
    for key in (*expected, *found):
        here, there = expected.get(key, "absent"), found.get(key, "absent")
        if here != there:
            raise UsageError(
                f"--reference {file} is of another configuration: {key} is {there} there and {here} here", _ANOTHER
            )
    if result.trajectory is None:
        raise UsageError(
            f"--reference {file} stores no trajectory",
            "It was recorded or begun by an earlier version, or its method trains nothing: name another run.",
        )
    return result.trajectory
