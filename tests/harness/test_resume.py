"""Runs that were killed, interrupted or cut short end as if they had not been."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from semibench.harness import checkpoint
from semibench.harness.folder import Events, RunFolder
from semibench.methods.networks import _detectron2
from semibench.reports import result

Call = Callable[..., tuple[int, str, str]]
Train = Callable[..., list[str]]
FolderOf = Callable[[Path], Path]


needs_detectron2 = pytest.mark.skipif(not _detectron2.is_usable(), reason="Detectron2 is not installed")


def same_outcome(first: Path, second: Path) -> None:
    one, other = (json.loads((folder / "result.json").read_text()) for folder in (first, second))
    assert one["digests"] == other["digests"]
    assert one["confusion"] == other["confusion"]
    assert one["best"] == other["best"]
    assert one["run_id"] == other["run_id"]
    assert one["trajectory"] == other["trajectory"] is not None


@pytest.fixture
def unrecorded(finished: Path, tmp_path: Path, folder_of: FolderOf) -> Path:
    """A copy of the finished run whose process was killed just before it recorded the result."""
    folder = folder_of(Path(shutil.copytree(finished.parents[2], tmp_path / "copy")))
    (folder / "result.json").unlink()
    return folder


def test_a_run_that_another_process_finishes_just_before_the_lock_is_returned(
    finished: Path, unrecorded: Path, call: Call, monkeypatch: pytest.MonkeyPatch, train: Train
) -> None:
    lock = RunFolder.lock

    def finish_first(folder: RunFolder) -> Any:
        shutil.copy(finished / "result.json", folder.result)
        return lock(folder)

    monkeypatch.setattr(RunFolder, "lock", finish_first)
    monkeypatch.setattr("semibench.harness.run._run", lambda *_: pytest.fail("it ran again"))
    assert call(*train(unrecorded.parents[2]))[0] == 0


def test_a_status_that_a_killed_process_left_behind_is_mended(finished: Path, call: Call, train: Train) -> None:
    status = finished / "status.json"
    whole = status.read_text()
    status.write_text(whole.replace("complete", "running"))
    assert call(*train(finished.parents[2]))[0] == 0
    assert status.read_text() == whole


def test_a_run_without_a_checkpoint_starts_as_if_it_had_never_begun(
    finished: Path, unrecorded: Path, call: Call, train: Train
) -> None:
    (unrecorded / "checkpoints" / "last.pt").unlink()
    assert call(*train(unrecorded.parents[2]))[0] == 0
    same_outcome(finished, unrecorded)
    kinds = [event["event"] for event in Events(unrecorded / "events.jsonl").read()]
    assert (kinds.count("started"), kinds.count("evaluate"), kinds.count("resumed")) == (1, 2, 0)


def test_the_best_scores_carry_the_step_of_the_weights_that_were_scored(unrecorded: Path, call: Call, train: Train) -> None:
    best = unrecorded / "checkpoints" / "best.pt"
    checkpoint.save(best, checkpoint.load(best) | {"step": 1})
    log = Events(unrecorded / "events.jsonl")
    log.path.write_text(re.sub(r'("evaluate", "step": 5, "miou": )[0-9.e-]+', r"\g<1>0.99", log.path.read_text()))
    assert call(*train(unrecorded.parents[2]))[0] == 0
    assert result.read(unrecorded / "result.json").best.step == 1


@pytest.fixture
def heeded() -> Iterator[None]:
    """Let SIGINT be heard, which a shell has its background jobs ignore."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeded")
@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 75), (signal.SIGUSR1, 75)])
def test_a_signal_after_the_training_says_how_to_continue(
    unrecorded: Path, call: Call, monkeypatch: pytest.MonkeyPatch, train: Train, number: signal.Signals, exit_code: int
) -> None:
    monkeypatch.setattr("semibench.harness.run.measure_cost", lambda *_: os.kill(os.getpid(), number))
    code, _, errors = call(*train(unrecorded.parents[2]))
    assert code == exit_code
    assert f"stopped by {number.name}, its last checkpoint is of step 10. Give the same command again" in errors
    status = json.loads((unrecorded / "status.json").read_text())
    assert (status["status"], status["step"]) == ("running", 10)


def test_a_signal_before_the_training_changes_nothing(
    tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch, train: Train
) -> None:
    monkeypatch.setattr("semibench.harness.prepare.rehearse", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    code, _, errors = call(*train(tmp_path / "runs"))
    assert (code, "stopped by SIGTERM outside of a training. Give the same command again" in errors) == (75, True)
    assert not (tmp_path / "runs").exists()


def test_an_evaluation_that_a_signal_cut_off_is_made_up_for(
    finished: Path, tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch, train: Train, folder_of: FolderOf
) -> None:
    monkeypatch.setattr("semibench.harness.scoring.Scorer.miou", lambda *_: os.kill(os.getpid(), signal.SIGUSR1))
    code, _, errors = call(*train(tmp_path))
    assert code == 75
    assert "stopped by SIGUSR1 after step 5 of 10, state saved" in errors
    monkeypatch.undo()
    assert call(*train(tmp_path))[0] == 0
    same_outcome(finished, folder_of(tmp_path))


def until(condition: Callable[[], bool], process: "subprocess.Popen[str]") -> None:
    for _ in range(1200):
        if condition():
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    raise TimeoutError


@pytest.fixture
def start() -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Start the command line in another process; end it when the test ends."""
    begun: list[subprocess.Popen[str]] = []

    def run(arguments: list[str]) -> "subprocess.Popen[str]":
        code = "import sys; from semibench.harness.cli import main; main(sys.argv[1:])"
        command = [sys.executable, "-c", code, *arguments]
        begun.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return begun[-1]

    yield run
    for process in begun:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("number", "engine"),
    [
        pytest.param(signal.SIGKILL, "native", id="killed"),
        pytest.param(signal.SIGKILL, "detectron2", id="killed under detectron2", marks=needs_detectron2),
        pytest.param(signal.SIGUSR1, "native", id="warned"),
    ],
)
def test_a_stopped_run_ends_as_if_it_had_not_been_stopped(
    tmp_path: Path, call: Call, start: Callable[..., Any], number: int, engine: str, train: Train, folder_of: FolderOf
) -> None:
    steps = 60
    assert call(*train(tmp_path / "whole", "--engine", "native", steps=steps))[0] == 0
    process = start(train(tmp_path / "stopped", "--engine", engine, "--set", "run.threads=1", steps=steps))
    until(lambda: len(list((tmp_path / "stopped").glob("*/*/*/checkpoints/last.pt"))) == 1, process)
    process.send_signal(number)
    _, errors = process.communicate(timeout=120)
    folder = folder_of(tmp_path / "stopped")
    assert not (folder / "result.json").exists()
    if number == signal.SIGUSR1:
        assert process.returncode == 75
        assert "Give the same command again to continue" in errors
        assert json.loads((folder / "status.json").read_text())["status"] == "running"
    assert call(*train(tmp_path / "stopped", "--engine", engine, steps=steps))[0] == 0
    same_outcome(folder_of(tmp_path / "whole"), folder)
    events = Events(folder / "events.jsonl").read()
    assert sum(event["event"] == "resumed" for event in events) == 1
    logged = [event["step"] for event in events if event["event"] == "log"]
    assert logged == list(range(1, steps + 1))
    assert json.loads((folder / "result.json").read_text())["provenance"]["resumed"] == 1


def test_a_run_that_ended_between_checkpoint_and_evaluation_makes_up_for_it(
    tmp_path: Path, call: Call, train: Train, folder_of: FolderOf
) -> None:
    assert call(*train(tmp_path / "a"))[0] == 0
    assert call(*train(tmp_path / "b"))[0] == 0
    folder = folder_of(tmp_path / "b")
    (folder / "result.json").unlink()
    events = [event for event in Events(folder / "events.jsonl").read() if event["event"] != "evaluate" or event["step"] < 10]
    (folder / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    assert call(*train(tmp_path / "b"))[0] == 0
    same_outcome(folder_of(tmp_path / "a"), folder)


@pytest.mark.parametrize("has_best", [True, False])
def test_a_damaged_checkpoint_is_refused_with_what_can_be_done(
    finished: Path, unrecorded: Path, call: Call, train: Train, has_best: bool
) -> None:
    last, best = (unrecorded / "checkpoints" / f"{name}.pt" for name in ("last", "best"))
    last.write_bytes(last.read_bytes()[:500])
    if not has_best:
        best.unlink()
    code, _, errors = call(*train(unrecorded.parents[2]))
    assert code == 4
    assert "last.pt cannot be read" in errors
    assert ("copy it with 'cp" in errors) == has_best
    if has_best:
        shutil.copy(best, last)
    else:
        last.unlink()
    assert call(*train(unrecorded.parents[2]))[0] == 0
    same_outcome(finished, unrecorded)
