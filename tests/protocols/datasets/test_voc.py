"""VOC and SBD: whose mask an image has, which images there are, and what damaged files are called."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.io import savemat

from semibench.errors import DataError
from semibench.protocols.datasets._sbd import read_sbd
from semibench.protocols.datasets.voc import PascalVOC, devkit_palette

REAL = Path(__file__).parents[4] / "shared" / "data" / "voc-sample"
VOC_MASK = np.array([[0, 15, 255], [20, 255, 1]], np.uint8)
SBD_MASK = np.array([[0, 15, 15], [20, 20, 1]], np.uint8)


def save_palette(mask, path):
    picture = Image.frombytes("P", mask.shape[::-1], mask.tobytes())
    picture.putpalette([value for color in devkit_palette(256) for value in color])
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)


def save_mat(mask, path):
    savemat(path, {"GTcls": {"Segmentation": mask, "CategoriesPresent": np.unique(mask)}}, do_compression=True)


@pytest.fixture
def root(tmp_path):
    """Official layout: ``a`` is in VOC train and SBD, ``b`` in VOC val and SBD, ``c`` and ``d`` in SBD alone."""
    voc, sbd = tmp_path / "VOCdevkit" / "VOC2012", tmp_path / "benchmark_RELEASE" / "dataset"
    for folder in (voc / "JPEGImages", voc / "ImageSets" / "Segmentation", sbd / "cls"):
        folder.mkdir(parents=True)
    for id in "abcd":
        Image.new("RGB", (3, 2), (90, 120, 30)).save(voc / "JPEGImages" / f"{id}.jpg")
        save_mat(SBD_MASK, sbd / "cls" / f"{id}.mat")
    for subset, id in (("train", "a"), ("val", "b")):
        save_palette(VOC_MASK, voc / "SegmentationClass" / f"{id}.png")
        (voc / "ImageSets" / "Segmentation" / f"{subset}.txt").write_text(f"{id}\n")
    (sbd / "train.txt").write_text("d\nb\n")
    (sbd / "val.txt").write_text("c\na\n")
    return tmp_path


@pytest.fixture
def ready(root):
    """The layout without SBD, its masks ready-made in a folder beside VOC's."""
    (root / "benchmark_RELEASE").rename(root / "elsewhere")
    voc = root / "VOCdevkit" / "VOC2012"
    for id in "ab":
        save_palette(VOC_MASK, voc / "SegmentationClassAug" / f"{id}.png")
    for id in "cd":
        Image.fromarray(SBD_MASK).save(voc / "SegmentationClassAug" / f"{id}.png")
    return root


def test_the_pool_is_all_of_both_without_vocs_validation_images(root):
    dataset = PascalVOC(root)
    assert dataset.ids("train") == ("a", "c", "d")
    assert (dataset.ids("voc_train"), dataset.ids("val")) == (("a",), ("b",))


def test_vocs_own_images_have_vocs_masks_and_the_others_sbds(root):
    dataset = PascalVOC(root)
    assert dataset.conversion == "sbd"
    for id, expected in zip("abcd", (VOC_MASK, VOC_MASK, SBD_MASK, SBD_MASK), strict=True):
        image, mask = dataset.pair(id)
        assert image.shape == (2, 3, 3)
        assert np.array_equal(mask, expected)


@pytest.mark.parametrize("below", ["", "VOCdevkit", "VOCdevkit/VOC2012"])
def test_the_folders_are_found_from_each_level(root, below):
    dataset = PascalVOC(root / below)
    assert dataset.root == root / "VOCdevkit" / "VOC2012"
    assert dataset.ids("train") == ("a", "c", "d")


def test_sbd_is_found_from_a_relative_root(root, monkeypatch):
    monkeypatch.chdir(root / "VOCdevkit" / "VOC2012")
    assert PascalVOC(Path()).ids("train") == ("a", "c", "d")


@pytest.mark.parametrize("folder", ["SegmentationClassAug", "SegmentationClass"])
def test_ready_made_masks_of_either_folder_give_the_same_ids_and_masks(ready, folder):
    voc = ready / "VOCdevkit" / "VOC2012"
    if folder == "SegmentationClass":
        for path in (voc / "SegmentationClass").iterdir():
            path.unlink()
        (voc / "SegmentationClass").rmdir()
        (voc / "SegmentationClassAug").rename(voc / folder)
    dataset = PascalVOC(ready)
    assert dataset.conversion is None
    assert dataset.ids("train") == ("a", "c", "d")
    assert np.array_equal(dataset.mask("a"), VOC_MASK)
    assert np.array_equal(dataset.mask("c"), SBD_MASK)


def test_vocs_own_masks_alone_are_not_taken_for_the_augmented_ones(ready):
    for path in (ready / "VOCdevkit" / "VOC2012" / "SegmentationClassAug").glob("[cd].png"):
        path.unlink()
    with pytest.raises(DataError, match=r"SegmentationClassAug adds no mask.*needs 9,118 more.*benchmark_RELEASE"):
        PascalVOC(ready).ids("train")
    assert PascalVOC(ready).ids("voc_train") == ("a",)


def test_sbds_version_of_one_of_vocs_masks_is_recognized_by_its_missing_border(root):
    save_palette(SBD_MASK, root / "VOCdevkit" / "VOC2012" / "SegmentationClass" / "a.png")
    with pytest.raises(DataError, match=r"a\.png .*no void border, so it is SBD's version.*official VOC archive"):
        PascalVOC(root).mask("a")


def test_a_colored_copy_of_a_mask_is_refused(root):
    path = root / "VOCdevkit" / "VOC2012" / "SegmentationClass" / "a.png"
    Image.open(path).convert("RGB").save(path)
    with pytest.raises(DataError, match=r"a\.png has the mode RGB.*colored copies"):
        PascalVOC(root).mask("a")


def test_a_gray_copy_of_a_palette_mask_is_refused(root):
    path = root / "VOCdevkit" / "VOC2012" / "SegmentationClass" / "a.png"
    Image.open(path).convert("L").save(path)
    with pytest.raises(DataError, match=r"no void border|outside the table of 21 classes"):
        PascalVOC(root).mask("a")


def test_swapped_folders_are_recognized(root):
    voc = root / "VOCdevkit" / "VOC2012"
    (voc / "JPEGImages").rename(voc / "kept")
    (voc / "SegmentationClass").rename(voc / "JPEGImages")
    (voc / "kept").rename(voc / "SegmentationClass")
    with pytest.raises(DataError, match=r"JPEGImages/a\.jpg not found, but a\.png is there.*swapped"):
        PascalVOC(root).image("a")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"LabelMap": SBD_MASK}, "KeyError"),
        ({"GTcls": SBD_MASK}, "no annotation of SBD"),
        ({"GTcls": {"Segmentation": SBD_MASK.astype(np.uint16)}}, "its mask is uint16 of"),
        ({"GTcls": {"Segmentation": np.zeros((2, 3, 4), np.uint8)}}, r"its mask is uint8 of \(2, 3, 4\)"),
        ({"GTcls": {"Segmentation": np.zeros((0, 0), np.uint8)}}, "its mask is uint8 of"),
    ],
    ids=["of another data set", "no record", "16 bits", "three dimensions", "empty"],
)
def test_a_matlab_file_that_is_no_annotation_is_named(tmp_path, content, message):
    savemat(tmp_path / "x.mat", content, do_compression=True)
    with pytest.raises(DataError, match=rf"x\.mat is no annotation of SBD.*{message}|{message}"):
        read_sbd(tmp_path / "x.mat")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(places=st.lists(st.integers(0), min_size=1, max_size=5), value=st.integers(0, 255), share=st.floats(0, 1))
def test_a_damaged_annotation_is_named_or_was_damaged_where_it_does_not_matter(tmp_path, places, value, share):
    save_mat(np.random.default_rng(0).integers(0, 21, (20, 30), np.uint8), tmp_path / "x.mat")
    whole = read_sbd(tmp_path / "x.mat")
    content = bytearray((tmp_path / "x.mat").read_bytes())
    for place in places:
        content[place % len(content)] = value
    (tmp_path / "x.mat").write_bytes(content[: max(int(share * len(content)), len(content) // 2)])
    try:
        assert np.array_equal(read_sbd(tmp_path / "x.mat"), whole)
    except DataError as error:
        assert "x.mat is no annotation of SBD" in error.what


def test_a_missing_annotation_is_named(root):
    (root / "benchmark_RELEASE" / "dataset" / "cls" / "c.mat").unlink()
    with pytest.raises(DataError, match=r"c\.mat not found.*benchmark_RELEASE"):
        PascalVOC(root).mask("c")


def test_an_unknown_subset_names_the_known_ones(root):
    with pytest.raises(DataError, match=r"'voc' has no subset 'test'.*train, voc_train, val"):
        PascalVOC(root).ids("test")


def test_every_class_has_a_name_and_a_color_of_its_own():
    assert len(PascalVOC.class_names) == len(set(PascalVOC.palette)) == 21
    assert PascalVOC.palette[15] == (192, 128, 128)
    assert devkit_palette(256)[255] == (224, 224, 192)


@pytest.mark.skipif(not REAL.is_dir(), reason="the shared sample of VOC is not beside the repository")
def test_the_real_sample_gives_the_masks_and_the_list_in_circulation():
    dataset = PascalVOC(REAL)
    assert list(dataset.ids("train")) == (REAL / "expected" / "trainaug.txt").read_text().split()
    expected = sorted((REAL / "expected" / "SegmentationClassAug").glob("*.png"))
    assert len(expected) == 20
    for path in expected:
        with Image.open(path) as mask:
            assert np.array_equal(dataset.pair(path.stem)[1], np.asarray(mask)), path.stem


@pytest.mark.skipif(not REAL.is_dir(), reason="the shared sample of VOC is not beside the repository")
def test_the_real_palette_is_the_rules():
    for path in (REAL / "VOCdevkit" / "VOC2012" / "SegmentationClass").glob("*.png"):
        with Image.open(path) as mask:
            assert mask.getpalette() == [value for color in devkit_palette(256) for value in color]
