from pathlib import Path

import numpy as np
import pytest

from semibench.errors import DataError, UsageError
from semibench.hashing import digest_ids
from semibench.protocols import names
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


@pytest.mark.parametrize("name", sorted(names.documents()))
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
