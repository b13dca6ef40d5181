"""Fixtures that several rooms share."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: tensors here are small, processes many

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

from semibench.harness.cli import main
from semibench.hashing import digest_json
from semibench.protocols.protocol import EvaluationRule
from semibench.reports import result as record
from semibench.reports.figures import derive
from semibench.reports.result import Cost, Digests, Latency, Provenance, Result, Scores

settings.register_profile("semibench", derandomize=True, deadline=None, max_examples=60)
settings.load_profile("semibench")


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run the command line in this process; return exit code, output and errors."""

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as done:
            main(list(map(str, arguments)))
        captured = capsys.readouterr()
        return int(done.value.code or 0), captured.out, captured.err

    return run


@pytest.fixture
def camvid(tmp_path: Path) -> Path:
    """CamVid's layout with generated frames of 8 x 6 pixels: five for training, three each to validate and test."""
    folder = tmp_path / "data" / "camvid"
    for number, (subset, count) in enumerate({"train": 5, "val": 3, "test": 3}.items()):
        ids = [f"{subset}_{index}" for index in range(count)]
        for name in (subset, f"{subset}annot"):
            (folder / name).mkdir(parents=True)
        (folder / f"{subset}.txt").write_text("\n".join(ids))
        for index, id in enumerate(ids):
            generator = np.random.default_rng([number, index])
            Image.fromarray(generator.integers(0, 256, (6, 8, 3), np.uint8)).save(folder / subset / f"{id}.jpg")
            Image.fromarray(generator.integers(0, 12, (6, 8), np.uint8)).save(folder / f"{subset}annot" / f"{id}.png")
    return folder


@pytest.fixture
def make_result() -> Callable[..., Result]:
    """Build a result of two classes and eight pixels, mIoU 0.6 unless told otherwise; keywords replace its fields."""
    return _make_result


@pytest.fixture
def save_result(tmp_path: Path) -> Callable[[Result], Path]:
    """Write a result into its folder below ``tmp_path``; return the folder."""

    def save(result: Result, root: Path = tmp_path) -> Path:
        folder = root / result.protocol / result.method / result.run_id[:12]
        record.write(result, folder / "result.json")
        return folder

    return save


def _make_result(
    confusion: Any = ((3, 1), (1, 3)),
    images_per_second: float | None = 100.0,
    device: str = "cpu",
    machine: str = "Processor 1",
    threads: int = 2,
    **fields: Any,
) -> Result:
    rule = fields.pop("evaluation", EvaluationRule(mode="whole", select_on="val", report_on="test"))
    scores = _scores(confusion, rule)
    cost = _cost(images_per_second)
    values = {
        "protocol": "voc-92",
        "dataset": "voc",
        "synthetic": False,
        "class_names": ("background", "ring"),
        "digest": "a" * 64,
        "digests": Digests(evaluation="b" * 64, recipe="c" * 64, truth="d" * 64, tensors="e" * 64),
        "method": "fixmatch",
        "config": {"threshold": 0.95},
        "network": {"name": "deeplab", "encoder": "resnet18"},
        "backbone": "resnet18",
        "division": "controlled",
        "recipe": {"steps": 60},
        "seed": 0,
        "steps": 60,
        "evaluation": rule,
        "miou": scores.miou,
        "confusion": scores.confusion,
        "last": scores,
        "best": scores,
        "macs": cost.macs,
        "cost": cost,
        "weights": (),
        "provenance": Provenance(
            semibench="0.1.0",
            numerics=1,
            engine="native",
            device=device,
            machine=machine,
            threads=threads,
            resumed=0,
            versions={"torch": "2.9.0"},
        ),
    } | fields
    identity = {key: values[key] for key in ("protocol", "digest", "method", "config", "network", "recipe", "seed")}
    return Result(**{"run_id": digest_json(identity)} | values)


def _scores(confusion: Any, rule: EvaluationRule) -> Scores:
    return Scores(
        **derive(confusion, rule.classes)._asdict(),
        subset=rule.report_on,
        step=60,
        n_images=2,
        boundary_iou=0.25,
        calibration_error=0.125,
        confusion=confusion,
    )


def _cost(images_per_second: float | None) -> Cost:
    latency = None
    if images_per_second is not None:
        seconds = 1 / images_per_second
        latency = Latency(
            batch=1, size=(64, 64), repeats=20, p50=seconds, p90=seconds, p99=seconds, images_per_second=images_per_second
        )
    return Cost(
        parameters=1_234_567,
        trainable_parameters=1_234_567,
        macs=10_670_000,
        flops=21_340_000,
        uncounted={},
        input_size=(64, 64),
        latency=latency,
        training_images_per_second=200.0,
        data_wait=0.01,
        training_seconds=30.0,
        peak_memory=2**30,
        peak_memory_of="process",
    )
