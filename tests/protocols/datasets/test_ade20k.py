"""ADE20K: raw labels are shifted once, never twice."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from semibench.errors import DataError
from semibench.protocols.datasets.ade20k import ADE20K

REAL = Path(__file__).parents[4] / "shared" / "data" / "ade20k-sample"
RAW = np.array([[0, 1, 2], [149, 150, 7]], np.uint8)
CLASSES = [[255, 0, 1], [148, 149, 6]]
IDS = {"train": ("ADE_train_00000001", "ADE_train_00000002"), "val": ("ADE_val_00000001", "ADE_val_00000002")}
FOLDERS = {"train": "training", "val": "validation"}


def save_mask(root, id, mask):
    Image.fromarray(np.asarray(mask, np.uint8)).save(root / "annotations" / FOLDERS[id.split("_")[1]] / f"{id}.png")


@pytest.fixture
def root(tmp_path):
    """Official layout of four tiny photos."""
    root = tmp_path / "ADEChallengeData2016"
    for subset, ids in IDS.items():
        for kind in ("images", "annotations"):
            (root / kind / FOLDERS[subset]).mkdir(parents=True)
        for id in ids:
            Image.new("RGB", (3, 2), (10, 20, 30)).save(root / "images" / FOLDERS[subset] / f"{id}.jpg")
            save_mask(root, id, RAW)
    return root


@pytest.fixture
def converted(root):
    """The same with masks that are converted already."""
    for id in (*IDS["train"], *IDS["val"]):
        save_mask(root, id, CLASSES)
    return root


def test_ids_are_those_of_the_photos_by_number(root):
    (root / "images" / "training" / "._ADE_train_00000001.jpg").touch()  # what some archivers leave behind
    assert {subset: ADE20K(root).ids(subset) for subset in ADE20K.subsets} == IDS
    assert ADE20K(root.parent).ids("val") == IDS["val"]


def test_zero_becomes_void_and_every_label_one_less(root):
    image, mask = ADE20K(root).pair(IDS["train"][0])
    assert image.shape == (2, 3, 3)
    assert mask.tolist() == CLASSES


def test_converted_masks_are_not_shifted_again_even_those_without_void(converted):
    save_mask(converted, IDS["train"][1], [[0, 1, 2], [3, 4, 5]])
    dataset = ADE20K(converted)
    assert dataset.mask(IDS["train"][0]).tolist() == CLASSES
    assert dataset.mask(IDS["train"][1]).tolist() == [[0, 1, 2], [3, 4, 5]]


def test_raw_masks_are_shifted_even_those_without_other_objects(root):
    save_mask(root, IDS["train"][1], [[1, 2, 3], [4, 5, 6]])
    assert ADE20K(root).mask(IDS["train"][1]).tolist() == [[0, 1, 2], [3, 4, 5]]


def test_a_mask_that_was_shifted_twice_is_recognized(converted):
    save_mask(converted, IDS["train"][0], np.array(CLASSES, np.uint8) - np.uint8(1))
    with pytest.raises(DataError, match=r"ADE_train_00000001\.png holds 254: it was shifted twice"):
        ADE20K(converted).mask(IDS["train"][0])


def test_a_raw_mask_among_converted_ones_is_recognized(converted):
    save_mask(converted, IDS["train"][0], RAW)
    with pytest.raises(DataError, match=r"ADE_train_00000001\.png holds 150, as unconverted masks do"):
        ADE20K(converted).mask(IDS["train"][0])


def test_a_converted_mask_among_raw_ones_is_recognized(root):
    save_mask(root, IDS["train"][0], CLASSES)
    with pytest.raises(DataError, match=r"ADE_train_00000001\.png holds 255, as converted masks do"):
        ADE20K(root).mask(IDS["train"][0])


def test_a_label_beyond_the_150_is_refused(root):
    save_mask(root, IDS["train"][0], [[151]])
    with pytest.raises(DataError, match="holds the value 150, outside the table of 150 classes"):
        ADE20K(root).mask(IDS["train"][0])


def test_the_full_data_set_with_the_same_numbers_is_not_taken_for_the_challenges(tmp_path):
    (tmp_path / "images" / "training" / "a" / "abbey").mkdir(parents=True)
    with pytest.raises(DataError, match="annotations/training"):
        ADE20K(tmp_path)


def test_a_folder_without_photos_is_named(root):
    for path in (root / "images" / "validation").iterdir():
        path.unlink()
    with pytest.raises(DataError, match=r"ADE_val_\*\.jpg found in .*validation"):
        ADE20K(root).ids("val")


@pytest.mark.parametrize("id", ["ADE_test_00000001", "train", "2007_000032"])
def test_an_unknown_id_shows_what_ids_look_like(root, id):
    with pytest.raises(DataError, match=f"no image '{id}'.*ADE_train_00000001"):
        ADE20K(root).image(id)


def test_an_unknown_subset_names_the_known_ones(root):
    with pytest.raises(DataError, match=r"'ade20k' has no subset 'test'.*train, val"):
        ADE20K(root).ids("test")


def test_every_class_has_a_name_and_a_color():
    assert len(ADE20K.class_names) == len(ADE20K.palette) == 150
    assert (ADE20K.class_names[0], ADE20K.class_names[149]) == ("wall", "flag")


@pytest.mark.skipif(not REAL.is_dir(), reason="the shared sample of ADE20K is not beside the repository")
def test_the_real_masks_are_raw_and_shifted_once():
    dataset = ADE20K(REAL)
    assert (len(dataset.ids("train")), len(dataset.ids("val"))) == (1, 2)
    for id in (*dataset.ids("train"), *dataset.ids("val")):
        with Image.open(dataset.annotation(id)) as picture:
            raw = np.asarray(picture).astype(int)
        assert np.array_equal(dataset.pair(id)[1], np.where(raw == 0, 255, raw - 1))


@pytest.mark.skipif(not REAL.is_dir(), reason="the shared sample of ADE20K is not beside the repository")
def test_the_real_table_of_objects_begins_each_name():
    lines = (REAL / "ADEChallengeData2016" / "objectInfo150.txt").read_text().splitlines()[1:]
    names = [line.split("\t")[-1].split(",")[0].strip() for line in lines]
    assert tuple(names) == ADE20K.class_names
