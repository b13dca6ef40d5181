"""Runs of a method that trains nothing: the same commands, records and evaluator as for any other."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from semibench.harness.cli import main
from semibench.hashing import digest_file
from semibench.methods.networks import _clip_files
from semibench.methods.networks._clip_files import to_clip_tensors, to_metadata
from semibench.methods.networks._clip_text import build_text_tower
from semibench.methods.networks._clips import TINY, find_kind, stand_in
from semibench.protocols.datasets.shapes import Shapes

CLASSES = "background disk ring corner triangle cross bowtie chevron stack"
Call = Callable[..., str]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Run a command; return what it prints."""

    def run(*words: str | Path) -> str:
        with pytest.raises(SystemExit) as done:
            main([*map(str, words)])
        printed = capsys.readouterr()
        assert not done.value.code, printed.err
        return printed.out

    return run


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A file of an untrained tiny CLIP."""
    kind = find_kind(TINY)
    text = dict(build_text_tower(kind.text, kind.image.embedding).named_parameters())
    path = tmp_path / "clip.safetensors"
    about = {"words": f"a photo of wheel {CLASSES}", "trained_on": "nothing"}
    tensors = to_clip_tensors(stand_in(TINY).visual) | {name: tensor.detach() for name, tensor in text.items()}
    save_file(tensors, path, metadata=to_metadata(about))
    return path


def wanted(tmp_path: Path, clip: Path, *more: str | Path) -> list[str | Path]:
    options = ["--method", "zeroshot", "--protocol", "shapes-16", "--output", tmp_path / "runs", "--quiet", "--weights", clip]
    return ["run", *options, *more]


def test_a_run_without_steps_is_recorded_and_opened_again_without_the_clip(call: Call, clip: Path, tmp_path: Path) -> None:
    first = call(*wanted(tmp_path, clip))
    (path,) = tmp_path.glob("runs/shapes-16/zeroshot/*/result.json")
    result = json.loads(path.read_text())
    assert (result["steps"], result["backbone"], result["division"]) == (0, "CLIP tiny", "controlled")
    assert (result["cost"]["trainable_parameters"], result["cost"]["training_images_per_second"]) == (0, None)
    (weights,) = result["weights"]
    assert (weights["name"], weights["sha256"]) == ("clip.safetensors", digest_file(clip))
    assert weights["trained_on"] == "nothing"
    assert call(*wanted(tmp_path, clip)) == first
    clip.unlink()
    for which in ("last", "best"):
        scores = json.loads(call("evaluate", path.parent, "--checkpoint", which, "--json"))
        assert scores["confusion"] == result["confusion"]


def test_one_s_own_words_for_the_classes_come_in_a_file_and_make_another_run(call: Call, clip: Path, tmp_path: Path) -> None:
    entries = ", ".join('["disk", "wheel"]' if name == "disk" else f'"{name}"' for name in Shapes.class_names)
    (tmp_path / "mine.toml").write_text(f'[method.concepts]\ntemplates = ["a {{name}}"]\nclasses = [{entries}]\n')
    call(*wanted(tmp_path, clip))
    call(*wanted(tmp_path, clip, "--config", tmp_path / "mine.toml"))
    results = [json.loads(path.read_text()) for path in tmp_path.glob("runs/shapes-16/zeroshot/*/result.json")]
    own = next(result for result in results if result["division"] == "custom")
    assert own["config"]["concepts"]["classes"][:3] == ["background", ["disk", "wheel"], "ring"]
    assert len(results) == 2


def test_a_dry_run_says_that_nothing_is_trained(call: Call, clip: Path, tmp_path: Path) -> None:
    assert "training   none" in call(*wanted(tmp_path, clip, "--dry-run"))


def test_a_clip_s_usual_weights_are_part_of_a_run_s_identity(
    call: Call, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_clip_files, "SHIPPED", clip)
    dry = ["run", "--method", "zeroshot", "--protocol", "shapes-16", "--output", tmp_path / "runs", "--dry-run", "--json"]
    first = json.loads(call(*dry))[0]["run_id"]
    assert json.loads(call(*dry))[0]["run_id"] == first
    save_file(
        {**load_file(clip), "logit_scale": torch.zeros(())}, clip, metadata=to_metadata({"words": f"a photo of {CLASSES}"})
    )
    assert json.loads(call(*dry))[0]["run_id"] != first
