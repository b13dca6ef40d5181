"""Runs that start from files of others: pretrained weights, and the lists of a data set."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from semibench.harness.cli import main
from semibench.hashing import digest_file, digest_ids
from semibench.methods.networks._encoders import build_contour_encoder
from semibench.methods.networks._tiny import TinyEncoder
from semibench.protocols.protocol import load

SMALL = ["recipe.steps=1", "recipe.batch.labeled=2", "recipe.batch.unlabeled=2", "run.tensorboard=false", "run.workers=0"]
SMALL += ["network.channels=8", "network.low_channels=4"]

Call = Callable[..., tuple[int, str]]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Call:
    """Train on a protocol with further options; return exit code and errors."""

    def run(protocol: str, *more: str | Path) -> tuple[int, str]:
        settings = [word for setting in SMALL for word in ("--set", setting)]
        wanted = ["run", "--method", "supervised", "--protocol", protocol, "--output", str(tmp_path / "runs"), "--quiet"]
        with pytest.raises(SystemExit) as done:
            main([*wanted, *settings, *map(str, more)])
        return int(done.value.code or 0), capsys.readouterr().err

    return run


def encoder_tensors() -> dict[str, Tensor]:
    torch.manual_seed(0)
    return {name: tensor for name, tensor in TinyEncoder().state_dict().items() if tensor.is_floating_point()}


def test_the_record_says_what_of_a_weight_file_fitted(call: Call, tmp_path: Path) -> None:
    tensors = encoder_tensors()
    absent, *kept = tensors
    file = tmp_path / "encoder.safetensors"
    save_file({name: tensors[name] for name in kept} | {"head.weight": torch.zeros(2)}, file)
    code, errors = call("shapes-16", "--weights", file)
    assert code == 0, errors
    (path,) = tmp_path.glob("runs/*/*/*/result.json")
    text = path.read_text()
    assert json.loads(text)["weights"] == [
        {
            "name": "encoder.safetensors",
            "sha256": digest_file(file),
            "matched": len(kept),
            "missing": [f"encoder.{absent}"],
            "unexpected": ["head.weight"],
            "trained_on": None,
        }
    ]
    assert str(tmp_path) not in text


def test_other_weights_make_another_run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    ids = set()
    for shift in (1, 2, None):
        file = tmp_path / "weights.safetensors"
        save_file({name: tensor + (shift or 0) for name, tensor in encoder_tensors().items()}, file)
        weights = ["--weights", str(file)] if shift else []
        with pytest.raises(SystemExit):
            main(["run", "--method", "supervised", "--protocol", "shapes-16", "--dry-run", *weights])
        ids.add(capsys.readouterr().out.split()[1])
    assert len(ids) == 3


def test_weights_that_fit_nowhere_are_refused_by_name(call: Call, tmp_path: Path) -> None:
    file = tmp_path / "other.safetensors"
    save_file({"transformer.weight": torch.zeros(3)}, file)
    code, errors = call("shapes-16", "--weights", file)
    assert code == 4
    assert "weight file other.safetensors fits nowhere: it has transformer.weight, the network has" in errors
    assert not list(tmp_path.glob("runs/*/*/*/result.json"))


def test_a_damaged_weight_file_is_refused_by_name(call: Call, tmp_path: Path) -> None:
    file = tmp_path / "cut.safetensors"
    save_file(encoder_tensors(), file)
    file.write_bytes(file.read_bytes()[:100])
    code, errors = call("shapes-16", "--weights", file)
    assert code == 4
    assert "weight file cut.safetensors cannot be read" in errors


def test_another_list_than_the_official_one_is_refused_with_both_digests(call: Call, tmp_path: Path) -> None:
    folder = tmp_path / "camvid"
    folder.mkdir()
    lists = {"train": ["a", "b"], "val": ["c"], "test": ["d"]}
    for subset, ids in lists.items():
        (folder / f"{subset}.txt").write_text("\n".join(ids) + "\n")
    code, errors = call("camvid-37@hash0", "--data-root", tmp_path)
    assert code == 4
    assert f"the list 'train' of camvid has 2 ids with the digest {digest_ids(lists['train'])[:12]}" in errors
    expected = load("camvid-37@hash0").subsets["train"]
    assert f"means {expected.count} with {expected.sha256[:12]}" in errors
    assert not (tmp_path / "runs").exists()


# A file for one part of the network.

GUIDED = ["run", "--method", "semivl", "--protocol", "shapes-16", "--quiet", "--set", "network.conv_encoder=resnet18"]
GUIDED += ["--set", "network.channels=16", "--set", "network.rates=[1]"]


def contours(path: Path, shift: float = 0.0) -> Path:
    encoder, _ = build_contour_encoder("resnet18")
    save_file({name: tensor + shift for name, tensor in encoder.state_dict().items() if tensor.is_floating_point()}, path)
    return path


def test_a_part_has_a_file_of_its_own_beside_the_clip(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = contours(tmp_path / "resnet18.safetensors")
    settings = [word for setting in SMALL[:-2] for word in ("--set", setting)]
    with pytest.raises(SystemExit) as done:
        main([*GUIDED, *settings, "--weights", f"conv_encoder={file}", "--output", str(tmp_path / "runs")])
    assert not done.value.code, capsys.readouterr().err
    (path,) = tmp_path.glob("runs/*/*/*/result.json")
    weights = {each["name"]: each for each in json.loads(path.read_text())["weights"]}
    assert set(weights) == {"resnet18.safetensors", "tiny_clip.safetensors"}
    own = weights["resnet18.safetensors"]
    assert (own["sha256"], own["missing"], own["unexpected"]) == (digest_file(file), [], [])
    with pytest.raises(SystemExit) as checked:
        main(["check-results", str(tmp_path / "runs")])
    assert not checked.value.code, capsys.readouterr().out


def test_the_file_of_a_part_is_part_of_the_identity(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    ids = set()
    for shift in (1.0, 2.0, None):
        path = contours(tmp_path / "resnet18.safetensors", shift or 0.0)
        with pytest.raises(SystemExit):
            main([*GUIDED, "--dry-run", *([] if shift is None else ["--weights", f"conv_encoder={path}"])])
        ids.add(capsys.readouterr().out.split()[1])
    assert len(ids) == 3


def test_a_part_overrides_the_whole_in_whatever_order_they_are_given(call: Call, tmp_path: Path) -> None:
    tensors = encoder_tensors()
    for name, shift in (("whole", 1), ("part", 2)):
        save_file({key: tensor + shift for key, tensor in tensors.items()}, tmp_path / f"{name}.safetensors")
    whole, part = ("--weights", tmp_path / "whole.safetensors"), ("--weights", f"encoder={tmp_path / 'part.safetensors'}")
    results = []
    for number, files in enumerate(((*whole, *part), (*part, *whole))):
        code, errors = call("shapes-16", *files, "--output", tmp_path / str(number))
        assert code == 0, errors
        (path,) = (tmp_path / str(number)).glob("*/*/*/result.json")
        results.append(json.loads(path.read_text()))
    one, other = ({key: result[key] for key in ("run_id", "digests", "weights")} for result in results)
    assert one == other
    assert [weights["name"] for weights in one["weights"]] == ["whole.safetensors", "part.safetensors"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["encoder={}"], "the encoder of this network is a CLIP"),
        (["conv_encoder={}", "conv_encoder={}"], "two files for one part of the network"),
        (["tail={}"], "part of the network 'tail' not found"),
    ],
    ids=["encoder", "twice", "unknown"],
)
def test_files_that_have_no_place_are_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, files: list[str], message: str
) -> None:
    path = contours(tmp_path / "resnet18.safetensors")
    with pytest.raises(SystemExit) as done:
        main([*GUIDED, "--dry-run", *(word for file in files for word in ("--weights", file.format(path)))])
    assert done.value.code == 2
    assert message in capsys.readouterr().err
