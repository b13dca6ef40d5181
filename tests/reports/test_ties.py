"""Which rows can be told apart: by all pairs, over common seeds, and never by too few."""

import pytest

from semibench.reports.aggregate import group
from semibench.reports.ties import notes


@pytest.fixture
def rows(make_result):
    """Build the runs of a method from how many of 100 pixels a class it has right with each seed."""

    def build(method, *hits, first_seed=0):
        return [
            make_result(method=method, seed=seed, confusion=((one, 100 - one), (100 - one, one)))
            for seed, one in enumerate(hits, first_seed)
        ]

    return build


def test_rows_that_no_test_separates_are_grouped_by_name(rows):
    groups = group([*rows("a", 80, 81, 82, 80), *rows("b", 81, 80, 82, 81), *rows("c", 60, 61, 62, 60)])
    text = "\n".join(notes(groups))
    assert "Not separable from each other by paired t-tests over common seeds of all 3 pairs of rows" in text
    assert text.splitlines()[0].endswith("after Holm, 5 % level: a, b.")


def test_rows_that_are_all_apart_are_said_to_be(rows):
    groups = group([*rows("a", 80, 81, 82), *rows("b", 60, 61, 62)])
    assert next(notes(groups)).startswith(
        "All rows are told apart by paired t-tests over common seeds of the one pair of rows,"
    )


def test_pairs_without_a_test_are_no_ties_and_are_counted(rows):
    apart = [*rows("a", 80, 81, 80), *rows("b", 60, 61, 60)]
    later = [*rows("c", 20, 21, 20, first_seed=3), *rows("d", 10, 11, 10, first_seed=3)]
    assert next(notes(group([*apart, *later]))) == (
        "All pairs tested are told apart by paired t-tests over common seeds of 2 of 6 pairs of rows "
        "(the others have fewer than 3), after Holm, 5 % level."
    )


def test_rows_tied_to_the_same_row_are_not_tied_to_each_other_without_a_test(rows):
    groups = group([*rows("a", 80, 81, 80), *rows("b", 81, 80, 80, 81, 80, 80), *rows("c", 80, 81, 81, first_seed=3)])
    assert next(notes(groups)).endswith(
        "of 2 of 3 pairs of rows (the others have fewer than 3), after Holm, 5 % level: a, b; b, c."
    )


def test_more_groups_than_are_shown_are_said_to_be_left_out(rows):
    def text(n_rows):  # each is 3 points below the one before, and all vary by 2
        made = [
            rows(f"m{row:02}", *(95 - 3 * row + one for one in (0, 2 * (row % 2), 2 * (row // 2 % 2)))) for row in range(n_rows)
        ]
        return next(notes(group([one for row in made for one in row])))

    assert "left out" not in text(3)
    assert text(24).endswith("; and more groups, which are left out.")
    assert text(24).count(";") == 12


NOTHING = "No difference can be called detectable: no two rows of runs have 3 seeds in common."


def test_where_no_two_rows_have_enough_seeds_the_table_says_that_no_difference_is_detectable(rows):
    assert list(notes(group([*rows("a", 80, 81), *rows("b", 60, 61)]))) == [NOTHING]
    assert list(notes(group([*rows("a", 80, 81, 82), *rows("b", 60, 61, 60, first_seed=3)]))) == [NOTHING]


def test_a_single_row_has_nothing_to_be_told_apart_from(rows):
    assert list(notes(group(rows("a", 80, 81, 82)))) == [NOTHING]


def test_differences_that_are_the_same_with_every_seed_have_no_smallest_one(make_result):
    alike = [make_result(method=method, seed=seed) for method in "ab" for seed in range(3)]
    assert list(notes(group(alike)))[1:] == [
        "No smallest detectable difference: the paired differences are the same with every seed."
    ]


def test_a_row_with_too_few_seeds_is_in_no_tie(rows):
    text = "\n".join(notes(group([*rows("a", 80, 81, 82), *rows("b", 81, 80, 82), *rows("c", 60)])))
    assert "level: a, b." in text
    assert "decide nothing: c." in text


def test_seeds_of_other_programs_are_tested_with_no_row(rows, make_result):
    elsewhere = [
        make_result(
            **{"method": "elsewhere", "kind": "external", "division": "external", "cost": None, "macs": None},
            seed=seed,
            digests=make_result().digests.model_copy(update={"tensors": f"{seed:064x}"}),
        )
        for seed in range(3)
    ]
    ours = [*rows("a", 80, 81, 82), *rows("b", 60, 61, 62)]
    assert list(notes(group([*ours, *elsewhere]))) == list(notes(group(ours)))


def test_the_smallest_detectable_difference_is_that_of_the_fewest_seeds_and_the_pooled_deviation(rows):
    groups = group([*rows("a", 80, 82, 81, 85, 80), *rows("b", 79, 78, 80, 81, 80)])
    # differences of mIoU: 1.38, 5.56, 1.40, 5.85 and 0 points, deviation 2.68; 5 seeds: 2.68 * 3.76 / sqrt(5)
    assert "Smallest detectable difference: 4.50 points, which 5 seeds find with 80 % probability" in "\n".join(notes(groups))


def test_rows_that_share_a_method_are_named_in_full(rows, make_result):
    lower = [make_result(method="a", seed=seed, config={"threshold": 0.8}, confusion=((80, 20), (20, 80))) for seed in range(3)]
    text = "\n".join(notes(group([*rows("a", 80, 81, 80), *lower])))
    assert "a (resnet18, controlled, method.threshold=0.8)" in text
