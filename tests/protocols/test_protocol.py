from pathlib import Path

import numpy as np
import pytest

from semibench.errors import DataError, UsageError
from semibench.hashing import digest_ids
from semibench.protocols import lists, names
from semibench.protocols.datasets.base import Dataset
from semibench.protocols.datasets.camvid import CamVid
from semibench.protocols.protocol import EvaluationRule, load

WHOLE = load("camvid-all").rules["whole"].model_dump()
POOL = tuple(f"image{number}" for number in range(10))


class Listed(Dataset):
    class_names = ("road", "sky")
    palette = ((0, 0, 0), (255, 255, 255))

    def __init__(self, **lists):
        super().__init__(None)
        self.lists = {"train": POOL, "val": ("a", "b"), "test": ("c",), **lists}

    @classmethod
    def locate(cls, root):
        return root

    def ids(self, subset):
        return self.lists[subset]

    def image(self, id):
        raise AssertionError("no image is needed for a split")

    def decode_mask(self, id):
        return np.zeros((1, 1), np.uint8)


def protocol(**changes):
    """A CamVid protocol whose subsets are pinned to the lists of ``Listed``."""
    subsets = {name: {"count": len(ids), "sha256": digest_ids(ids)} for name, ids in Listed().lists.items()}
    document = load("camvid-37@hash0").model_dump() | {"subsets": subsets, "labeled": 4} | changes
    return type(load("camvid-37@hash0")).parse(document, "the test")


@pytest.mark.parametrize("name", sorted(names.entries()))
def test_every_catalogued_protocol_is_valid_and_complete(name):
    loaded = load(name)
    assert loaded.name == name
    assert {loaded.rule().select_on, loaded.rule().report_on, loaded.pool} <= set(loaded.subsets)
    assert loaded.recipe.total_steps(100, 100) > 0


@pytest.mark.parametrize("name", sorted({entry.dataset for entry in names.entries().values()}))
def test_the_evaluation_rules_of_a_data_set_score_the_same_images_and_classes(name):
    loaded = load(f"{name}-1@hash0")
    assert (
        len({(loaded.rule(rule).select_on, loaded.rule(rule).report_on, loaded.rule(rule).classes) for rule in loaded.rules})
        == 1
    )


def test_labelled_and_unlabelled_ids_are_disjoint_and_together_the_pool():
    split = protocol().split(Listed())
    assert len(split.labeled) == 4
    assert sorted((*split.labeled, *split.unlabeled)) == sorted(POOL)


def test_all_labelled_leaves_nothing_unlabelled():
    split = protocol(labeled="all", family="official").split(Listed())
    assert (sorted(split.labeled), list(split.unlabeled)) == (sorted(POOL), [])


def test_the_order_of_a_list_on_disk_changes_neither_split_nor_digest():
    reordered = Listed(train=POOL[::-1])
    assert protocol().split(reordered) == protocol().split(Listed())
    assert protocol().digest(reordered) == protocol().digest(Listed())


@pytest.mark.parametrize("subset", ["train", "val", "test"])
def test_another_list_is_refused_with_both_digests(subset):
    with pytest.raises(
        DataError, match=rf"'{subset}' of camvid has 1 ids with the digest {digest_ids(['z'])[:12]}.*means \d+ with"
    ):
        protocol().digest(Listed(**{subset: ("z",)}))


def test_a_family_without_a_list_is_refused():
    with pytest.raises(DataError, match="no list for the family 'cps'"):
        protocol(family="cps").split(Listed())


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"labeled": 5}, id="number of labels"),
        pytest.param({"family": "hash1"}, id="partition"),
        pytest.param({"rules": {"whole": WHOLE | {"classes": "all"}}}, id="which classes count"),
        pytest.param({"rules": {"whole": WHOLE | {"report_on": "val"}}}, id="reported subset"),
    ],
)
def test_the_digest_changes_with_what_a_number_means(change):
    assert protocol(**change).digest(Listed()) != protocol().digest(Listed())


def test_the_digest_does_not_change_with_the_recipe():
    recipe = load("camvid-all").recipe.model_dump() | {"steps": 1}
    assert protocol(recipe=recipe, about="other words").digest(Listed()) == protocol().digest(Listed())


def test_an_unknown_key_names_the_known_ones():
    with pytest.raises(UsageError, match=r"unknown key 'rules\.whole\.checkpiont' in the test\. Nearest: checkpoint"):
        protocol(rules={"whole": WHOLE | {"checkpiont": "best"}})


def test_a_data_set_that_is_not_there_is_refused_when_it_is_opened():
    with pytest.raises(DataError, match="--data-root"):
        load("camvid-all").open(Path("nowhere"))


def test_a_protocol_opens_the_data_set_that_it_names(tmp_path):
    for subset in ("train", "val", "test"):
        (tmp_path / f"{subset}.txt").write_text(f"{subset}0")
    assert isinstance(load("camvid-all").open(tmp_path), CamVid)


RULE = {"mode": "whole", "select_on": "val", "report_on": "test"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"mode": "sliding"}, "needs window and stride", id="sliding without windows"),
        pytest.param({"mode": "sliding", "window": [8, 8]}, "needs window and stride", id="sliding without a stride"),
        pytest.param({"stride": [8, 8]}, "neither window nor stride", id="whole with a stride"),
        pytest.param(
            {"mode": "sliding", "window": [8, 4], "stride": [8, 5]}, "stride is larger than window", id="gaps between windows"
        ),
    ],
)
def test_an_evaluation_rule_has_windows_that_cover_the_image_exactly_when_it_slides(changes, message):
    with pytest.raises(UsageError, match=message):
        EvaluationRule.parse(RULE | changes, "the test")


def test_windows_may_stand_side_by_side():
    rule = EvaluationRule.parse(RULE | {"mode": "sliding", "window": [8, 4], "stride": [8, 4]}, "the test")
    assert rule.stride == rule.window


def test_a_subset_that_the_protocol_does_not_have_is_refused_with_those_that_it_has():
    with pytest.raises(UsageError, match=r"subset 'vall' not found; nearest: val\. .* has test, train, val\."):
        protocol().evaluated(Listed(), "vall")


# Published lists.


def on_disk(published, **changes):
    """A data set with the subsets of the small catalogue."""
    subsets = {
        name: published.lists[f"lists/{file}.txt"] for name, file in (("train", "train"), ("val", "val"), ("test", "val"))
    }
    return Listed(**subsets | changes)


def test_a_published_list_divides_the_pool(published):
    lists.keep(published.lists["lists/random.txt"])
    split = load("camvid-4@random").split(on_disk(published))
    assert split.labeled == ("image03", "image04", "image05", "image06")
    assert len(split.unlabeled) == 16


def test_a_published_list_that_is_not_at_hand_says_how_to_get_it(published):
    with pytest.raises(DataError, match=r"camvid-4@random is not at hand .*'semibench protocol fetch camvid-4@random'"):
        load("camvid-4@random").split(on_disk(published))


def test_an_unlabelled_list_of_its_own_is_used_with_its_defect(published):
    lists.keep(published.lists["lists/classic.txt"])
    lists.keep(published.lists["lists/leaky_rest.txt"])
    split = load("camvid-4@leaky").split(on_disk(published))
    assert set(split.labeled) & set(split.unlabeled) == {"image03"}
    assert len(split.unlabeled) == 7
    assert load("camvid-4@leaky").digest(on_disk(published)) != load("camvid-4@classic").digest(on_disk(published))


def test_the_digest_follows_from_the_lists_alone(published):
    lists.keep(published.lists["lists/random.txt"])
    official = load("camvid-4@random")
    dataset = official.dataset_class()
    there = type("There", (Listed,), {"class_names": dataset.class_names})(**on_disk(published).lists)
    assert official.official_digest(official.split(there)) == official.digest(there)


def test_unlabelled_images_of_another_subset_must_be_on_disk(published):
    table = names.documents()["camvid"]["protocols"]["camvid-4@leaky"]
    table["unlabeled"]["pool"] = "extra"
    for ids in published.lists.values():
        lists.keep(ids)
    extra = published.lists["lists/leaky_rest.txt"]
    assert load("camvid-4@leaky").split(on_disk(published, extra=extra)).unlabeled == extra
    with pytest.raises(DataError, match="the unlabelled list of camvid-4@leaky names 2 images that are missing on disk"):
        load("camvid-4@leaky").split(on_disk(published, extra=extra[2:]))


# A part of the data set.


def test_a_part_of_the_data_set_is_refused_unless_it_is_asked_for(published):
    lists.keep(published.lists["lists/random.txt"])
    part = on_disk(published, train=("image03", "image04", "image19"), val=("val1",))
    official = load("camvid-4@random")
    with pytest.raises(DataError, match="--partial"):
        official.split(part)
    assert official.split(part, partial=True) == (("image03", "image04"), ("image19",))
    assert official.evaluated(part, "val", partial=True) == ("val1",)


def test_images_that_are_missing_on_disk_are_named_where_the_official_list_is_at_hand(published):
    part = on_disk(published, train=published.lists["lists/train.txt"][2:])
    with pytest.raises(DataError, match=r"means 20 with [0-9a-f]{12}\. Use the official list"):
        load("camvid-all").split(part)
    lists.keep(published.lists["lists/train.txt"])
    with pytest.raises(DataError, match="; 2 are missing on disk, such as 'image00'"):
        load("camvid-all").split(part)


def test_the_digest_of_a_part_is_another_and_that_of_all_of_it_is_not(published):
    lists.keep(published.lists["lists/random.txt"])
    official, complete = load("camvid-4@random"), on_disk(published)
    part = on_disk(published, val=("val1",))
    assert official.digest(part, partial=True) != official.digest(complete)
    assert official.digest(complete, partial=True) == official.digest(complete)


def test_a_hashed_partition_of_a_part_is_taken_from_what_is_there(published):
    part = on_disk(published, train=("image03", "image04", "image19"))
    split = load("camvid-2@hash0").split(part, partial=True)
    assert (len(split.labeled), len(split.unlabeled)) == (2, 1)


def test_a_part_without_any_labelled_image_is_refused(published):
    lists.keep(published.lists["lists/random.txt"])
    with pytest.raises(DataError, match="none of the 4 labelled images of camvid-4@random is on disk"):
        load("camvid-4@random").split(on_disk(published, train=("image00",)), partial=True)


# Evaluation rules.


def test_a_rule_is_the_protocol_s_own_unless_it_is_named(published):
    official = load("camvid-4@random")
    assert official.rule() == official.rule("whole")
    assert official.rule("sliding").window == (64, 64)


def test_where_a_rule_comes_from_does_not_change_its_digest(published):
    official = load("camvid-4@random")
    assert official.rule().digest() == EvaluationRule(mode="whole", select_on="val", report_on="val").digest()


def test_a_rule_that_does_not_exist_is_refused_with_those_that_do(published):
    with pytest.raises(
        UsageError, match=r"evaluation rule 'slidding' not found; nearest: sliding\. camvid has sliding, whole\."
    ):
        load("camvid-4@random").rule("slidding")
