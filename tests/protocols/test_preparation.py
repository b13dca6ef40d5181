"""Preparing: every mask once, whole files only, the same bytes however many processes made them."""

import os
from functools import partial

import numpy as np
import pytest
from PIL import Image

from semibench.errors import DataError
from semibench.protocols import preparation
from semibench.protocols.datasets.base import read_index
from semibench.protocols.datasets.camvid import CamVid
from semibench.protocols.preparation import pending, prepare

IDS = [f"{subset}_{index}" for subset, count in (("train", 5), ("val", 3), ("test", 3)) for index in range(count)]


class Converted(CamVid):
    """CamVid as if its masks had to be converted."""

    conversion = "copy"

    def decoder(self, id):
        return partial(read_index, self.annotation(id))


@pytest.fixture
def dataset(camvid, tmp_path, monkeypatch):
    monkeypatch.setenv("SEMIBENCH_CACHE", str(tmp_path / "cache"))
    return Converted(camvid)


def run(dataset, workers=1):
    done = []
    prepare(dataset, pending(dataset), workers, done.append)
    return sum(done)


def contents(dataset):
    return {path.name: path.read_bytes() for path in sorted(dataset.prepared(IDS[0]).parent.iterdir())}


def test_every_mask_of_every_subset_is_prepared(dataset):
    assert pending(dataset) == IDS
    assert run(dataset) == len(IDS)
    assert sorted(contents(dataset)) == sorted(f"{id}.png" for id in IDS)


def test_a_prepared_mask_holds_what_decoding_gives(dataset):
    run(dataset)
    for id in IDS:
        np.testing.assert_array_equal(read_index(dataset.prepared(id)), dataset.decoder(id)())


def test_preparing_again_does_nothing(dataset):
    run(dataset)
    before = {path: path.stat().st_mtime_ns for path in dataset.prepared(IDS[0]).parent.iterdir()}
    assert pending(dataset) == []
    assert run(dataset) == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_mask_older_than_its_annotation_is_prepared_again(dataset):
    run(dataset)
    annotation = dataset.annotation("val_1")
    Image.fromarray(np.full((6, 8), 3, np.uint8)).save(annotation)
    later = dataset.prepared("val_1").stat().st_mtime_ns + 10**9
    os.utime(annotation, ns=(later, later))
    assert pending(dataset) == ["val_1"]


def test_an_interrupted_call_is_continued(dataset, monkeypatch):
    def interrupt(number):
        raise KeyboardInterrupt

    monkeypatch.setattr(preparation, "CHUNK", 4)
    with pytest.raises(KeyboardInterrupt):
        prepare(dataset, pending(dataset), 1, interrupt)
    assert pending(dataset) == IDS[4:]
    assert run(dataset) == len(IDS) - 4
    assert len(contents(dataset)) == len(IDS)


def test_several_processes_make_the_same_files_as_one(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(preparation, "CHUNK", 2)
    run(dataset, workers=1)
    alone = contents(dataset)
    monkeypatch.setenv("SEMIBENCH_CACHE", str(tmp_path / "other"))
    other = Converted(dataset.root)
    assert run(other, workers=2) == len(IDS)
    assert contents(other) == alone


def test_an_interrupt_ends_the_processes_and_leaves_whole_files(dataset, monkeypatch):
    def interrupt(number):
        raise KeyboardInterrupt

    monkeypatch.setattr(preparation, "CHUNK", 1)
    with pytest.raises(KeyboardInterrupt):
        prepare(dataset, pending(dataset), 2, interrupt)
    made = contents(dataset)
    assert 1 <= len(made) < len(IDS)
    assert not any(name.startswith(".") for name in made)
    assert run(dataset) == len(IDS) - len(made)


@pytest.mark.parametrize("workers", [1, 2])
def test_what_cannot_be_converted_is_named_after_all_else_is(dataset, workers):
    for id in ("train_2", "test_0"):
        dataset.annotation(id).write_text("no image")
    with pytest.raises(DataError, match=r"2 of 11 annotations.*test_0: .*test_0\.png cannot be decoded.*train_2"):
        run(dataset, workers)
    assert pending(dataset) == ["train_2", "test_0"]


def test_a_data_set_of_ready_masks_has_nothing_to_prepare(camvid):
    assert pending(CamVid(camvid)) == []
