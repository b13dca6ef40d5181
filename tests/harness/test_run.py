"""Whole runs through the command line: train, record, return, refuse."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from semibench.harness import checkpoint
from semibench.harness.cli import main
from semibench.harness.folder import RunFolder
from semibench.methods.networks import _detectron2
from semibench.reports import per_image, result

Call = Callable[..., tuple[int, str, str]]
Train = Callable[..., list[str]]
FolderOf = Callable[[Path], Path]


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


def test_a_finished_run_is_returned_at_once(finished: Path, call: Call, train: Train) -> None:
    with RunFolder(finished).lock():  # a second lock would be refused: reading needs none, nor a folder that can be written
        before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
        code, output, _ = call(*train(finished.parents[2], "--json"))
        assert before == {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    assert code == 0
    assert json.loads(output)[0]["run_id"].startswith(finished.name)


def test_an_output_folder_that_cannot_be_made_is_one_paragraph(tmp_path: Path, call: Call, train: Train) -> None:
    (tmp_path / "file").touch()
    code, _, errors = call(*train(tmp_path / "file"))
    assert code == 1
    assert "cannot be made or written" in errors
    assert "choose another --output" in errors


def test_where_a_run_is_carried_out_does_not_change_its_id(finished: Path, call: Call, train: Train) -> None:
    code, output, _ = call(*train(finished.parents[2], "--dry-run", "--workers", "1", "--device", "cpu", "--engine", "native"))
    assert code == 0
    assert f"{finished.name} (finished)" in output


def test_the_result_names_the_engine_that_auto_chose(finished: Path) -> None:
    engine = result.read(finished / "result.json").provenance.engine
    assert engine == ("detectron2" if _detectron2.is_usable() else "native")


def test_evaluate_scores_the_checkpoint_as_the_run_did(finished: Path, call: Call) -> None:
    code, output, _ = call("evaluate", finished, "--json")
    assert code == 0
    assert json.loads(output)["confusion"] == json.loads((finished / "result.json").read_text())["confusion"]


def test_the_share_of_pseudo_labels_is_the_mean_of_what_was_logged(finished: Path) -> None:
    events = [json.loads(line) for line in (finished / "events.jsonl").read_text().splitlines()]
    logged = [event["scalars"]["coverage"] for event in events if event["event"] == "log"]
    assert len(logged) == 10
    assert json.loads((finished / "result.json").read_text())["coverage"] == pytest.approx(sum(logged) / 10)


def test_what_pseudo_labels_are_worth_is_an_oracle_that_only_evaluate_asks(
    finished: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    from semibench.protocols.datasets.base import Dataset
    from semibench.protocols.protocol import Protocol, Split

    usual = Protocol.split

    def few(self: Protocol, dataset: Dataset, *, partial: bool = False) -> Split:
        labeled, unlabeled = usual(self, dataset, partial=partial)
        return Split(labeled, unlabeled[:20])

    monkeypatch.setattr(Protocol, "split", few)
    code, output, _ = call("evaluate", finished, "--subset", "unlabeled", "--json")
    found = json.loads(output)
    assert (code, found["subset"], found["n_images"]) == (0, "unlabeled", 20)
    everything = found["oracle"][0]
    assert (everything["above"], everything["coverage"]) == (0, 1)
    assert everything["precision"] == pytest.approx(found["pixel_accuracy"])
    assert [row["coverage"] for row in found["oracle"]] == sorted((row["coverage"] for row in found["oracle"]), reverse=True)
    assert "oracle: pseudo-labels of these images" in call("evaluate", finished, "--subset", "unlabeled")[1]


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


def test_several_seeds_are_several_runs(tmp_path: Path, call: Call, train: Train) -> None:
    code, output, _ = call(*train(tmp_path, "--seed", "0,1", method="supervised", steps=2))
    assert code == 0
    assert output.count("mIoU") == 2
    assert len(list(tmp_path.glob("*/*/*/result.json"))) == 2


def test_a_loss_that_is_not_finite_fails_the_run_and_keeps_the_last_checkpoint(
    tmp_path: Path, call: Call, train: Train, folder_of: FolderOf
) -> None:
    code, _, errors = call(*train(tmp_path, "--set", "recipe.optimizer.lr=1e30", method="supervised"))
    assert code == 1
    assert "is not finite" in errors
    status = json.loads((folder_of(tmp_path) / "status.json").read_text())
    assert status["status"] == "failed"
    assert "not finite" in status["error"]
    assert "failed" in call("list", "runs", tmp_path)[1]


def test_a_run_that_crashes_is_not_said_to_be_under_way(
    tmp_path: Path, train: Train, folder_of: FolderOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object, **__: object) -> None:
        raise ValueError("more than 1 value per channel")

    monkeypatch.setattr("semibench.methods.supervised.Supervised.after_step", crash)
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


def test_what_a_run_wrote_passes_every_check_of_results(finished: Path, call: Call) -> None:
    code, output, _ = call("check-results", finished)
    assert (code, output) == (0, "1 result is as written: 13 checks.\n")
