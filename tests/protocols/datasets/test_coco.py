"""COCO: from outlines to masks; the order of the file decides, and files that are not its own are recognized."""

import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as rasterizer

from semibench.errors import DataError
from semibench.protocols.datasets import coco
from semibench.protocols.datasets.coco import COCO

REAL = Path(__file__).parents[4] / "shared" / "data" / "coco-sample"
NAMES = dict(zip([number for number in range(1, 91) if number not in coco.UNUSED], COCO.class_names[1:], strict=True))
OBJECTS, CROWD, EMPTY, VAL = 9, 25, 30, 139
PERSON, CAR, TOOTHBRUSH = 1, 3, 90  # category ids; their classes are 1, 3 and 80


def box(left, top, right, bottom):
    return [left, top, right, top, right, bottom, left, bottom]


def entry(image, category, outline, **more):
    return {"image_id": image, "category_id": category, "segmentation": outline, **more}


def document(images, annotations):
    return {
        "images": [{"id": id, "file_name": f"{id:012d}.jpg", "height": 4, "width": 6} for id in images],
        "annotations": annotations,
        "categories": [{"id": id, "name": name} for id, name in NAMES.items()],
    }


# Column by column, as COCO's run-length codes go: 4 pixels of ground, 8 of the crowd, the rest ground.
CROWD_CODE = {"counts": [4, 8, 12], "size": [4, 6]}
TRAIN = document(
    [OBJECTS, CROWD, EMPTY],
    [
        entry(OBJECTS, TOOTHBRUSH, [box(0, 0, 4, 4)]),
        entry(CROWD, PERSON, CROWD_CODE, iscrowd=1),
        entry(OBJECTS, CAR, [box(2, 0, 4, 2), box(5, 3, 6, 4)]),
        entry(CROWD, CAR, [box(2, 0, 4, 2)]),
    ],
)
MASKS = {
    OBJECTS: [[80, 80, 3, 3, 0, 0], [80, 80, 3, 3, 0, 0], [80, 80, 80, 80, 0, 0], [80, 80, 80, 80, 0, 3]],
    CROWD: [[0, 1, 3, 3, 0, 0], [0, 1, 3, 3, 0, 0], [0, 1, 1, 0, 0, 0], [0, 1, 1, 0, 0, 0]],
    EMPTY: np.zeros((4, 6)).tolist(),
}


def name(id):
    return f"{id:012d}"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SEMIBENCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def root(tmp_path):
    """Official layout of four tiny photos, one of them grey; two parts, an overlap, a crowd, and no object at all."""
    root = tmp_path / "coco"
    for subset, ids, content in (("train", (OBJECTS, CROWD, EMPTY), TRAIN), ("val", (VAL,), document([VAL], []))):
        (root / f"{subset}2017").mkdir(parents=True)
        for id in ids:
            Image.new("L" if id == EMPTY else "RGB", (6, 4), 77).save(root / f"{subset}2017" / f"{name(id)}.jpg")
        annotate(root, content, subset)
    return root


def annotate(root, content, subset="train"):
    path = root / "annotations" / f"instances_{subset}2017.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def prepare(dataset, id, mask):
    path = dataset.prepared(id)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(mask, np.uint8)).save(path)


def test_ids_are_sorted_numbers_of_twelve_digits(root):
    assert COCO(root).ids("train") == tuple(map(name, (OBJECTS, CROWD, EMPTY)))
    assert COCO(root.parent).ids("val") == (name(VAL),)


@pytest.mark.parametrize("id", MASKS, ids=["two parts over another object", "a crowd under an object", "no object"])
def test_each_object_overwrites_those_before_it(root, id):
    dataset = COCO(root)
    assert dataset.conversion == "last-wins"
    assert dataset.pair(name(id))[1].tolist() == MASKS[id]


def test_a_grey_photo_has_three_equal_channels(root):
    assert COCO(root).image(name(EMPTY)).shape == (4, 6, 3)


def test_what_decodes_a_mask_can_be_handed_to_another_process_and_holds_one_image(root):
    content = pickle.dumps(COCO(root).decoder(name(OBJECTS)))
    assert pickle.loads(content)().tolist() == MASKS[OBJECTS]
    assert len(content) < 1000


def test_the_annotations_are_parsed_once(root, monkeypatch):
    dataset = COCO(root)
    dataset.mask(name(OBJECTS))
    monkeypatch.setattr(coco, "load", lambda *_: pytest.fail("parsed again"))
    assert dataset.mask(name(CROWD)).tolist() == MASKS[CROWD]


def test_a_prepared_mask_is_read_instead(root):
    dataset = COCO(root)
    prepare(dataset, name(OBJECTS), np.full((4, 6), 7))
    assert (dataset.mask(name(OBJECTS)) == 7).all()
    assert dataset.decode_mask(name(OBJECTS)).tolist() == MASKS[OBJECTS]


def test_a_prepared_mask_that_is_older_than_the_annotations_is_not_read(root):
    dataset = COCO(root)
    prepare(dataset, name(OBJECTS), np.full((4, 6), 7))
    os.utime(dataset.prepared(name(OBJECTS)), (0, 0))
    assert dataset.mask(name(OBJECTS)).tolist() == MASKS[OBJECTS]


def test_large_annotations_are_not_parsed_while_training(root, monkeypatch):
    monkeypatch.setattr(coco, "SLOW", 10)
    dataset = COCO(root)
    with pytest.raises(DataError, match=r"masks of train2017 are not all prepared.*semibench data prepare coco"):
        dataset.mask(name(OBJECTS))
    prepare(dataset, name(OBJECTS), MASKS[OBJECTS])
    assert dataset.mask(name(OBJECTS)).tolist() == MASKS[OBJECTS]


def test_a_damaged_file_is_not_parsed_again_for_each_image(root, monkeypatch):
    (root / "annotations" / "instances_train2017.json").write_text("{")
    dataset = COCO(root)
    with pytest.raises(DataError, match="truncated or damaged"):
        dataset.mask(name(OBJECTS))
    monkeypatch.setattr(coco, "load", lambda *_: pytest.fail("it was parsed again"))
    with pytest.raises(DataError, match="truncated or damaged"):
        dataset.mask(name(CROWD))


def test_ready_made_masks_are_read_where_there_are_no_annotations(root):
    (root / "annotations").rename(root / "kept")
    (root / "masks").mkdir()
    Image.fromarray(np.array(MASKS[CROWD], np.uint8)).save(root / "masks" / f"{name(CROWD)}.png")
    dataset = COCO(root)
    assert dataset.conversion is None
    assert dataset.mask(name(CROWD)).tolist() == MASKS[CROWD]


def changed(**changes):
    return {**TRAIN, **changes}


OF_2014 = changed(images=[{"id": OBJECTS, "file_name": f"COCO_train2014_{OBJECTS:012d}.jpg", "height": 4, "width": 6}])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (json.dumps(TRAIN)[:-40], "truncated or damaged"),
        ("", "truncated or damaged"),
        ("[" * 100_000, "truncated or damaged"),
        (OF_2014, r"of another year: it names COCO_train2014_000000000009\.jpg, not 000000000009\.jpg"),
        (changed(categories=TRAIN["categories"][:1]), "has 1 categories, not the 80"),
        ({"images": [], "annotations": [], "info": {}}, r"no file of instances \(KeyError: 'categories'"),
        (changed(annotations=[{"image_id": OBJECTS, "id": 1, "caption": "a car"}]), "no file of instances.*category_id"),
        (changed(annotations=[entry(5, CAR, [])]), r"no file of instances \(KeyError: 5\)"),
        ([], "no file of instances"),
        (changed(images=[{"id": "x", "file_name": "x", "height": 4, "width": 6}]), "no file of instances"),
        (document([VAL], []), "does not know the image 000000000009 of train2017.*same subset of COCO 2017"),
    ],
    ids=[
        "truncated",
        "empty",
        "nested too deep",
        "of 2014",
        "keypoints",
        "no instances",
        "captions",
        "an unknown image",
        "a list",
        "no number",
        "of the other subset",
    ],
)
def test_a_file_that_is_not_the_annotations_is_recognized(root, content, message):
    annotate(root, content)
    with pytest.raises(DataError, match=message):
        COCO(root).mask(name(OBJECTS))


@pytest.mark.parametrize(
    "outline",
    [
        [[0, 0, 1]],
        [[0, 0, 1, 1, 2, float("nan"), 0, 0]],
        [[0, 0, 1, 1, 2, 1e12, 0, 0]],
        [["x"] * 6],
        [[[0, 0], [1, 1], [2, 2]]],
        7,
        None,
        {"counts": "abc", "size": [4, 6]},
        {"counts": [4, 8, 1_000_000], "size": [4, 6]},
        {"counts": [-4, 28], "size": [4, 6]},
        {"counts": [2**64, 24], "size": [4, 6]},
        {"size": [4, 6]},
    ],
    ids=[
        "odd",
        "nan",
        "huge",
        "text",
        "nested",
        "number",
        "none",
        "compressed",
        "too long",
        "negative",
        "overflow",
        "no counts",
    ],
)
def test_an_outline_that_is_none_is_named_and_never_reaches_the_rasterizer(root, outline):
    annotate(root, changed(annotations=[entry(OBJECTS, CAR, outline)]))
    with pytest.raises(DataError, match="annotation of image '000000000009' is damaged"):
        COCO(root).mask(name(OBJECTS))


def test_a_polygon_without_area_draws_nothing(root):
    annotate(root, changed(annotations=[entry(OBJECTS, CAR, [[0, 0, 5, 3]]), entry(OBJECTS, CAR, [])]))
    assert not COCO(root).mask(name(OBJECTS)).any()


def test_an_absurd_size_is_refused_before_memory_is_asked_for(root):
    annotate(root, changed(images=[{**TRAIN["images"][0], "height": 10**9}], annotations=[]))
    with pytest.raises(DataError, match="its size is 1000000000 x 6"):
        COCO(root).mask(name(OBJECTS))


def test_a_mask_of_another_size_than_the_photo_is_refused(root):
    annotate(root, changed(images=[{**TRAIN["images"][0], "height": 5}], annotations=[]))
    with pytest.raises(DataError, match=r"differ in size: \(4, 6\) and \(5, 6\)"):
        COCO(root).pair(name(OBJECTS))


def test_missing_annotations_of_one_subset_are_named(root):
    (root / "annotations" / "instances_train2017.json").unlink()
    with pytest.raises(DataError, match=r"instances_train2017\.json not found.*annotations_trainval2017\.zip"):
        COCO(root).mask(name(OBJECTS))


@pytest.mark.parametrize("id", ["x", "", "../9", "COCO_train2014_000000000009"])
def test_an_unknown_id_shows_what_ids_look_like(root, id):
    with pytest.raises(DataError, match=r"has no image.*000000000009"):
        COCO(root).image(id)


def test_an_unknown_subset_names_the_known_ones(root):
    with pytest.raises(DataError, match=r"'coco' has no subset 'test'.*train, val"):
        COCO(root).ids("test")


def test_every_class_has_a_name_a_color_and_a_category():
    assert len(COCO.class_names) == len(COCO.palette) == len(NAMES) + 1 == 81
    assert (NAMES[13], NAMES[90]) == ("stop sign", "toothbrush")


def painted(path, id):
    """The slow obvious way: whole images, one object after the other, through the library's own joining of parts."""
    content = json.loads(path.read_text())
    (image,) = (image for image in content["images"] if image["id"] == id)
    mask = np.zeros((image["height"], image["width"]), np.uint8)
    for found in content["annotations"]:
        if found["image_id"] == id:
            code = rasterizer.frPyObjects(found["segmentation"], image["height"], image["width"])
            code = rasterizer.merge(code) if isinstance(code, list) else code
            mask[rasterizer.decode(code) > 0] = 1 + list(NAMES).index(found["category_id"])
    return mask


@pytest.mark.skipif(not REAL.is_dir(), reason="the shared sample of COCO is not beside the repository")
def test_the_real_masks_equal_the_slow_obvious_ones():
    dataset = COCO(REAL)
    ids = (*dataset.ids("train"), *dataset.ids("val"))
    assert len(ids) == 20
    for id in ids:
        assert np.array_equal(dataset.pair(id)[1], painted(dataset.annotation(id), int(id))), id


def test_drawn_masks_equal_the_slow_obvious_ones(root):
    generator = np.random.default_rng(0)
    outlines = [[generator.uniform(-1, 40, 2 * int(generator.integers(3, 9))).round(2).tolist()] for _ in range(30)]
    content = document([OBJECTS], [entry(OBJECTS, list(NAMES)[number], outline) for number, outline in enumerate(outlines)])
    content["images"][0] |= {"height": 37, "width": 41}
    path = annotate(root, content)
    assert np.array_equal(COCO(root).mask(name(OBJECTS)), painted(path, OBJECTS))
