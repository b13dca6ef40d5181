"""Cityscapes: label ids become classes, training ids stay, and neither is taken for the other."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from semibench.errors import DataError
from semibench.protocols.datasets.cityscapes import Cityscapes
from semibench.protocols.inventory import available

REAL = Path(__file__).parents[4] / "shared" / "data" / "cityscapes-sample"
LABELS = np.arange(34, dtype=np.uint8).reshape(2, 17)
VOID = 255
CLASSES = [
    [VOID, VOID, VOID, VOID, VOID, VOID, VOID, 0, 1, VOID, VOID, 2, 3, 4, VOID, VOID, VOID],
    [5, VOID, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, VOID, VOID, 16, 17, 18],
]  # labels 0..33 by hand, from the table of cityscapesScripts
IDS = {
    "train": ("aachen_000000_000019", "ulm_000001_000019"),
    "val": ("munster_000000_000019",),
    "train_extra": ("bad-honnef_000000_000000",),
}


def mask_file(root, id, kind="labelIds"):
    (subset,) = (subset for subset, ids in IDS.items() if id in ids)
    archive = "gtCoarse" if subset == "train_extra" else "gtFine"
    return root / archive / subset / id.partition("_")[0] / f"{id}_{archive}_{kind}.png"


@pytest.fixture
def root(tmp_path):
    """Official layout of four tiny images, one with a coarse mask."""
    root = tmp_path / "cityscapes"
    for subset, ids in IDS.items():
        for id in ids:
            image = root / "leftImg8bit" / subset / id.partition("_")[0] / f"{id}_leftImg8bit.png"
            for path in (image, mask_file(root, id)):
                path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (17, 2), (10, 20, 30)).save(image)
            Image.fromarray(LABELS).save(mask_file(root, id))
            Image.fromarray(LABELS.astype(np.uint16)).save(mask_file(root, id, "instanceIds"))
    return root


def test_ids_are_sorted_over_cities(root):
    assert {subset: Cityscapes(root).ids(subset) for subset in Cityscapes.subsets} == IDS
    assert Cityscapes(root.parent).ids("train") == IDS["train"]


@pytest.mark.parametrize("subset", Cityscapes.subsets)
def test_label_ids_become_classes_by_the_table(root, subset):
    image, mask = Cityscapes(root).pair(IDS[subset][0])
    assert image[0, 0].tolist() == [10, 20, 30]
    assert mask.tolist() == CLASSES


def test_ready_made_training_ids_are_read_as_they_are_where_label_ids_are_absent(root):
    id = IDS["val"][0]
    mask_file(root, id).unlink()
    Image.fromarray(np.array(CLASSES, np.uint8)).save(mask_file(root, id, "labelTrainIds"))
    assert Cityscapes(root).mask(id).tolist() == CLASSES


def test_label_ids_win_over_ready_made_training_ids(root):
    id = IDS["val"][0]
    Image.fromarray(np.zeros((2, 17), np.uint8)).save(mask_file(root, id, "labelTrainIds"))
    assert Cityscapes(root).mask(id).tolist() == CLASSES


def test_training_ids_under_the_name_of_label_ids_are_recognized(root):
    Image.fromarray(np.array(CLASSES, np.uint8)).save(mask_file(root, IDS["val"][0]))
    with pytest.raises(DataError, match=r"munster.*holds 255, as training ids do; label ids are 0\.\.33"):
        Cityscapes(root).mask(IDS["val"][0])


def test_label_ids_under_the_name_of_training_ids_are_recognized(root):
    id = IDS["val"][0]
    mask_file(root, id).rename(mask_file(root, id, "labelTrainIds"))
    with pytest.raises(DataError, match=r"munster.*holds 33, as label ids do; training ids are 0\.\.18 and 255"):
        Cityscapes(root).mask(id)


def test_a_value_between_the_label_ids_and_void_is_refused(root):
    Image.fromarray(LABELS + np.uint8(1)).save(mask_file(root, IDS["val"][0]))
    with pytest.raises(DataError, match=r"holds 34; label ids are 0\.\.33"):
        Cityscapes(root).mask(IDS["val"][0])


def test_instance_ids_in_the_place_of_label_ids_are_recognized_by_their_depth(root):
    id = IDS["val"][0]
    mask_file(root, id, "instanceIds").replace(mask_file(root, id))
    with pytest.raises(DataError, match=r"munster.*mode I;16.*16 bits hold instance ids"):
        Cityscapes(root).mask(id)


def test_swapped_folders_are_recognized(root):
    id = IDS["val"][0]
    image, mask = Cityscapes(root).files(id)
    image.rename(root / "kept")
    mask.rename(image)
    (root / "kept").rename(mask)
    with pytest.raises(DataError, match=r"mode RGB.*swapped"):
        Cityscapes(root).pair(id)


def test_whole_folders_that_are_swapped_are_recognized(root):
    (root / "leftImg8bit").rename(root / "kept")
    (root / "gtFine").rename(root / "leftImg8bit")
    (root / "kept").rename(root / "gtFine")
    with pytest.raises(DataError, match=r"leftImg8bit/train holds masks where images should be.*swapped"):
        available(Cityscapes(root))


def test_a_subset_that_was_not_downloaded_names_its_archive(root):
    (root / "leftImg8bit" / "train_extra").rename(root / "kept")
    with pytest.raises(DataError, match=r"no image in .*train_extra.*leftImg8bit_trainextra\.zip"):
        Cityscapes(root).ids("train_extra")


def test_an_unknown_city_and_an_unknown_subset_are_named(root):
    with pytest.raises(DataError, match=r"no city 'paris'.*aachen_000000_000019"):
        Cityscapes(root).mask("paris_000000_000019")
    with pytest.raises(DataError, match=r"'cityscapes' has no subset 'test'.*train, val, train_extra"):
        Cityscapes(root).ids("test")


def test_a_missing_mask_is_named(root):
    mask_file(root, IDS["val"][0]).unlink()
    with pytest.raises(DataError, match=r"munster_000000_000019_gtFine_labelIds\.png not found"):
        Cityscapes(root).mask(IDS["val"][0])


def test_every_class_has_a_name_and_a_color_of_its_own():
    assert len(Cityscapes.class_names) == len(set(Cityscapes.palette)) == 19


@pytest.mark.skipif(not REAL.is_dir(), reason="the shared sample of Cityscapes is not beside the repository")
def test_the_real_label_and_instance_ids_agree_on_the_classes():
    dataset = Cityscapes(REAL)
    ids = (*dataset.ids("train"), *dataset.ids("val"))
    assert len(ids) == 5
    for id in ids:
        labels = dataset.annotation(id)
        with Image.open(labels.with_name(labels.name.replace("labelIds", "instanceIds"))) as picture:
            instances = np.asarray(picture).astype(int)
        expected = np.ravel(CLASSES)[np.where(instances >= 1000, instances // 1000, instances)]
        assert np.array_equal(dataset.pair(id)[1], expected)
