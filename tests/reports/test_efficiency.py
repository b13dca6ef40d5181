"""Label efficiency: how many labels supervised training needs for what a method reaches."""

import math

import pytest

from semibench.protocols.protocol import load
from semibench.reports.aggregate import group
from semibench.reports.efficiency import Equivalent, Point, equivalent_labels, families, saved
from semibench.reports.result import Weights

SUPERVISED = [Point(16, 0.40), Point(64, 0.60), Point(256, 0.70)]
N_IMAGES = load("shapes-48").subsets["val"].count


@pytest.mark.parametrize(
    ("miou", "expected"),
    [
        pytest.param(0.40, Equivalent(16, "exactly"), id="its first point"),
        pytest.param(0.50, Equivalent(32, "exactly"), id="half way between 16 and 64 in the logarithm"),
        pytest.param(0.60, Equivalent(64, "exactly"), id="its second point"),
        pytest.param(0.65, Equivalent(128, "exactly"), id="on its second piece"),
        pytest.param(0.39, Equivalent(16, "at most"), id="below its curve"),
        pytest.param(0.71, Equivalent(256, "more than"), id="above its curve"),
    ],
)
def test_labels_are_interpolated_in_their_logarithm_and_bounded_beyond_the_curve(miou, expected):
    found = equivalent_labels(SUPERVISED, miou)
    assert found.bound == expected.bound
    assert math.isclose(found.labels, expected.labels)


def test_where_the_curve_falls_the_fewest_labels_count():
    falling = [Point(10, 0.2), Point(20, 0.6), Point(40, 0.4), Point(80, 0.8)]
    assert equivalent_labels(falling, 0.6) == Equivalent(20, "exactly")
    assert equivalent_labels(falling, 0.7).labels == pytest.approx(40 * 2**0.75)


@pytest.mark.parametrize(("labels", "needed", "share"), [(16, 64.0, 0.75), (64, 64.0, 0.0), (64, 32.0, -1.0)])
def test_labels_saved_are_a_share_of_what_supervised_training_needs(labels, needed, share):
    assert saved(labels, Equivalent(needed, "exactly")) == share


@pytest.fixture
def on(make_result):
    """Build a group of one run on a protocol of the drawn pictures, scored on all its images unless told otherwise."""

    def build(protocol, method="supervised", n_images=N_IMAGES, recipe_digest=None, **fields):
        rule = load("shapes-48").rule()
        result = make_result(protocol=protocol, dataset="shapes", method=method, evaluation=rule, **fields)
        if recipe_digest:
            digests = result.digests.model_copy(update={"recipe": recipe_digest})
            result = result.model_copy(update={"digests": digests})
        scores = result.last.model_copy(update={"n_images": n_images})
        return group([result.model_copy(update={"last": scores, "best": scores})])[0]

    return build


def test_a_family_has_the_curves_with_two_numbers_of_labels_or_more(on):
    groups = [on(name, method) for name in ("shapes-16", "shapes-48") for method in ("supervised", "fixmatch")]
    [family] = families([*groups, on("shapes-48", "unimatch")])
    assert (family.dataset, family.family, family.is_nested) == ("shapes", "hash0", True)
    assert [(curve.name[0], list(curve.groups)) for curve in family.curves] == [
        ("fixmatch", [16, 48]),
        ("supervised", [16, 48]),
    ]
    assert family.supervised(family.curves[0]) is family.curves[1]
    assert family.supervised(family.curves[1]) is None


def test_all_labels_are_the_upper_end_of_a_family(on):
    [family] = families([on("shapes-all"), on("shapes-16")])
    assert list(family.curves[0].groups) == [16, 1000]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param({"protocol": "shapes-16"}, {"protocol": "shapes-48@hash1"}, id="other partitions"),
        pytest.param({"protocol": "shapes-16"}, {"protocol": "shapes-48", "n_images": 3}, id="a part of the images"),
        pytest.param({"protocol": "shapes-16"}, {"protocol": "shapes-48", "backbone": "resnet50"}, id="another backbone"),
        pytest.param({"protocol": "shapes-16"}, {"protocol": "unheard-of"}, id="an unknown protocol"),
    ],
)
def test_what_was_not_measured_alike_shares_no_curve(on, one, other):
    assert families([on(**one), on(**other)]) == []


@pytest.mark.parametrize(
    "changes",
    [{"config": {"tau": 0.5}}, {"network": {"name": "other"}}, {"recipe": {"steps": 7}}],
    ids=["method", "network", "recipe"],
)
def test_what_was_set_by_hand_is_a_curve_only_where_it_was_set_alike(on, changes):
    few, many = ({"protocol": name, "division": "custom"} for name in ("shapes-16", "shapes-48"))
    assert families([on(**few), on(**many, **changes)]) == []
    assert len(families([on(**few, **changes), on(**many, **changes)])) == 1


def _both(on, recipes, **fields):
    """The family of a supervised and another curve, whose recipes have those digests."""
    groups = [
        on(name, method, recipe_digest=recipe * 64, **fields)
        for name in ("shapes-16", "shapes-48")
        for method, recipe in zip(("supervised", "fixmatch"), recipes, strict=True)
    ]
    [family] = families(groups)
    return {curve.name[0]: curve for curve in family.curves}, family


@pytest.mark.parametrize(("recipes", "has_partner"), [("aa", True), ("ab", False)])
def test_labels_saved_need_the_same_recipe_where_it_was_set_by_hand(on, recipes, has_partner):
    curves, family = _both(on, recipes, division="custom")
    assert (family.supervised(curves["fixmatch"]) is curves["supervised"]) == has_partner


def _weights(sha256):
    return (Weights(name="clip.pt", sha256=sha256 * 64, matched=3, missing=(), unexpected=()),)


@pytest.mark.parametrize(("theirs", "has_partner"), [("a", True), ("b", False)])
def test_labels_saved_need_the_same_weights_to_start_from(on, theirs, has_partner):
    methods = {"fixmatch": "a", "supervised": theirs}
    names = ("shapes-16", "shapes-48")
    [family] = families([on(name, method, weights=_weights(of)) for name in names for method, of in methods.items()])
    curves = {curve.name[0]: curve for curve in family.curves}
    assert (family.supervised(curves["fixmatch"]) is curves["supervised"]) == has_partner


def test_points_of_other_weights_are_no_curve(on):
    assert families([on("shapes-16", weights=_weights("a")), on("shapes-48", weights=_weights("b"))]) == []


def test_label_maps_of_other_programs_save_no_labels(on):
    curves, family = _both(on, "aa", kind="external", division="external", cost=None, macs=None)
    assert family.supervised(curves["fixmatch"]) is None


def test_the_order_of_groups_changes_nothing(on):
    groups = [on(name, method) for name in ("shapes-16", "shapes-all", "shapes-48") for method in ("supervised", "cps")]
    assert families(groups) == families(groups[::-1])
