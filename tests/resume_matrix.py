"""Breaks trainings in every way at random moments, resumes them, and holds the outcome against an uninterrupted run.

    python -m tests.resume_matrix [--pair native:detectron2 ...] [--moments 10]

Every run is the command line's, in a forked process of its own, on 24 steps of ``shapes-16``. Moments follow from a seed and
finished cells are kept with machine and date, so a repeated call goes on where it was stopped. The whole matrix is written to
``docs/measurements/resume-matrix.md``, a part of it to the work folder.
"""

import contextlib
import datetime
import json
import multiprocessing
import os
import random
import resource
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import click

from semibench.harness import environment
from semibench.harness.cli import main
from semibench.harness.loading import BatchSource
from semibench.harness.progress import Meter
from semibench.methods.networks import _detectron2

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "measurements" / "resume-matrix.md"
PAIRS = (("native", "native"), ("detectron2", "detectron2"), ("native", "detectron2"))  # the engines before and after
METHODS = ("fixmatch", "mean_teacher")  # one of them with a moving average
FAULTS = ("SIGKILL", "SIGTERM", "exception in the loader", "disk full")
STEPS = 24
SETTINGS = {
    "recipe.steps": STEPS,
    "recipe.batch.labeled": 4,
    "recipe.batch.unlabeled": 4,
    "network.channels": 8,
    "network.low_channels": 4,
    "evaluation.every": 12,
    "run.checkpoint_every": 5,
    "run.log_every": 1,
    "run.tensorboard": "false",
    "run.threads": 1,
    "run.workers": 0,
}


class Cell(NamedTuple):
    """One interrupted and resumed run."""

    engine: str
    resumed_with: str
    method: str
    fault: str
    moment: int

    @property
    def step(self) -> int:
        """The step during which the fault strikes, from 1."""
        return random.Random(f"step {self.method} {self.fault} {self.moment}").randint(1, STEPS)

    @property
    def share(self) -> float:
        """How far a step or a file is at that moment, in [0, 1)."""
        return random.Random(f"share {self.method} {self.fault} {self.moment}").random()


def arguments(method: str, engine: str, output: Path) -> list[str]:
    settings = [f"--set={key}={value}" for key, value in {**SETTINGS, "run.engine": engine}.items()]
    return ["run", "--method", method, "--protocol", "shapes-16", "--output", str(output), "--quiet", *settings]


def run(command: list[str], prepare: Callable[[], None] = lambda: None) -> multiprocessing.Process:
    """Start the command line in a process that has everything imported already."""

    def work() -> None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(1, 2)
        prepare()
        main(command)

    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    return process


def folder_of(output: Path) -> Path | None:
    return next(iter(path.parent for path in output.glob("*/*/*/config.toml")), None)


def outcome(output: Path) -> dict[str, object] | None:
    """Return what must agree: final weights, scores of both checkpoints, trajectory."""
    folder = folder_of(output)
    if folder is None or not (folder / "result.json").exists():
        return None
    result = json.loads((folder / "result.json").read_text())
    return {"tensors": result["digests"]["tensors"]} | {key: result[key] for key in ("last", "best", "trajectory")}


def break_run(cell: Cell, output: Path) -> int | None:
    """Carry out a run until its fault ends it; return its exit code, negative for a signal."""
    command = arguments(cell.method, cell.engine, output)
    if cell.fault in ("SIGKILL", "SIGTERM"):
        process = run(command)
        wait_for(cell, output, process)
        os.kill(process.pid or 0, signal.Signals[cell.fault])
    else:
        process = run(command, lambda: sabotage(cell))
    process.join()
    return process.exitcode


def wait_for(cell: Cell, output: Path, process: multiprocessing.Process) -> None:
    """Return while the cell's step is under way, as far as a log of steps can tell."""
    seconds = 0.05
    while process.is_alive():
        folder = folder_of(output)
        lines = (folder / "events.jsonl").read_text().splitlines() if folder and (folder / "events.jsonl").exists() else []
        with contextlib.suppress(ValueError):  # of a line that is being written
            logged = [event for event in map(json.loads, lines) if event["event"] == "log"]
            seconds = logged[-1]["seconds"] if logged else seconds
            if len(logged) >= cell.step - 1 and lines:
                break
        time.sleep(0.002)
    time.sleep(cell.share * seconds)


def sabotage(cell: Cell) -> None:
    """Let the loader raise at the cell's step, or let the kernel refuse to write a file further than to a random size."""
    batch = BatchSource.batch

    def broken(source: BatchSource, step: int) -> object:
        if step == cell.step - 1 and cell.fault == "exception in the loader":
            raise ValueError("the loader broke")
        if step == cell.step - 1:
            limit = int(2**10 + cell.share * 2**20)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        return batch(source, step)

    BatchSource.batch = broken  # type: ignore[method-assign,assignment]


def examine(cell: Cell, expected: dict[str, object], folder: Path) -> dict[str, object]:
    """Break and resume one run; return what is to be reported of it."""
    shutil.rmtree(folder, ignore_errors=True)
    code = break_run(cell, folder)
    was_over = outcome(folder) is not None
    found = folder_of(folder)
    status = json.loads((found / "status.json").read_text()) if found and (found / "status.json").exists() else {"step": 0}
    resumed = run(arguments(cell.method, cell.resumed_with, folder))
    resumed.join()
    is_equal = resumed.exitcode == 0 and outcome(folder) == expected
    shutil.rmtree(folder, ignore_errors=True)
    found_out = {"step": cell.step, "code": code, "saved": status["step"], "over": was_over, "equal": is_equal}
    return {**cell._asdict(), **found_out, **circumstances()}


def circumstances() -> dict[str, str]:
    """Return where and when a cell is filled."""
    described, versions = environment.describe(), environment.versions()
    machine = f"{described['processor']}, {described['cores']} cores, {int(described['memory']) / 1e9:.0f} GB"
    named = f"Python {versions['python']}, torch {versions['torch']}"
    return {"machine": machine, "versions": named, "date": str(datetime.date.today())}


def remembered(file: Path) -> Iterator[dict[str, object]]:
    for line in file.read_text().splitlines() if file.exists() else ():
        with contextlib.suppress(ValueError):  # cut off
            yield json.loads(line)


def reference(method: str, engine: str, work: Path) -> dict[str, object]:
    output = work / f"{engine}-{method}"
    run(arguments(method, engine, output)).join()
    found = outcome(output)
    if found is None:
        raise click.ClickException(f"the uninterrupted run of {method} under {engine} failed: see {output}")
    return found


def render(rows: list[dict[str, object]], given: str) -> str:
    groups: dict[tuple[object, ...], list[dict[str, object]]] = {}
    for row in rows:
        engines = " then ".join(dict.fromkeys((str(row["engine"]), str(row["resumed_with"]))))
        groups.setdefault((engines, row["method"], row["fault"]), []).append(row)
    lines = []
    for (engines, method, fault), cells in sorted(groups.items(), key=lambda item: list(map(str, item[0]))):
        codes = ", ".join(map(str, sorted({int(str(cell["code"])) for cell in cells})))
        steps, saved = (", ".join(str(cell[key]) for cell in cells) for key in ("step", "saved"))
        equal = f"{sum(bool(cell['equal']) for cell in cells)} of {len(cells)}"
        lines.append(f"| {engines} | {method} | {fault} | {codes} | {steps} | {saved} | {equal} |")
    return TEMPLATE.format(
        command=given,
        **{key: " and ".join(sorted({str(row[key]) for row in rows})) for key in ("machine", "versions", "date")},
        steps=STEPS,
        over=sum(bool(row["over"]) for row in rows),
        count=len(rows),
        table="\n".join(lines),
    )


TEMPLATE = """# The resume matrix

Question: does a run that was broken at a random moment and given again end in the bits of one that was not?

    {command}

Machine: {machine}, no GPU used; {versions}. One thread. {date}.

{steps} steps of `shapes-16`, 4+4 images, a checkpoint every 5 steps, an evaluation every 12. Equal to the bit are the weights
(by SHA-256), the scores of both checkpoints and the trajectory of the resumed run and the uninterrupted one. Signals come from
outside at a random moment of the step; the loader raises a ValueError; the full disk is a kernel that from this step on writes
no file further than to a random size up to 1 MB, less than a checkpoint. Exit codes: -9 killed, 75 saved for another try, 1
failed. The fault came after the end in {over} of {count} runs.

| engine | method | fault | exit codes | broken in step | resumed from step | equal to the bit |
|---|---|---|---|---|---|---|
{table}
"""


@click.command()
@click.option("--pair", "wanted", multiple=True, metavar="BEFORE:AFTER", help="Engines.  [default: all that are there]")
@click.option("--method", "methods", multiple=True, default=METHODS, show_default=True)
@click.option("--moments", default=10, show_default=True, help="Random moments a fault.")
@click.option("--work", type=click.Path(path_type=Path), default=Path("study/resume-matrix"), show_default=True)
def command(wanted: tuple[str, ...], methods: tuple[str, ...], moments: int, work: Path) -> None:
    """Fill the matrix and write its page; exit 1 when a resumed run ends otherwise."""
    work.mkdir(parents=True, exist_ok=True)
    file = work / "cells.jsonl"
    there = [pair for pair in PAIRS if "detectron2" not in pair or _detectron2.is_usable()]
    pairs = [tuple(pair.split(":", 1)) for pair in wanted] or there
    cells = [
        Cell(*pair, method, fault, moment)
        for moment in range(moments)
        for pair in pairs
        for method in methods
        for fault in FAULTS
    ]
    done = {Cell(*(row[name] for name in Cell._fields)): row for row in remembered(file)}  # type: ignore[arg-type]
    expected = {(cell.engine, cell.method): None for cell in cells if cell not in done}
    outcomes = {key: reference(key[1], key[0], work) for key in expected}
    with Meter() as meter:
        for number, cell in enumerate(cells):
            meter.show("resume matrix", number, len(cells), f"{cell.method} {cell.fault}")
            if cell not in done:
                done[cell] = examine(cell, outcomes[cell.engine, cell.method], work / "cell")
                with file.open("a") as log:
                    log.write(json.dumps(done[cell]) + "\n")
    rows = [done[cell] for cell in cells]
    page = PAGE if len(pairs) == len(PAIRS) else work / PAGE.name
    page.write_text(render(rows, "make resume-matrix"), encoding="utf-8")
    unequal = sum(not row["equal"] for row in rows)
    click.echo(f"{len(rows) - unequal} of {len(rows)} resumed runs are equal to the bit; see {page}")
    raise SystemExit(bool(unequal))


if __name__ == "__main__":
    command()
