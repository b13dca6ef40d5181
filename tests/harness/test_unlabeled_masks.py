"""Masks of unlabelled images are never opened while training."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from semibench.errors import DataError
from semibench.harness.configure import Request
from semibench.harness.prepare import Order, prepare
from semibench.harness.run import run
from semibench.hashing import digest_ids
from semibench.protocols.datasets.shapes import Shapes
from semibench.protocols.datasets.voc import PascalVOC
from semibench.protocols.protocol import Protocol, load
from semibench.reports.result import Result

TRAIN = [f"train_{number:04}" for number in range(12)]  # the first half with VOC's masks, the others with SBD's
VAL = ["val_000", "val_001"]
SMALL = ("recipe.steps=2", "recipe.batch.labeled=2", "recipe.batch.unlabeled=2", "network.channels=8", "network.low_channels=4")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Drawn pictures in the official layout of VOC and SBD."""
    voc, sbd, shapes = tmp_path / "VOCdevkit" / "VOC2012", tmp_path / "benchmark_RELEASE" / "dataset", Shapes()
    for folder in (voc / "JPEGImages", voc / "SegmentationClass", voc / "ImageSets" / "Segmentation", sbd / "cls"):
        folder.mkdir(parents=True)
    for id in (*TRAIN, *VAL):
        Image.fromarray(shapes.image(id)).save(voc / "JPEGImages" / f"{id}.jpg")
        mask = shapes.mask(id)
        if id in TRAIN[6:]:
            savemat(sbd / "cls" / f"{id}.mat", {"GTcls": {"Segmentation": mask}}, do_compression=True)
        else:
            bordered = np.where(np.arange(64) == 0, np.uint8(255), mask)
            Image.fromarray(bordered).save(voc / "SegmentationClass" / f"{id}.png")
    for path, ids in (("train", TRAIN[:6]), ("val", VAL)):
        (voc / "ImageSets" / "Segmentation" / f"{path}.txt").write_text("\n".join(ids))
    for path, ids in (("train", TRAIN[6:9]), ("val", TRAIN[9:])):
        (sbd / f"{path}.txt").write_text("\n".join(ids))
    return tmp_path


def protocol() -> Protocol:
    """Return shapes-16 on other data: four of twelve images labelled."""
    lists = {"train": TRAIN, "val": VAL}
    subsets = {name: {"count": len(ids), "sha256": digest_ids(ids)} for name, ids in lists.items()}
    changes = {"dataset": "voc", "subsets": subsets, "labeled": 4, "family": "hash0"}
    return Protocol.parse(load("shapes-16").model_dump() | changes, "the test")


def train(root: Path) -> Result:
    request = Request("fixmatch", protocol(), settings=(*SMALL, "run.workers=0", "run.device=cpu", "run.tensorboard=false"))
    return run(prepare(Order(request, root, root / "runs")), show_progress=False)


def spoil(root: Path, ids: list[str]) -> None:
    dataset = PascalVOC(root)
    for id in ids:
        dataset.annotation(id).write_text("garbage")


def test_a_run_does_not_notice_that_masks_of_unlabelled_images_cannot_be_read(root: Path) -> None:
    unlabeled = list(protocol().split(PascalVOC(root)).unlabeled)
    assert {PascalVOC(root).annotation(id).suffix for id in unlabeled} == {".png", ".mat"}
    spoil(root, unlabeled)
    result = train(root)
    assert (result.steps, result.last.n_images) == (2, 2)


def test_a_run_does_notice_a_labelled_one(root: Path) -> None:
    spoil(root, list(protocol().split(PascalVOC(root)).labeled))
    with pytest.raises(DataError, match=r"cannot be decoded|no annotation of SBD"):
        train(root)
