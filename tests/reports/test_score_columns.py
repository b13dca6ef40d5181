"""Columns besides the mIoU: by hand from a confusion matrix, or from counts per image."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semibench import plugins
from semibench.errors import UsageError
from semibench.metrics import N_BINS
from semibench.reports import over_images, store
from semibench.reports.compare import Selection, build
from semibench.reports.figures import derive
from semibench.reports.per_image import PerImage
from semibench.reports.score_columns import rare_classes
from semibench.reports.store import Collection

# 10 pixels: 6 of a, 3 of b, 1 of c; IoU 5/7, 2/4 and 1/1
THREE = ((5, 1, 0), (1, 2, 0), (0, 0, 1))
NAMES = ("a", "b", "c")


def _row(results, *columns, folders=None):
    [table] = build(Collection(tuple(results), (), folders or {}), Selection(columns=columns)).tables
    return {column.key: cell for column, cell in zip(table.columns, table.rows[0], strict=True)}, table


@pytest.mark.parametrize(
    ("column", "text"),
    [
        ("pixel_accuracy", "80.00"),
        ("frequency_weighted_iou", "67.86"),  # (6 * 5/7 + 3 * 1/2 + 1) / 10
        ("boundary_iou", "25.00"),
        ("rare_iou", "100.00"),
        ("last", "73.81"),
        ("best", "73.81"),
        ("best_minus_last", "+0.00"),
        ("latency", "10.0"),
        ("memory", "1.00"),
        ("step", "500"),
        ("hours", "0.00833"),
        ("training_images_per_second", "200"),
        ("calibration_error", "12.50"),
        ("coverage", "75.00"),
        ("energy", "1.50"),
    ],
)
def test_a_column_shows_what_the_result_gives(make_result, column, text):
    result = make_result(confusion=THREE, class_names=NAMES, coverage=0.75)
    cost = result.cost.model_copy(update={"energy": 5.4e6})  # joules
    cells, _ = _row([result.model_copy(update={"cost": cost})], column)
    assert cells[column].text == text


@pytest.mark.parametrize("column", ["latency", "step", "hours", "training_images_per_second", "energy"])
def test_a_cost_over_which_seeds_disagree_is_not_shown_and_the_table_says_why(make_result, column):
    def measured(seed, times):
        cost = make_result(seed=seed).cost
        latency = cost.latency.model_copy(update={"p50": times * cost.latency.p50})
        speed, seconds = cost.training_images_per_second / times, cost.training_seconds * times
        changes = {"latency": latency, "training_images_per_second": speed, "training_seconds": seconds, "energy": times}
        return make_result(seed=seed).model_copy(update={"cost": cost.model_copy(update=changes)})

    cells, table = _row([measured(0, 1.0), measured(1, 1.4)], column)
    assert cells[column].text != "\N{EN DASH}"
    assert not any("no seeds disagree" in note for note in table.notes)
    cells, table = _row([measured(0, 1.0), measured(1, 1.6)], column)
    assert cells[column].text == "\N{EN DASH}"
    assert any("no seeds disagree" in note for note in table.notes)


def test_scores_are_means_over_seeds_with_their_deviation(make_result):
    cells, _ = _row([make_result(seed=0), make_result(seed=1, confusion=((4, 0), (0, 4)))], "pixel_accuracy")
    assert cells["pixel_accuracy"].text == "87.50 ± 17.68"  # 75 and 100


def test_the_best_checkpoint_less_the_last_is_shown_with_its_sign(make_result):
    result = make_result(confusion=((4, 0), (0, 4)))
    lower = make_result().last
    shown, _ = _row([result.model_copy(update={"best": lower})], "best_minus_last")
    assert shown["best_minus_last"].text == "\N{MINUS SIGN}40.00"


def test_each_class_has_a_column_of_its_name(make_result):
    cells, table = _row([make_result(confusion=THREE, class_names=NAMES)], "method", "class_iou")
    assert [column.header for column in table.columns] == ["Method", "a (%)", "b (%)", "c (%)"]
    assert [cells[f"iou:{name}"].text for name in NAMES] == ["71.43", "50.00", "100.00"]
    assert [column.fields for column in table.columns][1] == ("iou_a_mean", "iou_a_std")


def test_a_class_that_does_not_occur_has_no_figure(make_result):
    cells, _ = _row([make_result(confusion=((4, 0, 0), (0, 4, 0), (0, 0, 0)), class_names=NAMES)], "class_iou")
    assert cells["iou:c"].text == "\N{EN DASH}"


@given(st.permutations(range(3)))
def test_permuting_classes_permutes_their_figures_and_changes_no_mean(order):
    matrix = np.array(THREE)
    usual, other = derive(matrix, "present"), derive(matrix[np.ix_(order, order)], "present")
    assert other.class_iou == tuple(usual.class_iou[label] for label in order)
    assert other.miou == pytest.approx(usual.miou)
    assert other.frequency_weighted_iou == pytest.approx(usual.frequency_weighted_iou)


def test_one_class_can_be_asked_for_and_sorted_by(make_result):
    results = [
        make_result(method="even", confusion=THREE, class_names=NAMES),
        make_result(method="good at b", confusion=((0, 6, 0), (0, 3, 0), (0, 1, 0)), class_names=NAMES),
    ]
    [table] = build(Collection(tuple(results)), Selection(columns=("method", "iou:b", "iou:a"), sort="iou:b")).tables
    assert [[cell.text for cell in row] for row in table.rows] == [["even", "50.00", "71.43"], ["good at b", "30.00", "0.00"]]


@pytest.mark.parametrize("selection", [{"columns": ("iou:rign",)}, {"sort": "iou:rign"}])
def test_a_class_that_no_data_set_has_is_answered_with_the_nearest(make_result, selection):
    with pytest.raises(UsageError, match="column 'iou:rign' not found; nearest: iou:ring") as error:
        build(Collection((make_result(),)), Selection(**selection))
    assert "of one class: iou:<class>" in error.value.next_step


def test_a_data_set_without_the_class_has_no_figure(make_result):
    results = (make_result(), make_result(protocol="abc-1", class_names=("background", "sky")))
    tables = build(Collection(results), Selection(columns=("iou:ring",), sort="iou:ring")).tables
    assert [table.rows[0][0].text for table in tables] == ["\N{EN DASH}", "60.00"]


def test_rare_classes_are_the_quarter_with_the_fewest_pixels_and_are_named(make_result):
    matrix = np.diag([8, 7, 1, 5, 2, 0, 9, 4, 3])
    assert rare_classes(matrix.tolist()) == [2, 4]  # of the eight that occur
    _, table = _row([make_result(confusion=THREE, class_names=NAMES)], "rare_iou")
    assert "fewest pixels in the truth: c." in "\n".join(table.notes)


def test_per_class_columns_cannot_sort(make_result):
    with pytest.raises(UsageError, match="column 'class_iou' not found"):
        build(Collection((make_result(),)), Selection(sort="class_iou"))


# Intervals over seeds.


def _seeds(make_result, *hits):
    return [make_result(seed=seed, confusion=((one, 10 - one), (10 - one, one))) for seed, one in enumerate(hits)]


def test_the_interval_over_seeds_is_students_of_the_mean(make_result):
    cells, table = _row(_seeds(make_result, 8, 9, 8), "miou", "seed_interval")
    # IoU 8/12, 9/11, 8/12: mean 71.72, deviation 8.75; t of 2 degrees of freedom is 4.303: 71.72 -+ 4.303 * 8.75 / sqrt(3)
    assert cells["miou"].text == "71.72 ± 8.75"
    assert cells["seed_interval"].text == "[49.99, 93.45]"
    assert [column.header for column in table.columns] == ["mIoU (%)", "mIoU, 95 % over seeds"]
    assert "Student's interval of the mean, from 3 seeds on" in "\n".join(table.notes)


def test_two_seeds_have_no_interval(make_result):
    cells, _ = _row(_seeds(make_result, 8, 9), "seed_interval")
    assert cells["seed_interval"].text == "\N{EN DASH}"


def test_the_interval_over_seeds_ends_where_scores_do(make_result):
    cells, _ = _row(_seeds(make_result, 10, 1, 10), "seed_interval")
    assert cells["seed_interval"].raw == (0.0, 1.0)


@pytest.mark.parametrize("format_name", sorted(plugins.summaries(plugins.FORMAT)))
def test_every_format_has_the_interval_over_seeds(make_result, format_name):
    cells, table = _row(_seeds(make_result, 8, 9, 8), "method", "seed_interval")
    text = plugins.find(plugins.FORMAT, format_name).render([table])
    shown, low = cells["seed_interval"].text.strip("[]").split(", ")[0], repr(cells["seed_interval"].raw[0])
    assert any(one in text for one in (shown, low))


# Intervals over images.


@pytest.fixture
def save_counts():
    """Write counts of a result's two images of the given shares of its pixels beside it."""

    def save(folder, ids=("one", "two")):
        pixels = np.array([[2, 2], [2, 2]], dtype=np.int64)
        right = np.array([[2, 1], [1, 2]], dtype=np.int64)
        bins = np.zeros((2, N_BINS), dtype=np.int64)
        counts = PerImage(np.array(ids), right, pixels, pixels, right, pixels, bins, bins, bins.astype(np.float64))
        counts.save(folder / "scores.npz")

    return save


def test_each_class_has_a_boundary_column_from_the_counts_per_image(make_result, save_result, save_counts, tmp_path):
    for seed in range(2):
        save_counts(save_result(make_result(seed=seed)))
    collection = store.read([tmp_path])
    cells, table = _row(collection.results, "class_boundary_iou", "boundary:ring", folders=collection.folders)
    # right of 4 pixels, summed over two images: 2 + 1 of the first class, 1 + 2 of the second
    assert [column.key for column in table.columns] == ["boundary:background", "boundary:ring", "boundary:ring"]
    assert {cell.text for cell in cells.values()} == {"75.00 ± 0.00"}
    assert table.columns[0].fields == ("boundary_iou_background_mean", "boundary_iou_background_std")
    assert "from its contours" in "\n".join(table.notes)


def test_a_boundary_of_a_class_needs_the_counts_of_every_seed(make_result, save_result, save_counts, tmp_path):
    save_counts(save_result(make_result(seed=0)))
    save_result(make_result(seed=1))
    collection = store.read([tmp_path])
    cells, _ = _row(collection.results, "boundary:ring", folders=collection.folders)
    assert cells["boundary:ring"].text == "\N{EN DASH}"


def test_few_images_have_no_interval(make_result, save_result, save_counts, tmp_path):
    save_counts(save_result(make_result()))
    collection = store.read([tmp_path])
    cells, _ = _row(collection.results, "image_interval", folders=collection.folders)
    assert cells["image_interval"].text == "\N{EN DASH}"


def test_the_interval_over_images_is_that_of_their_draws(make_result, save_result, save_counts, tmp_path, monkeypatch):
    monkeypatch.setattr(over_images, "MIN_IMAGES_DRAWN", 2)
    save_counts(save_result(make_result()))
    collection = store.read([tmp_path])
    cells, table = _row(collection.results, "image_interval", folders=collection.folders)
    # 2 right of 2 and 1 of 3 in either image: any draw of one image twice, or of both, has (1 + 1/3) / 2 or 3/5
    assert cells["image_interval"].text == "[60.00, 66.67]"
    assert "bootstrap of the scored images" in "\n".join(table.notes)
    assert "taken to be independent" in "\n".join(table.notes)


def test_seeds_are_drawn_alike_whatever_the_order_of_their_images(make_result, save_result, save_counts, tmp_path, monkeypatch):
    monkeypatch.setattr(over_images, "MIN_IMAGES_DRAWN", 2)
    save_counts(save_result(make_result(seed=0)), ids=("one", "two"))
    alone = store.read([tmp_path])
    single, _ = _row(alone.results, "image_interval", folders=alone.folders)
    save_counts(save_result(make_result(seed=1)), ids=("one", "two"))
    both = store.read([tmp_path])
    double, _ = _row(both.results, "image_interval", folders=both.folders)
    assert double["image_interval"].raw == single["image_interval"].raw


def test_without_the_counts_of_every_seed_there_is_no_interval(make_result, save_result, save_counts, tmp_path, monkeypatch):
    monkeypatch.setattr(over_images, "MIN_IMAGES_DRAWN", 2)
    save_counts(save_result(make_result(seed=0)))
    save_result(make_result(seed=1))
    collection = store.read([tmp_path])
    cells, _ = _row(collection.results, "image_interval", folders=collection.folders)
    assert cells["image_interval"].text == "\N{EN DASH}"


@pytest.mark.parametrize("change", [{"machine": "Processor 2"}, {"threads": 1}, {"processes": 2}, {"compiled": True}])
def test_times_of_different_machines_are_not_averaged(make_result, change):
    cells, _ = _row([make_result(seed=0), make_result(seed=1, **change)], "step", "hours", "latency", "memory")
    assert {cell.text for cell in cells.values()} == {"\N{EN DASH}"}
