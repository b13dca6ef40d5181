"""Over partitions: the mean of means, and what the labelled images alone change."""

import numpy as np
import pytest
from scipy import stats

from semibench.protocols.protocol import load
from semibench.reports import gate
from semibench.reports.compare import Selection, build
from semibench.reports.page import build as build_page
from semibench.reports.render import csv, html, json, latex, markdown
from semibench.reports.store import Collection

RULE = load("shapes-48").rule()
N_IMAGES = load("shapes-48").subsets["val"].count


@pytest.fixture
def on(make_result):
    """Build a result on a protocol of the drawn pictures, scored on all its images unless told otherwise."""

    def made(protocol, hits=80, n_images=N_IMAGES, **fields):
        confusion = ((hits, 100 - hits), (100 - hits, hits))
        result = make_result(protocol=protocol, dataset="shapes", evaluation=RULE, confusion=confusion, **fields)
        scores = result.last.model_copy(update={"n_images": n_images})
        return result.model_copy(update={"last": scores, "best": scores})

    return made


def _build(results, baseline=""):
    return build(Collection(tuple(results)), Selection(baseline=baseline))


def _over(results, baseline=""):
    """Return the tables over partitions, each row by the keys of its columns."""
    tables = [table for table in _build(results, baseline).tables if table.title.endswith("over partitions")]
    return [
        [{column.key: cell for column, cell in zip(table.columns, row, strict=True)} for row in table.rows] for table in tables
    ]


def _iou(hits):
    return hits / (200 - hits)


def test_a_row_is_the_mean_over_partitions_of_the_mean_over_seeds(on):
    hits = {"shapes-48": (80, 84, 88), "shapes-48@hash1": (70,), "shapes-48@hash2": (75, 79)}  # the first is hash0
    [[row]] = _over(on(name, right, seed=seed) for name, seeds in hits.items() for seed, right in enumerate(seeds))
    means = [np.mean([_iou(right) for right in seeds]) for seeds in hits.values()]
    interval = stats.ttest_1samp(means, 0).confidence_interval(0.95)
    assert row["miou"].raw[:2] == pytest.approx((np.mean(means), np.std(means, ddof=1)))
    assert row["partition_interval"].raw == pytest.approx((interval.low, interval.high))
    assert row["partitions"].text == "hash0 hash1 hash2"
    assert row["runs"].text == "6"


def test_two_partitions_have_a_mean_and_no_interval(on):
    [[row]] = _over([on("shapes-48", 80), on("shapes-48@hash1", 70)])
    assert row["miou"].text == "60.26 ± 9.07"  # 80/120 and 70/130
    assert row["partition_interval"].text == "\N{EN DASH}"


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"protocol": "shapes-16@hash1"}, id="another number of labels"),
        pytest.param({"protocol": "shapes-48@hash1", "config": {"threshold": 0.8}}, id="another configuration"),
        pytest.param({"protocol": "shapes-48@hash1", "backbone": "resnet50"}, id="another backbone"),
        pytest.param({"protocol": "shapes-48@hash1", "n_images": 3}, id="a part of the images"),
        pytest.param({"protocol": "unheard-of@hash1"}, id="an unknown protocol"),
        pytest.param({"protocol": "voc-92@classic"}, id="another data set"),
    ],
)
def test_what_differs_in_more_than_the_partition_has_no_mean(on, other):
    assert _over([on("shapes-48"), on(**other)]) == []


def test_masks_or_rules_that_differ_have_no_mean(on, make_result):
    digests = make_result().digests.model_copy(update={"truth": "9" * 64})
    assert _over([on("shapes-48"), on("shapes-48@hash1", digests=digests)]) == []


def test_rows_say_which_partitions_they_are_of_and_stand_best_first(on):
    results = [on(name, method="low", hits=60) for name in ("shapes-48", "shapes-48@hash1", "shapes-48@hash2")]
    results += [on(name, method="high") for name in ("shapes-48@hash1", "shapes-48@hash3")]
    [rows] = _over([*results, on("shapes-48", method="once")])
    assert [(row["method"].text, row["partitions"].text) for row in rows] == [
        ("high", "hash1 hash3"),
        ("low", "hash0 hash1 hash2"),
    ]


def test_configurations_with_one_label_are_told_apart_though_none_stands_beside_the_other(on):
    pairs = (0.8, ("shapes-48", "shapes-48@hash1")), (0.9, ("shapes-48@hash2", "shapes-48@hash3"))
    [rows] = _over(on(name, config={"threshold": threshold}) for threshold, names in pairs for name in names)
    assert len({row["config"].text for row in rows}) == 2
    assert all(row["config"].text.startswith("config ") for row in rows)


def test_every_format_takes_the_table_and_the_gate_leaves_it_out(on, tmp_path):
    comparison = _build([on("shapes-48"), on("shapes-48@hash1")])
    for face in (csv, json, latex, markdown):
        assert "hash0 hash1" in face.render(comparison.tables)
    assert "hash0 hash1" in html.render_page(build_page(comparison, {}, "miou", tmp_path))
    (tmp_path / "then.json").write_text(json.render(comparison.tables))
    rows = gate.read(tmp_path / "then.json")
    assert [row["protocol"] for row in rows] == ["shapes-48", "shapes-48@hash1"]
    assert {verdict.outcome for verdict in gate.judge(rows, comparison.tables, 0)} == {"kept"}


# Against a baseline.

NAMES = ("shapes-48", "shapes-48@hash1", "shapes-48@hash2", "shapes-48@hash3")  # the first is hash0


def _runs(on, method, hits, **fields):
    """One run for each partition and seed of ``hits``, a list of seeds' hits for each partition, none for none."""
    return [
        on(name, right, method=method, seed=seed, **fields)
        for name, seeds in zip(NAMES, hits, strict=True)
        for seed, right in enumerate(seeds)
    ]


def test_rows_are_compared_with_the_baseline_by_partition(on):
    ours, theirs = [(80, 84), (75,), (78,), (90,)], [(70, 72, 99), (71,), (77,), (80,)]
    [[row, own]] = _over([*_runs(on, "ours", ours), *_runs(on, "theirs", theirs)], baseline="theirs")
    pairs = [list(zip(one, other, strict=False)) for one, other in zip(ours, theirs, strict=True)]  # common seeds
    differences = [np.mean([_iou(one) - _iou(other) for one, other in of_partition]) for of_partition in pairs]
    test = stats.ttest_1samp(differences, 0)
    interval = test.confidence_interval(0.95)
    assert row["difference"].raw == pytest.approx((np.mean(differences),))
    assert row["interval"].raw == pytest.approx((interval.low, interval.high))
    assert row["p"].raw == pytest.approx((test.pvalue,))
    assert row["pairs"].raw == (4,)
    assert [own[key].raw[0] for key in ("difference", "p", "pairs")] == [None, None, 0]


def test_only_common_partitions_are_compared_and_three_are_too_few_for_less(on):
    runs = [*_runs(on, "ours", [(80,), (75,), (), (90,)]), *_runs(on, "theirs", [(70,), (71,), (77,), ()])]
    [[row, _]] = _over(runs, baseline="theirs")
    assert row["pairs"].raw == (2,)
    assert row["difference"].raw == pytest.approx((np.mean([_iou(80) - _iou(70), _iou(75) - _iou(71)]),))
    assert row["p"].raw == (None,)
    (table,) = [table for table in _build(runs, "theirs").tables if table.title.endswith("over partitions")]
    assert "Fewer than 3 partitions in common with theirs decide nothing: ours." in table.notes


def test_tests_of_several_rows_are_adjusted_after_holm(on):
    base = _runs(on, "base", [(70,), (71,), (72,), (73,)])
    rows = {"a": [(80,), (83,), (81,), (84,)], "b": [(71,), (73,), (72,), (75,)]}
    [found] = _over([*base, *(run for name, hits in rows.items() for run in _runs(on, name, hits))], baseline="base")
    p = {row["method"].text: row["p"].raw[0] for row in found}
    alone = {
        name: stats.ttest_rel([_iou(*one) for one in hits], [_iou(hit) for hit in (70, 71, 72, 73)]).pvalue
        for name, hits in rows.items()
    }
    assert alone["a"] < alone["b"]
    assert p == pytest.approx({"a": 2 * alone["a"], "b": max(alone["b"], 2 * alone["a"]), "base": None})


@pytest.mark.parametrize("baseline", ["", "elsewhere"], ids=["none is named", "it is on other partitions"])
def test_without_a_common_partition_nothing_is_compared(on, baseline):
    runs = [*_runs(on, "ours", [(80,), (75,), (), ()]), *_runs(on, "elsewhere", [(), (), (70,), (71,)])]
    [rows] = _over(runs, baseline)
    assert all("difference" not in row for row in rows)


def test_the_order_of_results_changes_no_comparison_and_every_format_shows_it(on, tmp_path):
    runs = [*_runs(on, "ours", [(80,), (75,), (78,), (90,)]), *_runs(on, "theirs", [(70,), (71,), (77,), (80,)])]
    comparison = _build(runs, "theirs")
    assert comparison.tables == _build(runs[::-1], "theirs").tables
    for face in (json, latex, markdown):
        assert "p over partitions" in face.render(comparison.tables)
    assert "difference_low" in csv.render(comparison.tables)
    assert "p over partitions" in html.render_page(build_page(comparison, {}, "miou", tmp_path))


def test_a_row_is_compared_with_one_row_of_the_baseline_on_every_partition(on):
    ours = _runs(on, "ours", [(80,), (75,), (78,), (90,)])
    low = _runs(on, "base", [(70,), (71,), (), ()], config={"threshold": 0.1})
    high = _runs(on, "base", [(), (), (77,), (80,)], config={"threshold": 0.9})
    [rows] = _over([*ours, *low, *high], baseline="base")
    assert all("difference" not in row for row in rows)  # either could be meant
    [rows] = _over([*ours, *low, *high[:1]], baseline="base")
    assert {row["pairs"].raw for row in rows if row["method"].text == "ours"} == {(2,)}


def test_notes_name_rows_as_the_table_does(on):
    base = _runs(on, "base", [(70,), (71,), (72,), ()])
    pairs = ((0.8, [(80,), (75,), (), ()]), (0.9, [(), (76,), (78,), ()]))
    runs = [run for threshold, hits in pairs for run in _runs(on, "ours", hits, config={"threshold": threshold})]
    (table,) = [table for table in _build([*base, *runs], "base").tables if table.title.endswith("over partitions")]
    configs = {row[3].text for row in table.rows if row[0].text == "ours"}
    assert len(configs) == 2
    (undecided,) = [note for note in table.notes if note.startswith("Fewer than 3 partitions")]
    assert all(config in undecided for config in configs)


def test_headers_of_the_table_differ(on):
    runs = [*_runs(on, "ours", [(80,), (75,), (78,), (90,)]), *_runs(on, "theirs", [(70,), (71,), (77,), (80,)])]
    (table,) = [table for table in _build(runs, "theirs").tables if table.title.endswith("over partitions")]
    headers = [column.header for column in table.columns]
    assert len(set(headers)) == len(headers)
