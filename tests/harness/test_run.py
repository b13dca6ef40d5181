"""Whole runs through the command line: train, record, return, resume, refuse."""

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

import numpy as np
import pytest
import torch

from semibench.harness import checkpoint
from semibench.harness.cli import main
from semibench.harness.folder import Events, RunFolder
from semibench.reports import per_image, result

SMALL = ["--set", "recipe.batch.labeled=4", "--set", "recipe.batch.unlabeled=4", "--set", "evaluation.every=5"]
SMALL += ["--set", "run.checkpoint_every=4", "--set", "run.log_every=1", "--set", "run.tensorboard=false"]
SMALL += ["--set", "network.channels=8", "--set", "network.low_channels=4", "--workers", "0", "--quiet"]

Call = Callable[..., tuple[int, str, str]]


def train(output: Path, *more: str, method: str = "fixmatch", protocol: str = "shapes-16", steps: int = 10) -> list[str]:
    wanted = ["run", "--method", method, "--protocol", protocol, "--output", str(output), "--set", f"recipe.steps={steps}"]
    return [*wanted, *SMALL, *more]


def folder_of(output: Path) -> Path:
    (found,) = output.glob("*/*/*/config.toml")
    return found.parent


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run of ten steps."""
    output = tmp_path_factory.mktemp("runs")
    with pytest.raises(SystemExit) as done:
        main(train(output))
    assert not done.value.code
    return folder_of(output)


def test_the_folder_holds_everything_that_a_run_leaves(finished: Path) -> None:
    names = {path.name for path in finished.rglob("*") if path.is_file()}
    assert names >= {"result.json", "scores.npz", "events.jsonl", "config.toml", "environment.json", "status.json"}
    assert names >= {"last.pt", "best.pt", "val.png"}
    assert finished.parts[-3:-1] == ("shapes-16", "fixmatch")


def test_the_result_names_what_the_issue_of_a_number_needs(finished: Path) -> None:
    content = json.loads((finished / "result.json").read_text())
    assert content["schema"] == 1
    assert content["status"] == "complete"
    assert content["seed"] == 0
    assert content["division"] == "custom"
    assert content["synthetic"] is True
    assert content["macs"] > 0
    assert re.fullmatch("[0-9a-f]{64}", content["digest"])
    assert content["run_id"].startswith(finished.name)
    assert np.sum(content["confusion"]) == 300 * 64 * 64


def test_the_mean_can_be_derived_again_from_the_matrix_and_from_the_counts_per_image(finished: Path) -> None:
    record = result.read(finished / "result.json")
    confusion = np.array(record.confusion)
    union = confusion.sum(axis=0) + confusion.sum(axis=1) - np.diag(confusion)
    iou = np.diag(confusion)[union > 0] / union[union > 0]
    assert record.miou == pytest.approx(iou.mean())
    counts = per_image.load(finished / "scores.npz", 300, len(record.class_names))
    assert np.array_equal(counts.intersection.sum(axis=0), np.diag(confusion))
    assert np.array_equal(counts.truth.sum(axis=0), confusion.sum(axis=1))


def test_a_result_can_be_published_as_it_is(finished: Path) -> None:
    text = (finished / "result.json").read_text() + (finished / "environment.json").read_text()
    assert str(finished.parents[2]) not in text
    assert os.uname().nodename not in re.findall(r'"([^"]*)"', text)
    assert not re.search(r'"/[a-z]', text)


def test_the_digest_of_the_final_tensors_is_that_of_the_checkpoint(finished: Path) -> None:
    state = checkpoint.load(finished / "checkpoints" / "last.pt")["method"]
    assert result.read(finished / "result.json").digests.tensors == checkpoint.digest_tensors(state)


def test_a_finished_run_is_returned_at_once(finished: Path, call: Call) -> None:
    with RunFolder(finished).lock():  # a second lock would be refused: reading needs none, nor a folder that can be written
        before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
        code, output, _ = call(*train(finished.parents[2], "--json"))
        assert before == {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    assert code == 0
    assert json.loads(output)[0]["run_id"].startswith(finished.name)


@pytest.fixture
def unrecorded(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run whose process was killed just before it recorded the result."""
    folder = folder_of(Path(shutil.copytree(finished.parents[2], tmp_path / "copy")))
    (folder / "result.json").unlink()
    return folder


def test_a_run_that_another_process_finishes_just_before_the_lock_is_returned(
    finished: Path, unrecorded: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = RunFolder.lock

    def finish_first(folder: RunFolder) -> Any:
        shutil.copy(finished / "result.json", folder.result)
        return lock(folder)

    monkeypatch.setattr(RunFolder, "lock", finish_first)
    monkeypatch.setattr("semibench.harness.run._run", lambda *_: pytest.fail("it ran again"))
    assert call(*train(unrecorded.parents[2]))[0] == 0


def test_a_status_that_a_killed_process_left_behind_is_mended(finished: Path, call: Call) -> None:
    status = finished / "status.json"
    whole = status.read_text()
    status.write_text(whole.replace("complete", "running"))
    assert call(*train(finished.parents[2]))[0] == 0
    assert status.read_text() == whole


def test_a_run_without_a_checkpoint_starts_as_if_it_had_never_begun(finished: Path, unrecorded: Path, call: Call) -> None:
    (unrecorded / "checkpoints" / "last.pt").unlink()
    assert call(*train(unrecorded.parents[2]))[0] == 0
    same_outcome(finished, unrecorded)
    kinds = [event["event"] for event in Events(unrecorded / "events.jsonl").read()]
    assert (kinds.count("started"), kinds.count("evaluate"), kinds.count("resumed")) == (1, 2, 0)


def test_the_best_scores_carry_the_step_of_the_weights_that_were_scored(unrecorded: Path, call: Call) -> None:
    best = unrecorded / "checkpoints" / "best.pt"
    checkpoint.save(best, checkpoint.load(best) | {"step": 1})
    log = Events(unrecorded / "events.jsonl")
    log.path.write_text(re.sub(r'("evaluate", "step": 5, "miou": )[0-9.e-]+', r"\g<1>0.99", log.path.read_text()))
    assert call(*train(unrecorded.parents[2]))[0] == 0
    assert result.read(unrecorded / "result.json").best.step == 1


def test_an_interrupt_outside_the_training_says_how_to_continue(
    finished: Path, unrecorded: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("semibench.harness.run.measure_cost", interrupt)
    code, _, errors = call(*train(unrecorded.parents[2]))
    assert code == 130
    assert "last checkpoint is of step 10. Give the same command again to continue" in errors
    status = json.loads((unrecorded / "status.json").read_text())
    assert (status["status"], status["step"]) == ("running", 10)
    monkeypatch.undo()
    assert call(*train(unrecorded.parents[2]))[0] == 0
    same_outcome(finished, unrecorded)


def test_an_output_folder_that_cannot_be_made_is_one_paragraph(tmp_path: Path, call: Call) -> None:
    (tmp_path / "file").touch()
    code, _, errors = call(*train(tmp_path / "file"))
    assert code == 1
    assert "cannot be made or written" in errors
    assert "choose another --output" in errors


def test_where_a_run_is_carried_out_does_not_change_its_id(finished: Path, call: Call) -> None:
    code, output, _ = call(*train(finished.parents[2], "--dry-run", "--workers", "1", "--device", "cpu"))
    assert code == 0
    assert f"{finished.name} (finished)" in output


def test_evaluate_scores_the_checkpoint_as_the_run_did(finished: Path, call: Call) -> None:
    code, output, _ = call("evaluate", finished, "--json")
    assert code == 0
    assert json.loads(output)["confusion"] == json.loads((finished / "result.json").read_text())["confusion"]


def test_predict_writes_class_indices_and_an_overlay(finished: Path, call: Call, tmp_path: Path) -> None:
    from PIL import Image

    from semibench.protocols.datasets.shapes import Shapes

    Image.fromarray(Shapes().image("val_000")).save(tmp_path / "one.png")
    code, _, _ = call("predict", finished, tmp_path / "one.png", "--output", tmp_path / "labels")
    assert code == 0
    with Image.open(tmp_path / "labels" / "one.png") as picture:
        assert picture.mode == "P"
        labels = np.asarray(picture)
    assert labels.shape == (64, 64)
    assert labels.max() < 10
    with Image.open(tmp_path / "labels" / "one_overlay.png") as picture:
        assert picture.size == (64, 64)


def test_picture_puts_runs_side_by_side(finished: Path, call: Call, tmp_path: Path) -> None:
    from PIL import Image

    code, _, _ = call("picture", finished, finished, "--count", "3", "--output", tmp_path / "grid.png")
    assert code == 0
    with Image.open(tmp_path / "grid.png") as picture:
        assert picture.width > 4 * 160


def test_compare_shows_the_run(finished: Path, call: Call) -> None:
    code, output, _ = call("compare", finished.parents[2])
    assert code == 0
    assert "| fixmatch" in output
    assert "drawn by the program" in output


def test_several_seeds_are_several_runs(tmp_path: Path, call: Call) -> None:
    code, output, _ = call(*train(tmp_path, "--seed", "0,1", method="supervised", steps=2))
    assert code == 0
    assert output.count("mIoU") == 2
    assert len(list(tmp_path.glob("*/*/*/result.json"))) == 2


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


def same_outcome(first: Path, second: Path) -> None:
    one, other = (json.loads((folder / "result.json").read_text()) for folder in (first, second))
    assert one["digests"] == other["digests"]
    assert one["confusion"] == other["confusion"]
    assert one["best"] == other["best"]
    assert one["run_id"] == other["run_id"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=["killed", "interrupted"])
def test_a_stopped_run_ends_as_if_it_had_not_been_stopped(
    tmp_path: Path, call: Call, start: Callable[..., Any], number: int
) -> None:
    steps = 60
    assert call(*train(tmp_path / "whole", steps=steps))[0] == 0
    process = start(train(tmp_path / "stopped", "--set", "run.threads=1", steps=steps))
    until(lambda: len(list((tmp_path / "stopped").glob("*/*/*/checkpoints/last.pt"))) == 1, process)
    process.send_signal(number)
    _, errors = process.communicate(timeout=120)
    folder = folder_of(tmp_path / "stopped")
    assert not (folder / "result.json").exists()
    if number == signal.SIGINT:
        assert process.returncode == 130
        assert "Give the same command again to continue" in errors
        assert json.loads((folder / "status.json").read_text())["status"] == "running"
    assert call(*train(tmp_path / "stopped", steps=steps))[0] == 0
    same_outcome(folder_of(tmp_path / "whole"), folder)
    events = Events(folder / "events.jsonl").read()
    assert sum(event["event"] == "resumed" for event in events) == 1
    logged = [event["step"] for event in events if event["event"] == "log"]
    assert logged == list(range(1, steps + 1))
    assert json.loads((folder / "result.json").read_text())["provenance"]["resumed"] == 1


def test_a_run_that_ended_between_checkpoint_and_evaluation_makes_up_for_it(tmp_path: Path, call: Call) -> None:
    assert call(*train(tmp_path / "a"))[0] == 0
    assert call(*train(tmp_path / "b"))[0] == 0
    folder = folder_of(tmp_path / "b")
    (folder / "result.json").unlink()
    events = [event for event in Events(folder / "events.jsonl").read() if event["event"] != "evaluate" or event["step"] < 10]
    (folder / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    assert call(*train(tmp_path / "b"))[0] == 0
    same_outcome(folder_of(tmp_path / "a"), folder)


def test_a_half_written_checkpoint_is_not_what_a_run_resumes_from(tmp_path: Path, call: Call) -> None:
    assert call(*train(tmp_path))[0] == 0
    folder = folder_of(tmp_path)
    (folder / "result.json").unlink()
    last = folder / "checkpoints" / "last.pt"
    last.write_bytes(last.read_bytes()[:500])
    code, _, errors = call(*train(tmp_path))
    assert code == 4
    assert "last.pt cannot be read" in errors


def test_a_loss_that_is_not_finite_fails_the_run_and_keeps_the_last_checkpoint(tmp_path: Path, call: Call) -> None:
    code, _, errors = call(*train(tmp_path, "--set", "recipe.optimizer.lr=1e30", method="supervised"))
    assert code == 1
    assert "is not finite" in errors
    status = json.loads((folder_of(tmp_path) / "status.json").read_text())
    assert status["status"] == "failed"
    assert "not finite" in status["error"]
    assert "failed" in call("list", "runs", tmp_path)[1]


def test_a_run_that_crashes_is_not_said_to_be_under_way(tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: Any, **__: Any) -> None:
        raise ValueError("more than 1 value per channel")

    monkeypatch.setattr("semibench.methods.supervised.Supervised.forward", crash)
    with pytest.raises(ValueError, match="per channel"):
        main(train(tmp_path, method="supervised"))
    status = json.loads((folder_of(tmp_path) / "status.json").read_text())
    assert (status["status"], status["error"]) == ("failed", "more than 1 value per channel")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--method", "fixmach", "--protocol", "shapes-16"], 2, "nearest: fixmatch"),
        (["--method", "fixmatch", "--protocol", "shape-16"], 2, "nearest: shapes-16"),
        (["--method", "fixmatch", "--protocol", "shapes-16", "--set", "recipe.stps=3"], 2, "Nearest: steps"),
        (["--method", "fixmatch", "--protocol", "shapes-all"], 2, "no unlabelled images"),
        (["--method", "fixmatch", "--protocol", "shapes-16", "--device", "cuda:7"], 2, "device 'cuda:7' is not available"),
        (["--method", "fixmatch", "--protocol", "shapes-16", "--precision", "fp16"], 2, "precision fp16 needs a CUDA device"),
        (["--method", "fixmatch", "--protocol", "shapes-16", "--weights", "none.pth"], 2, "weight file none.pth not found"),
        (["--method", "fixmatch", "--protocol", "shapes-16", "--seed", "x"], 2, "is not a list of seeds"),
        (["--method", "fixmatch", "--protocol", "camvid-37@hash0", "--data-root", "nowhere"], 4, "--data-root"),
    ],
    ids=["method", "protocol", "key", "no-unlabelled", "device", "precision", "weights", "seed", "data-root"],
)
def test_a_wrong_command_is_one_paragraph_with_the_next_step(
    tmp_path: Path, call: Call, arguments: list[str], code: int, message: str
) -> None:
    found, _, errors = call("run", *arguments, "--output", tmp_path)
    assert found == code
    assert message in errors
    assert "Traceback" not in errors


def test_threads_are_recorded(finished: Path) -> None:
    assert result.read(finished / "result.json").provenance.threads == torch.get_num_threads()


def test_the_processor_is_recorded(finished: Path) -> None:
    machine = result.read(finished / "result.json").provenance.machine
    assert machine == json.loads((finished / "environment.json").read_text())["processor"]
