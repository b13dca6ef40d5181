"""How fast ``semibench data verify`` decodes, as pairs a second of this machine and as processor time, which a busy one leaves.

``make bench`` runs it and prints the rates; it asserts nothing about time, since a busy machine would fail it.
"""

import os
import time

import numpy as np
import pytest
from PIL import Image
from pytest_benchmark.fixture import BenchmarkFixture

from semibench.protocols.datasets.camvid import CamVid
from semibench.protocols.verify_data import Verification, select, verify

PAIRS = 2000
SIZE = (375, 500)  # VOC's usual one, (H, W)
WORKERS = 2


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
