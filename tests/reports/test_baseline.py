"""Rows against a baseline: paired by seed, under the same conditions, with their cost."""

import numpy as np
import pytest
from scipy import stats

from semibench.errors import UsageError
from semibench.reports.aggregate import group
from semibench.reports.baseline import KEYS, OVER_IMAGES, compare, notes, seconds_per_step
from semibench.reports.compare import Selection, build
from semibench.reports.result import Weights
from semibench.reports.store import Collection


def _right(hits):
    """Return a confusion matrix of 200 pixels whose mIoU grows with ``hits`` (of 100 a class)."""
    return ((hits, 100 - hits), (100 - hits, hits))


@pytest.fixture
def timed(make_result):
    """Build a result whose training took some seconds; 60 steps."""

    def build(seconds=30.0, resumed=0, **fields):
        result = make_result(**fields)
        return result.model_copy(
            update={
                "cost": result.cost.model_copy(update={"training_seconds": seconds}),
                "provenance": result.provenance.model_copy(update={"resumed": resumed}),
            }
        )

    return build


@pytest.fixture
def runs(timed):
    ours = [timed(90.0, seed=seed, confusion=_right(hits)) for seed, hits in enumerate((80, 84, 82, 85))]
    theirs = [timed(30.0, seed=seed, confusion=_right(hits), method="supervised") for seed, hits in enumerate((76, 77, 78, 79))]
    return ours, theirs


def _by_method(results, method="supervised"):
    groups = group(results)
    return dict(zip([one.first.method for one in groups], compare(groups, method), strict=True))


def test_differences_are_paired_by_common_seeds(runs):
    ours, theirs = runs
    found = _by_method([*ours, *theirs[1:]])["fixmatch"]  # seed 0 is only in one of them
    differences = [a.miou - b.miou for a, b in zip(ours[1:], theirs[1:], strict=True)]
    expected = stats.ttest_1samp(differences, 0)
    assert found.pairs == 3
    assert found.mean == pytest.approx(np.mean(differences))
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert found.p == pytest.approx(expected.pvalue)


def test_the_baseline_is_not_compared_with_itself(runs):
    found = _by_method([*runs[0], *runs[1]])["supervised"]
    assert (found.pairs, found.mean, found.p, found.step_time) == (0, None, None, 1.0)


def test_two_common_seeds_have_a_difference_and_no_interval(runs):
    found = _by_method([*runs[0][:2], *runs[1]])["fixmatch"]
    assert found.pairs == 2
    assert found.mean is not None
    assert (found.low, found.high, found.p) == (None, None, None)


def test_p_values_are_adjusted_for_the_rows_compared(runs, timed):
    alone = _by_method([*runs[0], *runs[1]])["fixmatch"].p
    third = [timed(seed=seed, confusion=_right(hits), method="unimatch") for seed, hits in enumerate((77, 76, 79, 78))]
    assert _by_method([*runs[0], *runs[1], *third])["fixmatch"].p == pytest.approx(2 * alone)


OTHER_WEIGHTS = Weights(name="clip.pt", sha256="9" * 64, matched=3, missing=(), unexpected=())


@pytest.mark.parametrize(
    "change",
    [{"backbone": "resnet50"}, {"division": "published"}, {"weights": (OTHER_WEIGHTS,)}],
    ids=lambda change: next(iter(change)),
)
def test_rows_made_under_other_conditions_are_not_compared(runs, timed, change):
    ours, theirs = runs
    other = [timed(seed=seed, run_id=f"{seed:064x}", **change) for seed in range(4)]
    groups = group([*other, *ours, *theirs])
    found = [against for one, against in zip(groups, compare(groups, "supervised"), strict=True) if one.first in other]
    assert [(against.pairs, against.step_time) for against in found] == [(0, None)]


@pytest.mark.parametrize(("division", "pairs"), [("controlled", 1), ("published", 1), ("custom", 0)])
def test_where_recipes_were_set_by_hand_they_must_be_the_same(make_result, division, pairs):
    ours, theirs = (make_result(method=method, division=division) for method in ("fixmatch", "supervised"))
    digests = ours.digests.model_copy(update={"recipe": "9" * 64})
    assert _by_method([ours, theirs])["fixmatch"].pairs == 1
    assert _by_method([ours.model_copy(update={"digests": digests}), theirs])["fixmatch"].pairs == pairs


def test_an_unknown_backbone_is_not_the_same_backbone(timed):
    results = [timed(seed=0, backbone="unknown", method=method) for method in ("fixmatch", "supervised")]
    assert _by_method(results)["fixmatch"].pairs == 0


def test_of_two_baselines_the_one_with_the_same_recipe_is_taken(runs, make_result):
    ours, theirs = runs
    digests = ours[0].digests.model_copy(update={"recipe": "9" * 64})
    longer = [
        make_result(seed=seed, method="supervised", recipe={"steps": 90}, digests=digests, confusion=_right(60))
        for seed in range(4)
    ]
    groups = group([*ours, *theirs, *longer])
    [found] = [against for one, against in zip(groups, compare(groups, "supervised"), strict=True) if one.first in ours]
    assert found.mean == pytest.approx(np.mean([a.miou - b.miou for a, b in zip(ours, theirs, strict=True)]))


def test_cost_is_the_ratio_of_seconds_per_step(runs):
    assert seconds_per_step(runs[0][0]) == 1.5
    assert _by_method([*runs[0], *runs[1]])["fixmatch"].step_time == 3.0


@pytest.mark.parametrize(
    "change",
    [{"resumed": 1}, {"machine": "Processor 2"}, {"threads": 1}, {"processes": 2}, {"compiled": True}, {"seconds": None}],
)
def test_cost_is_left_out_where_the_clocks_differ(runs, timed, change):
    ours, theirs = runs
    odd = timed(**{"seconds": 90.0, "seed": 3} | change)
    found = _by_method([*ours[:3], odd, *theirs])["fixmatch"]
    assert found.step_time is None
    assert found.pairs == 4


def test_cost_is_left_out_where_seeds_disagree_as_on_a_loaded_machine(runs, timed):
    ours, theirs = runs
    assert _by_method([*ours[:3], timed(136.0, seed=3), *theirs])["fixmatch"].step_time is None


def test_cost_is_left_out_between_rows_whose_speeds_disagree_though_they_have_one_network(timed):
    theirs = timed(method="supervised", images_per_second=100.0)
    for speed, expected in ((149.0, 3.0), (151.0, None)):
        assert _by_method([timed(90.0, images_per_second=speed), theirs])["fixmatch"].step_time == expected


def _table(results, **selection):
    [table] = build(Collection(tuple(results)), Selection(baseline="supervised", **selection)).tables
    return table


def test_the_columns_follow_the_score(runs):
    table = _table([*runs[0], *runs[1]])
    keys = [column.key for column in table.columns]
    shown = [key for key in KEYS if key not in OVER_IMAGES]  # there are no counts per image
    assert keys[keys.index("miou") + 1 :][: len(shown)] == shown
    # mIoU 80/120, 84/116, 82/118, 85/115 less 76/124, 77/123, 78/122, 79/121; deviation 2.22, t(3) = 3.18, half 3.18 * 2.22 / 2
    texts = {column.key: [row[place].text for row in table.rows] for place, column in enumerate(table.columns)}
    assert texts["difference"] == ["+7.34", "\N{EN DASH}"]
    assert texts["interval"] == ["[+3.81, +10.88]", "\N{EN DASH}"]
    assert texts["pairs"] == ["4", "\N{EN DASH}"]
    assert texts["p"] == ["0.007", "\N{EN DASH}"]
    assert texts["step_time"] == ["3.00", "1.00"]


def test_a_loss_has_a_minus_sign(timed):
    results = [timed(seed=0, confusion=_right(70)), timed(seed=0, confusion=_right(80), method="supervised")]
    table = _table(results, columns=("method", "difference"), sort="difference")
    assert [row[1].text for row in table.rows] == ["\N{MINUS SIGN}12.82", "\N{EN DASH}"]


def test_tables_say_how_they_compare_and_what_they_cannot_tell_apart(runs, timed):
    near = [timed(seed=seed, confusion=_right(hits), method="near") for seed, hits in enumerate((77, 76, 79, 78))]
    few = [timed(seed=seed, method="few") for seed in range(2)]
    groups = group([*runs[0], *runs[1], *near, *few])
    found = "\n".join(notes(groups, "supervised", compare(groups, "supervised")))
    assert "the same backbone, division and weights to start from, in custom with the same recipe, too; paired by seed" in found
    sizes = [one for one in notes(groups, "supervised", compare(groups, "supervised")) if one.startswith("Smallest")]
    # differences of mIoU deviate by 1.54 (near) and 2.22 points (ours); 4 seeds: 2.128 times as much
    assert [one.partition(", by")[0] for one in sizes] == [
        "Smallest detectable difference from supervised: 3.28 to 4.73 points"
    ]
    assert "after Holm over 2 of them" in found
    assert "Fewer than 3 seeds in common with supervised decide nothing: few." in found
    assert "Not separable from supervised at the 5 % level: near." in found


def test_where_no_row_shares_enough_seeds_no_difference_is_called_detectable(runs):
    assert (
        "No difference from supervised can be called detectable: no other row has 3 seeds in common with it."
        in _table([*runs[0], *runs[1][:2]]).notes
    )


def test_differences_that_are_the_same_with_every_seed_have_no_smallest_one(timed):
    alike = [timed(seed=seed, method=method) for method in ("alike", "supervised") for seed in range(3)]
    assert (
        "No smallest detectable difference from supervised: the paired differences are the same for all common seeds."
        in _table(alike).notes
    )


def test_with_a_baseline_only_pairs_with_it_are_tested(runs):
    said = "\n".join(_table([*runs[0], *runs[1]]).notes)
    assert "pair of rows" not in said
    assert said.count("Smallest detectable difference") == 1


def test_a_baseline_without_a_run_names_the_nearest(runs):
    with pytest.raises(UsageError, match="method 'supervise' not found; nearest: supervised"):
        build(Collection(tuple(runs[1])), Selection(baseline="supervise"))


def test_columns_of_a_baseline_need_one(runs):
    with pytest.raises(UsageError, match="column 'difference' not found"):
        build(Collection(tuple(runs[1])), Selection(columns=("difference",)))
