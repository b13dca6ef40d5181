"""Fixtures that several rooms share."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: tensors here are small, processes many

import json
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import tomlkit
from hypothesis import settings
from PIL import Image

from semibench import plugins
from semibench.harness import toml
from semibench.harness.cli import main
from semibench.harness.configure import Request, resolve
from semibench.hashing import digest_ids, digest_json
from semibench.methods.networks import _detectron2
from semibench.metrics import N_BINS
from semibench.protocols import names
from semibench.protocols.protocol import EvaluationRule, Protocol, load
from semibench.records import flatten
from semibench.reports import result as record
from semibench.reports.figures import derive, derive_counts
from semibench.reports.identity import NUMERICS, possible_ids
from semibench.reports.per_image import PerImage
from semibench.reports.result import Cost, Digests, Latency, Provenance, Result, Scores, Status

settings.register_profile("semibench", derandomize=True, deadline=None, max_examples=60)
settings.load_profile("semibench")


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep what commands keep in a folder of the test's own."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("SEMIBENCH_CACHE", str(folder))
    return folder


class Published(NamedTuple):
    """A catalogue of one data set with 20 training images, and a checkout of the repository that holds its lists."""

    checkout: Path
    prefix: str  # of every source: owner/name@commit
    lists: dict[str, tuple[str, ...]]  # file of the checkout -> ids


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Published]:
    """Replace the catalogue by one of CamVid with small lists, of which nothing is kept yet."""
    pool = tuple(f"image{number:02}" for number in range(20))
    order = [int(number) for number in np.random.default_rng(0).permutation(20)]
    lists = {
        "lists/train.txt": pool,
        "lists/val.txt": ("val0", "val1"),
        "lists/classic.txt": pool[:4],
        "lists/random.txt": pool[3:7],
        "lists/leaky_rest.txt": pool[3:10],
    }
    found = Published(tmp_path / "checkout", f"owner/lists@{'c' * 40}", lists)
    for name, ids in lists.items():
        path = found.checkout / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"JPEGImages/{id}.jpg masks/{id}.png\n" for id in ids))
    (found.checkout / "order.pkl").write_bytes(pickle.dumps(np.array(order)))
    catalog = tmp_path / "catalog"
    catalog.mkdir()
    document = _document(found, tuple(pool[place] for place in order[:5]))
    (catalog / "camvid.toml").write_text(tomlkit.dumps(document))
    monkeypatch.setattr(names, "CATALOG", catalog)
    names.documents.cache_clear()
    names.entries.cache_clear()
    yield found
    monkeypatch.undo()
    names.documents.cache_clear()
    names.entries.cache_clear()


def _document(published: Published, permuted: tuple[str, ...]) -> dict[str, Any]:
    def pinned(file: str) -> dict[str, Any]:
        ids = published.lists[file]
        return {"count": len(ids), "sha256": digest_ids(ids), "source": f"{published.prefix}:{file}"}

    def labeled(file: str) -> dict[str, Any]:
        return {key: value for key, value in pinned(file).items() if key != "count"}

    applied = f"{published.prefix}:order.pkl applied to {published.prefix}:lists/train.txt (first 5)"
    classic = labeled("lists/classic.txt")
    own = pinned("lists/leaky_rest.txt") | {"defect": "image03 is also labelled"}
    protocols = {
        "camvid-all": {"labeled": "all", "family": "official"},
        "camvid-4@classic": {"labeled": 4, "family": "classic", "list": classic, "canonical": True, "aliases": ["1/5 Classic"]},
        "camvid-4@random": {
            "labeled": 4,
            "family": "random",
            "list": labeled("lists/random.txt"),
            "aliases": ["1/5", "1/5 blended"],
        },
        "camvid-4@leaky": {"labeled": 4, "family": "leaky", "list": classic, "unlabeled": own, "aliases": ["1/5 blended"]},
        "camvid-5@permuted": {"labeled": 5, "family": "permuted", "list": {"sha256": digest_ids(permuted), "source": applied}},
    }
    subsets = {"train": pinned("lists/train.txt"), "val": pinned("lists/val.txt"), "test": pinned("lists/val.txt")}
    rules = {"whole": {"mode": "whole", "select_on": "val", "report_on": "val", "source": "the test"}}
    rules["sliding"] = rules["whole"] | {"mode": "sliding", "window": [64, 64], "stride": [32, 32]}
    changes = {
        "rules": rules,
        "subsets": subsets,
        "fine": "val",
        "protocols": {key: {"about": key} | table for key, table in protocols.items()},
    }
    return {**names.documents()["camvid"], **changes}


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


@pytest.fixture
def save_run(make_result: Callable[..., Result], tmp_path: Path) -> Callable[..., Path]:
    """Write a run on shapes-48 as the harness does, consistent from its id to its log; keywords replace its fields.

    In each image ``right`` of the 100 pixels of each of the first two classes are right; other classes do not occur.
    ``images`` are scored, all of the subset unless told.
    """

    def save(right: int = 75, root: Path = tmp_path, images: int | None = None, **fields: Any) -> Path:
        protocol = load("shapes-48")
        counts = _counts(right, protocol, images)
        confusion = np.diag(counts.intersection.sum(axis=0))
        confusion[[0, 1], [1, 0]] = (counts.truth - counts.intersection).sum(axis=0)[:2]
        result = make_result(**{"confusion": confusion.tolist()} | _declared(protocol, fields.get("method", "")) | fields)
        figures = derive_counts(counts, "present")._asdict() | {"step": result.steps, "n_images": len(counts.ids)}
        digests = {"recipe": digest_json(result.recipe), "evaluation": result.evaluation.digest()}
        changes = {
            "digests": result.digests.model_copy(update=digests),
            "provenance": result.provenance.model_copy(update={"numerics": NUMERICS}),
            "last": result.last.model_copy(update=figures),
            "best": result.last.model_copy(update=figures),
        }
        result = result.model_copy(update=changes)
        result = result.model_copy(update={"run_id": possible_ids(result).pop()})
        folder = root / result.protocol / result.method / result.run_id[:12]
        record.write(result, folder / "result.json")
        counts.save(folder / "scores.npz")
        (folder / "config.toml").write_text(
            f"# run {result.run_id}\n" + ("" if result.kind == "external" else _settings(result))
        )
        status = Status(status="complete", step=result.steps, total=result.steps, seed=result.seed)
        (folder / "status.json").write_text(status.model_dump_json())
        (folder / "events.jsonl").write_text("" if result.kind == "external" else _evaluations(result))
        return folder

    return save


def _declared(protocol: Protocol, method: str) -> dict[str, Any]:
    """Return what a run of the controlled division records of its protocol, and of its method where there is one."""
    method = method if method in plugins.summaries(plugins.METHOD) else "fixmatch"
    sections = resolve(Request(method, protocol, division="controlled")).deciding()
    dataset = protocol.dataset_class()
    return {
        "protocol": protocol.name,
        "dataset": protocol.dataset,
        "synthetic": dataset.synthetic,
        "class_names": dataset.class_names,
        "digest": protocol.digest(protocol.open(None)),
        "config": {key: value for key, value in sections["method"].items() if key != "name"},
        "network": sections["network"],
        "backbone": sections["network"]["encoder"],
        "recipe": sections["recipe"],
        "evaluation": protocol.rule(),
        "steps": sections["recipe"]["steps"],
    }


def _settings(result: Result) -> str:
    sections = result.model_dump(mode="json", include={"protocol", "seed", "division", "network", "recipe", "evaluation"})
    sections["method"] = {"name": result.method, **result.config}
    return "".join(f"{key} = {toml.item(value).as_string()}\n" for key, value in flatten(sections) if value != {})


def _evaluations(result: Result) -> str:
    """Return a log of scores that rise to the last one."""
    every = result.evaluation.every or max(result.steps // 10, 1)
    found = {
        step: result.last.miou * step / result.steps for step in [*range(every, result.steps, every), result.steps] if step
    }
    return "".join(json.dumps({"event": "evaluate", "step": step, "miou": miou}) + "\n" for step, miou in found.items())


def _counts(right: int, protocol: Protocol, images: int | None) -> PerImage:
    ids = np.array(protocol.open(None).ids(protocol.rule().report_on)[:images])
    shown = np.arange(len(protocol.dataset_class().class_names)) < 2
    hits, pixels = (np.tile(shown * number, (len(ids), 1)).astype(np.int64) for number in (right, 100))
    bins, correct = np.zeros((len(ids), N_BINS), np.int64), np.zeros((len(ids), N_BINS), np.int64)
    bins[:, 14], correct[:, 14] = 200, 2 * right
    return PerImage(ids, hits, pixels, pixels, hits, pixels, bins, correct, bins * 0.95)


def _make_result(
    confusion: Any = ((3, 1), (1, 3)),
    images_per_second: float | None = 100.0,
    **fields: Any,
) -> Result:
    made = {key: fields.pop(key) for key in ("device", "machine", "threads", "processes", "compiled") if key in fields}
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
        "provenance": _provenance(**made),
    } | fields
    identity = {key: values[key] for key in ("protocol", "digest", "method", "config", "network", "recipe", "seed")}
    return Result(**{"run_id": digest_json(identity)} | values)


def _provenance(**made: Any) -> Provenance:
    values = {"semibench": "0.1.0", "numerics": 1, "engine": "native", "device": "cpu", "machine": "Processor 1", "threads": 2}
    return Provenance(**(values | {"resumed": 0, "versions": {"torch": "2.9.0"}} | made))


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


@pytest.fixture(scope="session")
def has_detectron2() -> bool:
    return _detectron2.is_usable()


@pytest.fixture
def detectron2(has_detectron2: bool) -> Callable[[str], Any]:
    if not has_detectron2:
        pytest.skip("Detectron2 is not installed")
    return _detectron2.load
