"""semibench score: label maps of another program are counted as the evaluator counts, and say that they are external."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from semibench.harness.evaluate import evaluate
from semibench.protocols.protocol import load
from semibench.protocols.recipe import Normalization
from semibench.reports import per_image, store
from semibench.reports import result as record


@pytest.fixture
def maps(camvid, monkeypatch, tmp_path):
    """Label maps of CamVid's three generated test frames, beside its folder."""
    monkeypatch.setattr(
        "semibench.protocols.protocol.Protocol.evaluated", lambda self, data, subset, **_: tuple(data.ids(subset))
    )
    monkeypatch.setattr("semibench.protocols.protocol.Protocol.digest", lambda self, data, **_: "a" * 64)
    dataset = load("camvid-all").open(camvid.parent)
    (tmp_path / "maps").mkdir()
    for id in dataset.ids("test"):
        Image.fromarray(dataset.image(id)[..., 0] % len(dataset.class_names)).save(tmp_path / "maps" / f"{id}.png")
    return tmp_path / "maps"


@pytest.fixture
def score(call, camvid, maps, tmp_path):
    def run(*more, name="elsewhere"):
        where = ["--data-root", camvid.parent, "--output", tmp_path / "runs"]
        return call("score", maps, "--protocol", "camvid-all", "--name", name, *where, *more)

    return run


def _folder(tmp_path):
    [path] = (tmp_path / "runs").glob("*/*/*/result.json")
    return path.parent


def test_the_counts_are_those_of_the_evaluator(score, maps, camvid, tmp_path):
    code, output, errors = score()
    assert code == 0, errors
    protocol = load("camvid-all")
    dataset = protocol.open(camvid.parent)
    n_classes = len(dataset.class_names)

    class SameLabels(nn.Module):
        def forward(self, image):
            labels = (image[:, 0] * 255).round().long() % n_classes
            return 9.0 * nn.functional.one_hot(labels, n_classes).movedim(-1, 1).float()

    plain = Normalization(mean=(0, 0, 0), std=(1, 1, 1))
    with torch.no_grad():
        expected = evaluate(SameLabels(), dataset, tuple(dataset.ids("test")), protocol.rule(), plain)
    folder = _folder(tmp_path)
    result = record.read(folder / "result.json")
    np.testing.assert_array_equal(result.confusion, expected.confusion)
    assert result.digests.truth == expected.truth_digest
    counts = per_image.load(folder / "scores.npz", 3, n_classes)
    for name in ("ids", "intersection", "truth", "prediction", "boundary_intersection", "boundary_union"):
        np.testing.assert_array_equal(getattr(counts, name), getattr(expected.per_image, name))
    assert f"mIoU                 {100 * result.miou:6.2f}  (3 images of test)" in output


def test_what_is_not_known_is_not_invented(score, tmp_path):
    score("--seed", "3", "--backbone", "vit-b", "--about", "made by hand")
    result = record.read(_folder(tmp_path) / "result.json")
    assert (result.kind, result.division, result.seed, result.backbone) == ("external", "external", 3, "vit-b")
    assert (result.cost, result.macs, result.last.calibration_error, result.recipe) == (None, None, None, {})
    assert result.about == "made by hand"


def test_it_passes_the_check_of_results_until_somebody_edits_it(score, call, tmp_path, monkeypatch):
    score("--seed", "1")
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    monkeypatch.setattr("semibench.protocols.names.documents", dict)  # three frames are not the official subset
    assert call("check-results", tmp_path / "runs")[0] == 0
    path = _folder(tmp_path) / "result.json"
    path.write_text(path.read_text().replace('"seed": 1,', '"seed": 2,'))
    assert "run_id does not follow" in call("check-results", tmp_path / "runs")[1]


def test_scoring_the_same_maps_again_changes_nothing_and_other_maps_are_another_result(score, maps, tmp_path):
    score()
    before = (_folder(tmp_path) / "result.json").read_bytes()
    assert score()[0] == 0
    assert (_folder(tmp_path) / "result.json").read_bytes() == before
    first = sorted(maps.iterdir())[0]
    Image.fromarray(np.zeros((6, 8), np.uint8)).save(first)
    score("--seed", "1")
    assert len(store.read([tmp_path / "runs"]).results) == 2


def test_json_is_the_record_of_the_scores(score):
    found = json.loads(score("--json")[1])
    assert (found["n_images"], found["subset"], found["calibration_error"]) == (3, "test", None)


def test_a_missing_map_is_data_and_nothing_is_written(score, maps, tmp_path):
    sorted(maps.iterdir())[0].unlink()
    code, _, errors = score()
    assert code == 4
    assert "no label map of 1 of 3 images: 'test_0'" in errors
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("name", ["../up", "a/b", "", "-x", "<b>", "=1+1", "x" * 61])
def test_a_name_is_one_that_a_folder_and_a_table_can_have(score, name):
    code, _, errors = score(name=name)
    assert code == 2
    assert "is not a name of at most 60" in errors


def test_a_table_shows_it_apart_with_what_is_said_of_it(score, make_result, save_result, call, tmp_path):
    score("--about", "threshold | at 128")
    code, output, errors = call(
        "compare", tmp_path / "runs", "--columns", "method,division,miou,last,hours,calibration_error,macs"
    )
    assert code == 0, errors
    [row] = [line for line in output.splitlines() if line.startswith("| elsewhere")]
    assert "| external" in row
    assert row.count("\N{EN DASH}") == 4
    assert "how it predicted and what that cost was not seen" in output
    assert r"elsewhere (external), as its scorer says: threshold \| at 128" in output
