"""A run before its first step: what would stop it does so here, and leaves nothing behind."""

from pathlib import Path

import pytest
from PIL import Image
from safetensors.torch import save_file
from torch import uint8, zeros

from semibench.errors import DataError, SemibenchError, UsageError
from semibench.harness.configure import Request
from semibench.harness.prepare import Order, Prepared, check_precision, prepare
from semibench.protocols.protocol import load


def order(output: Path, *settings: str, protocol: str = "shapes-16", weights: Path | None = None) -> Prepared:
    files = {"": weights} if weights else {}
    return prepare(Order(Request("fixmatch", load(protocol), settings=settings), None, output, files))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("run.engine=natve", "engine 'natve' not found; nearest: native"),
        ("run.device=cuda:77", "device 'cuda:77' is not available"),
        ("recipe.precision=fp16", "precision fp16 needs a CUDA device"),
        ("network.encoder=resnet81", "encoder 'resnet81' not found"),
        ("network.output_stride=16", "encoder 'tiny' has no output stride 16"),
        ("method.threshold=2", "method.threshold = 2"),
        ("recipe.optimizer.groups.head.lr_multiplier=2", "parameter group 'head' not found"),
        ("recipe.accumulation=3", "accumulation = 3 does not divide"),
        ("evaluation.select_on=vall", "subset 'vall' not found; nearest: val"),
        ("evaluation.report_on=test", "subset 'test' not found"),
        ("evaluation.mode=sliding", "needs window and stride"),
    ],
    ids=lambda text: text.partition("=")[0],
)
def test_what_would_stop_a_run_is_an_error_before_anything_is_written(tmp_path: Path, setting: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        order(tmp_path, "run.device=cpu", setting)
    assert not list(tmp_path.iterdir())


def test_compiling_without_a_compiler_is_refused_before_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(UsageError, match=r"needs a C\+\+ compiler, and 'no-such-compiler' is not found"):
        order(tmp_path, "run.device=cpu", "run.compile=true")


def test_compiling_changes_no_run_s_id(tmp_path: Path) -> None:
    assert order(tmp_path, "run.compile=true").run_id == order(tmp_path).run_id


def test_a_method_that_learns_from_unlabelled_images_needs_some(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no unlabelled images"):
        order(tmp_path, protocol="shapes-all")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("subset", ["train", "val", "test"])
def test_masks_that_are_no_masks_are_found_out_before_the_run(camvid: Path, tmp_path: Path, subset: str) -> None:
    for path in (camvid / f"{subset}annot").iterdir():
        Image.fromarray(zeros(6, 8, 3, dtype=uint8).numpy()).save(path)
    request = Request("supervised", load("camvid-2@hash0"), settings=("run.partial=true", "run.device=cpu"))
    with pytest.raises(DataError, match="has the mode RGB"):
        prepare(Order(request, camvid, tmp_path / "runs"))


def test_weights_that_fit_nowhere_are_found_out_before_the_run(tmp_path: Path) -> None:
    save_file({"transformer.weight": zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(DataError, match="fits nowhere"):
        order(tmp_path / "runs", weights=tmp_path / "other.safetensors")
    assert not (tmp_path / "runs").exists()


def test_what_can_run_is_prepared_and_nothing_is_written_yet(tmp_path: Path) -> None:
    assert order(tmp_path).total == 1000
    assert not list(tmp_path.iterdir())


def test_two_names_of_a_method_are_one_run(tmp_path: Path) -> None:
    runs = [prepare(Order(Request(name, load("shapes-16")), None, tmp_path)) for name in ("supervised", "deeplabv3plus")]
    assert runs[0].run_id == runs[1].run_id
    assert runs[0].folder.path == runs[1].folder.path
    assert runs[0].resolved.to_toml() == runs[1].resolved.to_toml()


@pytest.mark.parametrize("precision", ["fp16", "tf32"])
def test_a_precision_of_gpus_is_for_gpus(precision: str) -> None:
    check_precision(precision, "cuda:0")
    with pytest.raises(SemibenchError, match="needs a CUDA device, this run is on 'mps'"):
        check_precision(precision, "mps")
