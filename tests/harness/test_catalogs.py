"""Partitions in Detectron2's catalogues, and its evaluator beside ours on the same predictions."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from semibench.harness import catalogs
from semibench.harness.catalogs import register
from semibench.harness.evaluate import Evaluation, evaluate
from semibench.methods.networks import _detectron2
from semibench.metrics import class_iou, frequency_weighted_iou, mean_iou, pixel_accuracy
from semibench.protocols.datasets.base import Dataset
from semibench.protocols.datasets.shapes import Shapes
from semibench.protocols.protocol import EvaluationRule, load
from semibench.protocols.recipe import Normalization

Load = Callable[[str], Any]
pytestmark = pytest.mark.filterwarnings("ignore:The 'warn' method is deprecated:DeprecationWarning")  # its evaluator's
ENGINES = Path(__file__).parents[2] / "docs" / "engines.md"


class Catalog(dict[str, Any]):
    """A stand-in with the documented calls of DatasetCatalog and MetadataCatalog."""

    def list(self) -> list[str]:
        return sorted(self)

    def remove(self, name: str) -> None:
        del self[name]

    def register(self, name: str, entries: Callable[[], Any]) -> None:
        assert name not in self
        self[name] = entries

    def get(self, name: str) -> Any:
        if name in self and callable(self[name]):
            return self[name]()
        return self.setdefault(name, SimpleNamespace(set=lambda **values: self[name].__dict__.update(values)))


@pytest.fixture(params=["stand-in", "package"])
def data(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    if request.param == "package":
        return request.getfixturevalue("detectron2")("detectron2.data")
    module = SimpleNamespace(DatasetCatalog=Catalog(), MetadataCatalog=Catalog())
    monkeypatch.setattr(_detectron2, "load", lambda name: module)
    return module


def test_lists_are_those_of_the_protocol(data: Any, tmp_path: Path) -> None:
    protocol = load("shapes-16")
    names, split = register("shapes-16", folder=tmp_path), protocol.split(Shapes())
    found = {name: [entry["image_id"] for entry in data.DatasetCatalog.get(name)] for name in names}
    assert found == {
        "shapes-16_labeled": list(split.labeled),
        "shapes-16_unlabeled": list(split.unlabeled),
        "shapes-16_val": list(protocol.evaluated(Shapes(), "val")),
    }


def test_files_hold_the_pixels_of_the_data_set(data: Any, tmp_path: Path) -> None:
    entry = data.DatasetCatalog.get(register("shapes-16", folder=tmp_path).labeled)[0]
    assert (np.asarray(Image.open(entry["file_name"])) == Shapes().image(entry["image_id"])).all()
    assert (np.asarray(Image.open(entry["sem_seg_file_name"])) == Shapes().mask(entry["image_id"])).all()


def test_no_mask_of_an_unlabelled_image_is_named_or_opened(data: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Shapes, "decode_mask", lambda self, id: pytest.fail("a mask was opened"))
    entries = data.DatasetCatalog.get(register("shapes-16", folder=tmp_path).unlabeled)
    assert entries
    assert all(entry.keys() == {"image_id", "file_name"} for entry in entries)


def test_metadata_hold_classes_colors_and_void(data: Any, tmp_path: Path) -> None:
    for name in register("shapes-16", folder=tmp_path):
        found = data.MetadataCatalog.get(name)
        assert found.stuff_classes == list(Shapes.class_names)
        assert found.stuff_colors == [list(color) for color in Shapes.palette]
        assert (found.ignore_label, found.evaluator_type) == (255, "sem_seg")


def test_registering_again_replaces(data: Any, tmp_path: Path) -> None:
    register("shapes-16", folder=tmp_path / "one")
    names = register("shapes-16", folder=tmp_path / "two")
    assert data.DatasetCatalog.get(names.labeled)[0]["file_name"].startswith(str(tmp_path / "two"))


class OnDisk(Shapes):
    """A picture and its annotation as files; reading counts."""

    folder: Path
    reads = 0

    def files(self, id: str) -> tuple[Path, ...]:
        return self.folder / f"{id}.jpg", self.folder / f"{id}.mat"

    def decode_mask(self, id: str) -> NDArray[np.uint8]:
        type(self).reads += 1
        return super().decode_mask(id)


def test_a_mask_is_converted_once_and_again_after_its_annotation_changed(tmp_path: Path) -> None:
    OnDisk.folder, annotation = tmp_path, tmp_path / "train_0001.mat"
    annotation.touch()
    dataset = OnDisk()
    reads = []
    for later in (0, 0, 10**10):
        stat = annotation.stat()
        os.utime(annotation, ns=(stat.st_atime_ns, stat.st_mtime_ns + later))
        (entry,) = catalogs._entries(dataset, ["train_0001"], tmp_path / "cache", True)
        reads.append(OnDisk.reads)
    assert entry["file_name"] == str(tmp_path / "train_0001.jpg")
    assert reads == [1, 1, 2]


def test_the_worked_example_of_the_documentation_runs(
    detectron2: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEMIBENCH_CACHE", str(tmp_path))
    example = ENGINES.read_text(encoding="utf-8").partition("```python\n")[2].partition("```")[0]
    held: dict[str, Any] = {}
    exec(compile(example, str(ENGINES), "exec"), held)
    batch = held["batch"]
    assert len(batch) == 4
    assert batch[0]["image"].shape[1:] == batch[0]["sem_seg"].shape
    assert batch[0]["sem_seg"].max() < len(Shapes.class_names)


# Its evaluator and ours.


class Noise(Dataset):
    """Random images and masks, a tenth void; class 2 is in no mask, class 3 neither there nor predicted."""

    class_names = ("red", "green", "blue", "none")
    palette = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 0, 0))

    @classmethod
    def locate(cls, root: Path | None) -> None:
        return None

    def ids(self, subset: str) -> list[str]:
        return [f"{index}" for index in range(6)]

    def image(self, id: str) -> NDArray[np.uint8]:
        return np.random.default_rng(int(id)).integers(0, 256, (9, 12, 3), np.uint8)

    def decode_mask(self, id: str) -> NDArray[np.uint8]:
        generator = np.random.default_rng(int(id) + 100)
        mask = generator.integers(0, 2, (9, 12)).astype(np.uint8)
        mask[generator.random(mask.shape) < 0.1] = self.ignore_index
        return mask


class Pixelwise(nn.Module):
    """The class is the strongest color."""

    def forward(self, image: Tensor) -> Tensor:
        return torch.cat([image, image.amin(dim=1, keepdim=True) - 1], dim=1)


@pytest.fixture
def ours() -> Evaluation:
    rule = EvaluationRule(mode="whole", select_on="val", report_on="val")
    plain = Normalization(mean=(0, 0, 0), std=(1, 1, 1))
    return evaluate(Pixelwise(), Noise(None), Noise(None).ids("val"), rule, plain)


@pytest.fixture
def theirs(detectron2: Load, tmp_path: Path) -> Iterator[Any]:
    """Detectron2's SemSegEvaluator after the same predictions."""
    data, dataset = detectron2("detectron2.data"), Noise(None)
    name = f"noise_{tmp_path.name}"
    data.DatasetCatalog.register(name, lambda: catalogs._entries(dataset, dataset.ids("val"), tmp_path, True))
    data.MetadataCatalog.get(name).set(stuff_classes=list(Noise.class_names), ignore_label=255)
    evaluator = detectron2("detectron2.evaluation").SemSegEvaluator(name, distributed=False)
    evaluator.reset()
    for entry in data.DatasetCatalog.get(name):
        image = torch.from_numpy(dataset.image(entry["image_id"])).permute(2, 0, 1)[None] / 255
        evaluator.process([entry], [{"sem_seg": Pixelwise()(image)[0]}])
    yield evaluator
    data.DatasetCatalog.remove(name)
    data.MetadataCatalog.remove(name)


def test_both_count_the_same_pixels(ours: Evaluation, theirs: Any) -> None:
    assert (ours.confusion == theirs._conf_matrix[:-1, :-1].T).all()  # theirs: row = prediction, and void last


def test_scores_of_classes_in_the_truth_are_the_same(ours: Evaluation, theirs: Any) -> None:
    found, iou = theirs.evaluate()["sem_seg"], class_iou(ours.confusion)
    assert [found[f"IoU-{name}"] / 100 for name in Noise.class_names[:2]] == pytest.approx(iou[:2])
    assert found["pACC"] / 100 == pytest.approx(pixel_accuracy(ours.confusion))
    assert found["fwIoU"] / 100 == pytest.approx(frequency_weighted_iou(ours.confusion))


def test_a_class_that_is_only_predicted_is_in_our_mean_and_not_in_theirs(ours: Evaluation, theirs: Any) -> None:
    found, iou = theirs.evaluate()["sem_seg"], class_iou(ours.confusion)
    assert np.isnan(found["IoU-blue"])
    assert found["mIoU"] / 100 == pytest.approx(iou[:2].mean())
    assert mean_iou(ours.confusion, "present") == pytest.approx(iou[:2].sum() / 3)


def test_a_class_that_occurs_nowhere_is_in_neither_mean_but_in_that_over_all(ours: Evaluation, theirs: Any) -> None:
    assert np.isnan(theirs.evaluate()["sem_seg"]["IoU-none"])
    assert mean_iou(ours.confusion, "all") == pytest.approx(mean_iou(ours.confusion, "present") * 3 / 4)
