"""The gate: closed by what is worse beyond tolerance and noise, and by what cannot be compared."""

import json

import pytest

from semibench.errors import DataError
from semibench.reports import gate
from semibench.reports.compare import Selection, build
from semibench.reports.render.json import render
from semibench.reports.store import Collection


@pytest.fixture
def tables(make_result):
    """Build the tables of methods from how many of 100 pixels a class each seed has right."""

    def of(fields=None, **methods):
        results = [
            make_result(method=method, seed=seed, confusion=((hit, 100 - hit), (100 - hit, hit)), **(fields or {}))
            for method, hits in methods.items()
            for seed, hit in enumerate(hits)
        ]
        return build(Collection(tuple(results)), Selection()).tables

    return of


@pytest.fixture
def judge(tmp_path):
    """Return outcome and text for each row of an earlier table in the light of a later one."""

    def judged(then, now, tolerance=0.5):
        (tmp_path / "then.json").write_text(render(then))
        verdicts = gate.judge(gate.read(tmp_path / "then.json"), now, tolerance / 100)
        return {verdict.row.split()[1]: verdict for verdict in verdicts}

    return judged


def test_the_same_results_hold(tables, judge):
    now = tables(a=(80, 81, 82), b=(70,))
    assert {verdict.outcome for verdict in judge(now, now, tolerance=0).values()} == {"kept"}


def test_a_fall_beyond_tolerance_and_noise_is_worse(tables, judge):
    verdict = judge(tables(a=(80, 81, 82, 80)), tables(a=(75, 76, 78, 75)))["a"]
    assert verdict.outcome == "worse"
    assert verdict.text == "-6.42 points over 4 seeds (p < 0.001 after Holm)"
    assert verdict.is_failure


@pytest.mark.parametrize(
    ("then", "now", "tolerance"),
    [
        pytest.param((80, 70, 90), (78, 73, 87), 0.0, id="within noise"),
        pytest.param((80, 81, 82, 80), (75, 76, 78, 75), 10, id="within tolerance"),
        pytest.param((80, 81, 82), (85, 86, 88), 0.0, id="better"),
        pytest.param((80,), (79,), 2.0, id="one seed, within tolerance"),
    ],
)
def test_other_changes_hold(tables, judge, then, now, tolerance):
    assert judge(tables(a=then), tables(a=now), tolerance)["a"].outcome == "kept"


def test_one_or_two_seeds_are_judged_by_the_tolerance_alone(tables, judge):
    verdict = judge(tables(a=(80, 80)), tables(a=(79, 80)), tolerance=0.5)["a"]
    assert (verdict.outcome, verdict.text) == ("worse", "-0.69 points over 2 seeds (one or two seeds: noise is not known)")


def test_only_common_seeds_are_compared(tables, judge):
    assert judge(tables(a=(80, 81)), tables(a=(80, 81, 20)))["a"].outcome == "kept"


def test_a_row_that_is_gone_is_a_failure_and_a_new_one_is_none(tables, judge):
    verdicts = judge(tables(a=(80,)), tables(b=(80,)))
    assert {name: verdict.outcome for name, verdict in verdicts.items()} == {"a": "missing"}
    assert verdicts["a"].is_failure


@pytest.fixture
def configured(make_result):
    """Build the tables of one method by the threshold it was given and how many of 100 pixels a class it has right."""

    def of(hits):
        results = [
            make_result(config={"threshold": threshold}, confusion=((hit, 100 - hit), (100 - hit, hit)))
            for threshold, hit in hits.items()
        ]
        return build(Collection(tuple(results)), Selection()).tables

    return of


@pytest.mark.parametrize(
    ("then", "now", "outcomes"),
    [
        pytest.param({0.8: 80}, {0.8: 80, 0.9: 60}, ["kept"], id="a second one beside the only one"),
        pytest.param({0.8: 80, 0.9: 70}, {0.7: 60, 0.8: 80, 0.9: 70}, ["kept", "kept"], id="a third one beside two"),
        pytest.param({0.8: 80, 0.9: 70}, {0.8: 80}, ["kept", "missing"], id="one of two is gone"),
        pytest.param({0.8: 80}, {0.9: 85}, ["missing"], id="another one in its place"),
        pytest.param({0.8: 80, 0.9: 70}, {0.7: 90, 0.8: 60, 0.9: 70}, ["worse", "kept"], id="one of them has become worse"),
    ],
)
def test_a_row_is_found_by_its_configuration_whatever_stands_beside_it(configured, tmp_path, then, now, outcomes):
    (tmp_path / "then.json").write_text(render(configured(then)))
    verdicts = gate.judge(gate.read(tmp_path / "then.json"), configured(now), 0.005)
    assert [verdict.outcome for verdict in verdicts] == outcomes


def test_a_table_of_an_earlier_version_without_digests_of_its_rows_is_refused(tables, tmp_path):
    document = json.loads(render(tables(a=(80,))))
    del document["tables"][0]["rows"][0]["identity"]
    (tmp_path / "then.json").write_text(json.dumps(document))
    with pytest.raises(DataError, match=r"'identity'.*what an earlier version wrote may lack a field"):
        gate.read(tmp_path / "then.json")


def test_seeds_that_are_gone_are_a_failure(tables, judge, make_result):
    now = build(Collection((make_result(method="a", seed=7),)), Selection()).tables
    assert judge(tables(a=(80,)), now)["a"].text == "has none of the seeds 0, but 7"


def test_what_was_measured_otherwise_is_not_compared(tables, judge):
    verdict = judge(tables(a=(80,)), tables({"digest": "f" * 64}, a=(80,)))["a"]
    assert (verdict.outcome, verdict.text) == ("not comparable", "protocol_digest was aaaaaaaaaaaa, is ffffffffffff")


@pytest.mark.parametrize("digest", ["evaluation", "truth"])
def test_another_rule_or_other_masks_are_not_compared(tables, judge, make_result, digest):
    digests = make_result().digests.model_copy(update={digest: "f" * 64})
    assert judge(tables(a=(80,)), tables({"digests": digests}, a=(80,)))["a"].outcome == "not comparable"


def test_more_rows_need_more_to_be_seen(tables, judge):
    then, now = (80, 81, 82, 80), (76, 79, 80, 78)  # p = 0.014, times nine rows 0.12
    before, after = ({f"m{index}": hits for index in range(8)} for hits in ((70, 71, 70, 71), (71, 70, 71, 70)))
    assert judge(tables(a=then), tables(a=now))["a"].outcome == "worse"
    assert judge(tables(a=then, **before), tables(a=now, **after))["a"].outcome == "kept"


def test_rows_that_have_not_changed_are_no_tests(tables, judge):
    then, now = (80, 81, 82), (71, 70, 71)  # p = 0.006, times thirty rows 0.17
    others = {f"m{index}": (70, 71, 72) for index in range(29)}
    alone = judge(tables(a=then), tables(a=now))["a"]
    beside = judge(tables(a=then, **others), tables(a=now, **others))
    assert beside["a"] == alone
    assert alone.outcome == "worse"
    assert beside["m0"].text == "+0.00 points over 3 seeds (unchanged)"


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"tables": [{"title": "voc-92"}]}', '{"tables": [{"protocol": "x", "rows": [{"method": "a"}]}]}', "\x00"],
)
def test_what_is_no_table_is_refused_with_the_command_that_writes_one(tmp_path, text):
    (tmp_path / "then.json").write_text(text)
    with pytest.raises(DataError, match="compare --format json"):
        gate.read(tmp_path / "then.json")


@pytest.mark.parametrize("scores", ["nan", "1.5", "0.5 0.5", "high"])
def test_scores_that_no_run_has_are_refused(tables, tmp_path, scores):
    document = json.loads(render(tables(a=(80,))))
    document["tables"][0]["rows"][0]["miou_by_seed"] = scores
    (tmp_path / "then.json").write_text(json.dumps(document))
    with pytest.raises(DataError, match="is not a table with"):
        gate.read(tmp_path / "then.json")


def test_reported_rows_are_no_results(make_result, judge, tmp_path):
    collection = Collection((make_result(protocol="voc-92@classic"),))
    (tmp_path / "then.json").write_text(render(build(collection, Selection(published=True)).tables))
    assert [row["method"] for row in gate.read(tmp_path / "then.json")] == ["fixmatch"]
