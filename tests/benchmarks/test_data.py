"""How fast ``semibench data`` verifies and prepares, in pairs or masks a second and in processor time, which other work leaves.

``make bench`` runs it and prints the rates; it asserts nothing about time, since a busy machine would fail it.
"""

import json
import math
import os
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image
from pytest_benchmark.fixture import BenchmarkFixture

from semibench.protocols.datasets.camvid import CamVid
from semibench.protocols.datasets.coco import COCO, UNUSED
from semibench.protocols.preparation import pending, prepare
from semibench.protocols.verify_data import Verification, select, verify

PAIRS = 2000
SIZE = (375, 500)  # VOC's usual one, (H, W)
WORKERS = 2
IMAGES = 4000  # of COCO's usual size
HEIGHT, WIDTH = 480, 640
OBJECTS = 7.3  # an image: 860,001 on the 118,287 of train2017
CORNERS = 24  # of a polygon
CATEGORIES = [number for number in range(1, 91) if number not in UNUSED]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> CamVid:
    """2,000 pairs as JPEG and index PNG, all in one subset: smooth colors with grain, blobs with a void border."""
    folder = tmp_path_factory.mktemp("camvid")
    for name in ("train", "trainannot"):
        (folder / name).mkdir()
    ids = [f"{index:05d}" for index in range(PAIRS)]
    for subset in ("train", "val", "test"):
        (folder / f"{subset}.txt").write_text("\n".join(ids) if subset == "train" else subset)
    for index, id in enumerate(ids):
        generator = np.random.default_rng(index)
        draw_photo(generator).save(folder / "train" / f"{id}.jpg", quality=90)
        draw_mask(generator).save(folder / "trainannot" / f"{id}.png")
    return CamVid(folder)


def draw_photo(generator: np.random.Generator) -> Image.Image:
    coarse = Image.fromarray(generator.integers(0, 256, (9, 12, 3), np.uint8))
    smooth = np.asarray(coarse.resize(SIZE[::-1], Image.Resampling.BICUBIC), np.int16)
    grain = generator.integers(-12, 13, (*SIZE, 3), np.int16)
    return Image.fromarray(np.clip(smooth + grain, 0, 255).astype(np.uint8))


def draw_mask(generator: np.random.Generator) -> Image.Image:
    coarse = Image.fromarray(generator.integers(0, 12, (6, 8), np.uint8))
    return coarse.rotate(20, expand=True).resize(SIZE[::-1], Image.Resampling.NEAREST)


def test_verifying_pairs_of_the_size_of_voc(benchmark: BenchmarkFixture, dataset: CamVid) -> None:
    chosen = select(dataset, "train", quick=False)
    seconds: list[float] = []
    processor: list[float] = []

    def measured() -> Verification:
        began, busy = time.perf_counter(), sum(os.times()[:2])
        found = verify(dataset, chosen, {}, WORKERS, lambda number: None)
        seconds.append(time.perf_counter() - began)
        processor.append(sum(os.times()[:2]) - busy)
        return found

    found = benchmark.pedantic(measured, rounds=3, warmup_rounds=1)
    assert (found.subsets["train"].decoded, found.problems) == (PAIRS, [])
    rate, each = PAIRS / min(seconds), 1000 * min(processor) / PAIRS
    benchmark.extra_info |= {"pairs_per_second": rate, "processor_ms_per_pair": each, "workers": WORKERS}
    print(f"\nverify: {rate:.0f} pairs/s with {WORKERS} workers (aim: 300 on 2 cores), {each:.2f} ms of processor time a pair")  # noqa: T201


@pytest.fixture(scope="module")
def annotations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """COCO's layout with generated annotations of 4,000 images, and files of no content for the photos."""
    folder = tmp_path_factory.mktemp("coco")
    for name in ("train2017", "val2017", "annotations"):
        (folder / name).mkdir()
    generator = np.random.default_rng(0)
    images = [{"id": id, "height": HEIGHT, "width": WIDTH, "file_name": f"{id:012d}.jpg"} for id in range(1, IMAGES + 1)]
    document = {
        "images": images,
        "categories": [{"id": id, "name": name} for id, name in zip(CATEGORIES, COCO.class_names[1:], strict=True)],
        "annotations": [outline(generator, image["id"]) for image in images for _ in range(generator.poisson(OBJECTS))],
    }
    (folder / "annotations" / "instances_train2017.json").write_text(json.dumps(document))
    for image in images:
        (folder / "train2017" / str(image["file_name"])).touch()
    return folder


def outline(generator: np.random.Generator, image: object) -> dict[str, Any]:
    """Return one object: mostly a rough ellipse of 100 to 100,000 pixels, now and then a crowd as a run-length code."""
    radius = math.sqrt(10 ** generator.uniform(2, 5) / math.pi)
    annotation = {"image_id": image, "category_id": int(generator.choice(CATEGORIES))}
    if generator.random() < 0.01:
        runs = generator.multinomial(HEIGHT * WIDTH, np.full(600, 1 / 600))
        return annotation | {"iscrowd": 1, "segmentation": {"counts": runs.tolist(), "size": [HEIGHT, WIDTH]}}
    angle = np.linspace(0, 2 * math.pi, CORNERS, endpoint=False)
    reach = radius * generator.uniform(0.8, 1.2, CORNERS)
    stretch = generator.uniform(0.6, 1.6)
    x = np.clip(generator.uniform(0, WIDTH) + stretch * reach * np.cos(angle), 0, WIDTH)
    y = np.clip(generator.uniform(0, HEIGHT) + reach * np.sin(angle) / stretch, 0, HEIGHT)
    return annotation | {"iscrowd": 0, "segmentation": [np.stack([x, y], 1).ravel().round(2).tolist()]}


class Round(NamedTuple):
    """Seconds of one round: to parse the annotations, to convert the masks, and of processors while converting."""

    parsing: float
    converting: float
    processors: float  # of all processes
    main: float  # of the main process, which hands out the work


@pytest.mark.parametrize("workers", [1, 2])
def test_preparing_masks_of_the_density_of_coco(
    benchmark: BenchmarkFixture, annotations: Path, workers: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rounds: list[Round] = []

    def measured() -> None:
        monkeypatch.setenv("SEMIBENCH_CACHE", str(tmp_path / str(len(rounds))))
        began = time.perf_counter()
        dataset = COCO(annotations)
        ids = pending(dataset)
        dataset.decoder(ids[0])
        parsed, before = time.perf_counter(), os.times()
        prepare(dataset, ids, workers, lambda number: None)
        spent = [after - earlier for after, earlier in zip(os.times(), before, strict=True)]
        rounds.append(Round(parsed - began, spent[4], sum(spent[:4]), sum(spent[:2])))
        assert (len(ids), pending(dataset)) == (IMAGES, [])

    benchmark.pedantic(measured, rounds=3)
    best = Round(*map(min, zip(*rounds, strict=True)))
    each, main = 1000 * best.processors / IMAGES, 1000 * best.main / IMAGES
    benchmark.extra_info |= {"workers": workers, "masks_per_second": IMAGES / best.converting, "processor_ms_per_mask": each}
    rate = f"{IMAGES / best.converting:.0f} masks/s with {workers} workers, {best.parsing:.2f} s to parse"
    print(f"\nprepare: {rate}, {each:.2f} ms of processor time a mask, {main:.2f} of it in the main process")  # noqa: T201
