"""Verifying: each fault that is planted is named, all of them in one call, and the digests depend on the pixels alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from semibench.errors import DataError, UsageError
from semibench.hashing import digest_ids, digest_json
from semibench.protocols.datasets.camvid import CamVid
from semibench.protocols.datasets.shapes import Shapes
from semibench.protocols.protocol import Subset
from semibench.protocols.verify_data import SAMPLE, expect, select, verify

NOBODY = lambda number: None  # noqa: E731  # nobody watches


def run(dataset, workers=1, expected=None, **chosen):
    return verify(dataset, chosen or select(dataset, None, quick=False), expected or {}, workers, NOBODY)


def problems(dataset, **options):
    return [problem[:3] for problem in run(dataset, **options).problems]


def test_a_whole_data_set_has_no_problems(camvid):
    found = run(CamVid(camvid))
    assert found.problems == []
    assert {name: subset[:2] for name, subset in found.subsets.items()} == {"train": (5, 5), "val": (3, 3), "test": (3, 3)}


def test_every_pair_is_counted_once(camvid):
    done = []
    verify(CamVid(camvid), {"train": ("train_0", "train_1"), "val": ("train_1",)}, {}, 1, done.append)
    assert done == [1, 1]


def truncate(camvid):
    path = camvid / "train" / "train_1.jpg"
    path.write_bytes(path.read_bytes()[:-30])


def remove_mask(camvid):
    (camvid / "trainannot" / "train_1.png").unlink()


def remove_image(camvid):
    (camvid / "train" / "train_1.jpg").unlink()


def paint_foreign_value(camvid):
    Image.fromarray(np.full((6, 8), 77, np.uint8)).save(camvid / "trainannot" / "train_1.png")


def shrink_mask(camvid):
    Image.fromarray(np.zeros((5, 8), np.uint8)).save(camvid / "trainannot" / "train_1.png")


def color_mask(camvid):
    Image.fromarray(np.zeros((6, 8, 3), np.uint8)).save(camvid / "trainannot" / "train_1.png")


@pytest.mark.parametrize(
    ("fault", "what"),
    [
        (truncate, "cannot be decoded"),
        (remove_mask, "train_1.png not found"),
        (remove_image, "not found"),
        (paint_foreign_value, "holds the value 77"),
        (shrink_mask, r"differ in size: (6, 8) and (5, 8)"),
        (color_mask, "has the mode RGB"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_planted_fault_is_named_with_its_image(camvid, fault, what):
    fault(camvid)
    ((subset, id, found),) = problems(CamVid(camvid))
    assert (subset, id) == ("train", "train_1")
    assert what in found


def test_all_faults_are_named_in_one_call(camvid):
    truncate(camvid)
    paint_foreign_value(camvid)
    (camvid / "valannot" / "val_2.png").unlink()
    assert [(subset, id) for subset, id, _ in problems(CamVid(camvid), workers=3)] == [
        ("train", "train_1"),
        ("train", "train_1"),
        ("val", "val_2"),
    ]


def test_what_could_not_be_decoded_has_no_digest_and_is_not_counted(camvid):
    remove_mask(camvid)
    train = run(CamVid(camvid)).subsets["train"]
    assert (train.listed, train.decoded, train.masks) == (5, 4, None)
    assert len(train.images) == 64


def test_a_problem_says_what_to_do(camvid):
    color_mask(camvid)
    (problem,) = run(CamVid(camvid)).problems
    assert problem.next_step.startswith("Use the official index or palette masks, not colored copies.")


def published(camvid):
    dataset = CamVid(camvid)
    lists = {name: dataset.ids(name) for name in dataset.subsets}
    return {name: Subset(count=len(ids), sha256=digest_ids(ids)) for name, ids in lists.items()}


def test_the_published_lists_are_accepted(camvid):
    assert problems(CamVid(camvid), expected=published(camvid)) == []


def test_an_extra_id_is_found_in_the_list_and_on_the_disk(camvid):
    expected = published(camvid)
    (camvid / "val.txt").write_text("val_0\nval_1\nval_2\nval_3")
    (_, nobody, of_list), *of_image = problems(CamVid(camvid), expected=expected)
    assert nobody is None
    assert f"has 4 images with the digest {digest_ids(['val_0', 'val_1', 'val_2', 'val_3'])[:12]}, published are 3" in of_list
    assert {id for _, id, _ in of_image} == {"val_3"}


def test_a_subset_that_is_published_and_not_there_is_a_problem(camvid):
    expected = published(camvid) | {"extra": Subset(count=1, sha256="0" * 64)}
    ((subset, id, what),) = problems(CamVid(camvid), expected=expected)
    assert (subset, id) == ("extra", None)
    assert "no subset 'extra'" in what


@pytest.mark.parametrize("partial", [False, True], ids=["all of it", "a part"])
@pytest.mark.parametrize(
    ("missing", "expected"), [("extra", []), ("train", ["train"]), ("test", ["test"])], ids=["extra", "pool", "scored"]
)
def test_only_a_subset_that_protocols_use_has_to_be_there(camvid, monkeypatch, partial, missing, expected):
    dataset, ids = CamVid(camvid), CamVid.ids

    def without(self, subset):
        if subset in (missing, "extra"):
            raise DataError(f"no {subset}", "Get it.")
        return ids(self, subset)

    monkeypatch.setattr(CamVid, "subsets", (*CamVid.subsets, "extra"))
    monkeypatch.setattr(CamVid, "ids", without)
    wanted = expect(dataset, None, partial=partial)
    found = verify(dataset, select(dataset, None, quick=False), wanted, 1, NOBODY)
    assert [problem.subset for problem in found.problems if problem.what.startswith("no ")] == expected


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_the_digests_do_not_depend_on_workers_or_order(camvid, workers):
    dataset = CamVid(camvid)
    backwards = {name: tuple(reversed(dataset.ids(name))) for name in dataset.subsets}
    assert verify(dataset, backwards, {}, workers, NOBODY).subsets == run(dataset).subsets


def test_the_digests_follow_the_pixels_and_not_the_files(camvid):
    before = run(CamVid(camvid)).subsets
    path = camvid / "valannot" / "val_0.png"
    with Image.open(path) as mask:
        pixels = np.array(mask)
    Image.fromarray(pixels).save(path, compress_level=0)
    assert run(CamVid(camvid)).subsets == before
    pixels[0, 0] = (pixels[0, 0] + 1) % 11
    Image.fromarray(pixels).save(path)
    after = run(CamVid(camvid)).subsets
    assert after["val"].masks != before["val"].masks
    assert (after["val"].images, after["train"]) == (before["val"].images, before["train"])


@given(order=st.permutations(range(6)))
def test_any_order_of_the_same_pictures_has_the_same_digest(order):
    dataset, ids = Shapes(), Shapes().ids("val")
    found = verify(dataset, {"val": [ids[index] for index in order]}, {}, 1, NOBODY).subsets["val"]
    assert found == verify(dataset, {"val": ids[:6]}, {}, 1, NOBODY).subsets["val"]


def test_the_digest_of_masks_is_made_of_ids_shapes_and_bytes():
    import hashlib

    dataset = Shapes()
    ids = dataset.ids("val")[:3]
    by_hand = {id: hashlib.sha256(b"(64, 64)\n" + dataset.mask(id).tobytes()).hexdigest() for id in ids}
    assert verify(dataset, {"val": ids}, {}, 1, NOBODY).subsets["val"].masks == digest_json(by_hand)


def test_a_quick_look_decodes_the_same_sample_each_time():
    dataset = Shapes()
    chosen = select(dataset, None, quick=True)
    assert chosen == select(dataset, None, quick=True)
    assert {name: len(ids) for name, ids in chosen.items()} == {"train": SAMPLE, "val": SAMPLE}


def test_a_quick_look_at_a_small_subset_is_a_whole_one(camvid):
    assert {name: len(ids) for name, ids in select(CamVid(camvid), None, quick=True).items()} == {
        "train": 5,
        "val": 3,
        "test": 3,
    }


def test_one_subset_can_be_chosen_and_an_unknown_one_names_the_others(camvid):
    assert list(select(CamVid(camvid), "val", quick=False)) == ["val"]
    with pytest.raises(UsageError, match=r"'vall' not found; nearest: val.*train, val, test"):
        select(CamVid(camvid), "vall", quick=False)


def test_a_data_set_without_any_list_says_why(camvid, monkeypatch):
    def refuse(self, subset):
        raise DataError(f"no {subset}", "Look.")

    dataset = CamVid(camvid)
    monkeypatch.setattr(CamVid, "ids", refuse)
    with pytest.raises(DataError, match="no train"):
        select(dataset, None, quick=False)
