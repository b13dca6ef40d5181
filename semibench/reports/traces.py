"""Where a row of a table comes from: its runs, their files, the machines, and the command that makes them again."""

import os
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from semibench.reports.aggregate import UNKNOWN, Group
from semibench.reports.columns import MISSING
from semibench.reports.listing import CONFIG, RESULT
from semibench.reports.result import Provenance, Result

Setting = tuple[tuple[str, str], ...]


class Run(NamedTuple):
    """One run behind a row; ``file`` is the relative URL of its record, None where a page beside it cannot link to it."""

    seed: int
    miou: float
    run_id: str
    file: str | None


@dataclass(frozen=True)
class Trace:
    """What stands behind one row."""

    runs: tuple[Run, ...]  # by seed
    command: str  # empty: it takes a file of settings that cannot be named
    environments: tuple[int, ...]  # places in the list of environments, from 1
    started_from: tuple[str, ...]  # weight files and teachers, without which the command makes other numbers; a dash: not seen


def environments(groups: Iterable[Group]) -> dict[Setting, int]:
    """Return every environment that runs were made in, and its number from 1, in a fixed order."""
    found = {environment(result.provenance) for one in groups for result in one.results}
    return {setting: number for number, setting in enumerate(sorted(found), start=1)}


def environment(provenance: Provenance) -> Setting:
    """Return machine and software of a run as names and values."""
    parts = {
        "semibench": f"{provenance.semibench}, numerics {provenance.numerics}",
        "engine": provenance.engine,
        "device": provenance.device,
        "machine": provenance.machine,
        "threads": str(provenance.threads),
        "processes": str(provenance.processes),
        "compiled": "yes" if provenance.compiled else "no",
    }
    return (*parts.items(), *sorted(provenance.versions.items()))


def trace(one: Group, folders: Mapping[str, str], configurations: Mapping[str, str], numbers: Mapping[Setting, int]) -> Trace:
    """Return what stands behind the row of ``one``; ``folders`` and ``configurations`` are relative paths by run id."""
    runs = tuple(_run(result, folders) for result in one.results)
    made = sorted({numbers[environment(result.provenance)] for result in one.results})
    return Trace(runs, _command(one, configurations), tuple(made), _origins(one.first))


def relative(folders: Mapping[str, Path], start: Path) -> dict[str, str]:
    """Return the paths of runs as seen from a page in the folder ``start``.

    Runs that lie neither below it nor below the folder around it are left out: their paths would tell of the machine.
    """
    start = start.resolve()
    near = start.parent if start.parent != start.parent.parent else start  # not the root of the file system
    return {
        run_id: Path(os.path.relpath(folder, start)).as_posix()
        for run_id, folder in folders.items()
        if folder.is_relative_to(near)
    }


def configurations(folders: Mapping[str, Path], start: Path) -> dict[str, str]:
    """Return the paths of the files of settings, of those runs that have one, as ``relative`` does."""
    with_file = {run_id: folder for run_id, folder in folders.items() if (folder / CONFIG).is_file()}
    return {run_id: f"{folder}/{CONFIG}" for run_id, folder in relative(with_file, start).items()}


def _run(result: Result, folders: Mapping[str, str]) -> Run:
    folder = folders.get(result.run_id)
    file = None if folder is None else quote(f"{folder}/{RESULT}")  # a colon too, so that no folder's name is a scheme
    return Run(result.seed, result.miou, result.run_id, file)


def _command(one: Group, configurations: Mapping[str, str]) -> str:
    """Return the command of all seeds of a row; what was set by hand is taken from the file of the first that has one."""
    first = one.first
    if first.kind == "external":
        return " && ".join(map(_scoring, one.results))
    seeds = ",".join(map(str, one.seeds))
    words = ["semibench", "run", "--method", first.method, "--protocol", first.protocol, "--seed", seeds]
    if first.division != "custom":
        words += ["--division", first.division]
    elif files := [configurations[result.run_id] for result in one.results if result.run_id in configurations]:
        words += ["--config", files[0]]
    else:
        return ""
    if first.statistics_over > 1:
        words += ["--devices", str(first.statistics_over)]
    return shlex.join(words)


def _scoring(result: Result) -> str:
    """Return the command that scores label maps again, which are not in the record."""
    words = ["semibench", "score", "PREDICTIONS", "--protocol", result.protocol, "--name", result.method]
    if result.backbone != UNKNOWN:
        words += ["--backbone", result.backbone]
    return shlex.join([*words, "--seed", str(result.seed)])


def _origins(first: Result) -> tuple[str, ...]:
    if first.kind == "external":
        return (MISSING,)
    weights = [f"{file.name} (SHA-256 {file.sha256[:12]})" for file in first.weights]
    teachers = [f"{by.role}: run {by.run_id[:12]} of {by.method}" for by in first.teachers]
    return (*weights, *teachers)


def count_runs(groups: Sequence[Group]) -> int:
    """Return how many runs stand behind rows."""
    return sum(len(one.results) for one in groups)
