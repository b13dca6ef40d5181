"""Rows over images: intervals and tests from the counts of runs on the same images and seeds."""

import numpy as np
import pytest

from semibench.metrics import N_BINS
from semibench.reports import over_images, per_image, store
from semibench.reports.aggregate import group
from semibench.reports.baseline import compare
from semibench.reports.compare import Selection, build
from semibench.reports.over_images import Images
from semibench.reports.per_image import PerImage
from semibench.reports.statistics import MIN_IMAGES_DRAWN, bootstrap_images, flip_images, percentile_interval

PIXELS = 100  # of each of two classes in each image


@pytest.fixture
def save(make_result, save_result, tmp_path):
    """Write a run whose images have the given numbers of right pixels a class; others are taken for the other class."""

    def write(right, method="fixmatch", seed=0, ids=None, n_counts=True):
        right = np.stack([right, right], axis=1).astype(np.int64)
        hits, total = right.sum(axis=0), PIXELS * len(right)
        confusion = ((hits[0], total - hits[0]), (total - hits[1], hits[1]))
        result = make_result(confusion=np.array(confusion).tolist(), method=method, seed=seed)
        scores = result.last.model_copy(update={"n_images": len(right)})
        folder = save_result(result.model_copy(update={"last": scores, "best": scores}))
        pixels = np.full_like(right, PIXELS)
        predicted = right + PIXELS - right[:, ::-1]
        bins = np.zeros((len(right), N_BINS), np.int64)
        ids = ids or [f"image{number:02}" for number in range(len(right))]
        if n_counts:
            counts = PerImage(np.array(ids), right, pixels, predicted, right, predicted, bins, bins, bins.astype(np.float64))
            counts.save(folder / "scores.npz")

    return write


@pytest.fixture
def found(tmp_path):
    """Compare the rows of what was saved with ``supervised``; return them by method."""

    def run():
        collection = store.read([tmp_path])
        groups = group(collection.results)
        rows = compare(groups, "supervised", Images(collection.folders))
        return {one.first.method: against.images for one, against in zip(groups, rows, strict=True)}

    return run


@pytest.fixture
def intervals(monkeypatch):
    """Let intervals take no more images than the twelve of these tests."""
    monkeypatch.setattr(over_images, "MIN_IMAGES_DRAWN", 12)


EASE = np.random.default_rng(0).integers(60, 90, 12)


@pytest.mark.usefixtures("intervals")
def test_a_row_is_drawn_and_flipped_with_its_baseline_image_by_image(save, found):
    save(EASE + 2)
    save(EASE, method="supervised")
    over = found()["fixmatch"]
    hits = [np.stack([right, right], axis=1) for right in (EASE + 2, EASE)]
    unions = [2 * PIXELS - one for one in hits]  # truth and prediction have 100 pixels each, as the classes are confused evenly
    drawn = [bootstrap_images(one, union, "present") for one, union in zip(hits, unions, strict=True)]
    stacked = [np.stack([one, union], axis=1)[:, None] for one, union in zip(hits, unions, strict=True)]
    assert over.images == 12
    assert (over.low, over.high) == pytest.approx(percentile_interval(drawn[0] - drawn[1]))
    assert over.p == pytest.approx(flip_images(*stacked, "present"))
    assert over.p < 0.05


@pytest.mark.usefixtures("intervals")
def test_only_common_seeds_are_compared(save, found):
    save(EASE + 2, seed=1)
    save(EASE, method="supervised", seed=1)
    alone = found()["fixmatch"]
    save(EASE - 40, seed=2)
    save(EASE + 5, method="supervised", seed=3)
    assert found()["fixmatch"] == alone


@pytest.mark.usefixtures("intervals")
def test_the_order_of_images_makes_no_difference(save, found):
    save(EASE + 2)
    save(EASE, method="supervised")
    before = found()["fixmatch"]
    save(EASE[::-1] + 2, ids=[f"image{number:02}" for number in reversed(range(12))])
    assert found()["fixmatch"] == before


def test_p_values_over_images_are_adjusted_for_the_rows_compared(save, found):
    save(EASE + np.arange(12) % 3)
    save(EASE, method="supervised")
    alone = found()["fixmatch"].p
    save(EASE + 1 - 2 * (np.arange(12) % 2), method="near")
    assert found()["fixmatch"].p == pytest.approx(2 * alone)


def test_so_many_rows_have_so_many_draws_that_one_of_them_can_still_be_told_apart(save, tmp_path):
    save(np.concatenate([EASE, EASE]) + 2)  # too many images to try every change of sides
    save(np.concatenate([EASE, EASE]), method="supervised")
    collection = store.read([tmp_path])
    ours, theirs = group(collection.results)
    images = Images(collection.folders)
    few, many = (images.difference(ours, theirs, tests=tests).p for tests in (1, 300))
    assert 300 * few > 0.05
    assert 300 * many < 0.05


@pytest.mark.usefixtures("intervals")
def test_counts_of_the_baseline_are_read_once_however_many_rows_there_are(save, found, monkeypatch):
    for name in ("supervised", *(f"method{number}" for number in range(4))):
        save(EASE, method=name)
    read = []
    load = per_image.load
    monkeypatch.setattr(per_image, "load", lambda path, *rest: read.append(path.parent.parent.name) or load(path, *rest))
    found()
    assert read.count("supervised") == 1
    assert read.count("method0") == 2  # for the interval and for the test: other rows' counts are not kept


@pytest.mark.parametrize("change", [{"ids": list("abcdefghijkl")}, {"n_counts": False}, {"seed": 7}])
def test_other_images_missing_counts_or_no_common_seed_leave_the_row_empty(save, found, change):
    save(EASE + 2, **change)
    save(EASE, method="supervised")
    assert found()["fixmatch"] is None


def _table(tmp_path):
    [table] = build(store.read([tmp_path]), Selection(baseline="supervised")).tables
    return table


def test_a_table_shows_both_kinds_of_evidence_and_says_which_is_which(save, tmp_path):
    for seed in range(3):
        save(EASE + 2 + seed, seed=seed)
        save(EASE + seed % 2, method="supervised", seed=seed)
    table = _table(tmp_path)
    headers = [column.header for column in table.columns]
    assert headers[6:11] == ["95 % over seeds", "Pairs", "p over seeds", "95 % over images", "p over images"]
    notes = "\n".join(table.notes)
    assert "Both are about training again, on the same images" in notes
    assert "says nothing about training again" in notes
    assert "taken to be independent, which frames of one video are not" in notes


def test_a_single_seed_is_tested_over_images_alone(save, tmp_path):
    save(EASE + 2)
    save(EASE, method="supervised")
    table = _table(tmp_path)
    texts = {column.key: row.text for column, row in zip(table.columns, table.rows[0], strict=True)}
    assert texts["p"] == "\N{EN DASH}"
    assert texts["image_p"] == "<0.001"


def test_what_images_do_not_tell_apart_is_said(save, tmp_path):
    save(EASE + 1 - 2 * (np.arange(12) % 2))
    save(EASE, method="supervised")
    assert "Not separable from supervised over images at the 5 % level: fixmatch." in _table(tmp_path).notes


def test_few_images_decide_nothing_and_the_table_says_so(save, tmp_path):
    save(EASE[:5] + 2)
    save(EASE[:5], method="supervised")
    table = _table(tmp_path)
    assert "Fewer than 6 images decide nothing: fixmatch." in table.notes
    [place] = [place for place, column in enumerate(table.columns) if column.key == "image_difference"]
    assert {row[place].text for row in table.rows} == {"\N{EN DASH}"}


def test_images_that_suffice_for_a_test_but_not_for_an_interval_have_the_test_alone(save, found, tmp_path):
    save(np.resize(EASE, MIN_IMAGES_DRAWN - 1) + 2)
    save(np.resize(EASE, MIN_IMAGES_DRAWN - 1), method="supervised")
    over = found()["fixmatch"]
    assert (over.low, over.high) == (None, None)
    assert over.p < 0.05
    assert f"Intervals are given from {MIN_IMAGES_DRAWN} images on" in "\n".join(_table(tmp_path).notes)
    save(np.resize(EASE, MIN_IMAGES_DRAWN) + 2, method="more")
    save(np.resize(EASE, MIN_IMAGES_DRAWN), method="supervised", seed=0)
    assert found()["more"].low > 0


@pytest.mark.usefixtures("intervals")
def test_classes_in_few_images_are_named_where_an_interval_is_shown(save, tmp_path):
    save(EASE)
    said = (
        "Intervals over images are too narrow where a class is in fewer than 30 of them, as here: background (12), ring (12)."
    )
    collection = store.read([tmp_path])
    for columns, is_said in (("method",), False), (("image_interval",), True):
        [table] = build(collection, Selection(columns=columns)).tables
        assert (said in table.notes) is is_said


def test_classes_in_enough_images_or_in_none_are_not_named():
    images = Images({}, holders={"one": np.array([30, 29, 0, 500]), "other": np.array([30, 31, 0, 4])})
    [note] = images.notes(["a", "b", "c", "d"])
    assert note.endswith("as here: d (4), b (29).")


def test_of_many_classes_in_few_images_the_fewest_are_named_and_the_others_counted():
    [note] = Images({}, holders={"one": np.arange(1, 16)}).notes([f"class{number:02}" for number in range(15)])
    assert note.endswith("class10 (11), class11 (12) and 3 more.")
