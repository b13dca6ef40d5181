"""Which rows of a table can be told apart: paired tests of all pairs of rows over common seeds."""

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np

from semibench.reports.aggregate import Group, names, scores_by_seed
from semibench.reports.statistics import LEVEL, MIN_SEEDS, POWER, Estimate, holm, smallest_detectable, student, tie_groups

_MAX_SHOWN = 12  # tie groups


def notes(groups: Sequence[Group]) -> Iterator[str]:
    """Yield what the seeds of the runs among ``groups``, best first, decide.

    Seeds of label maps of other programs are left out: they are numbers that whoever scored them gave.
    """
    groups = [one for one in groups if one.first.kind == "run"]
    scores, named = scores_by_seed(groups), names(groups)
    first, second = np.triu_indices(len(groups), 1)
    found = student(scores[first] - scores[second])
    is_tested = ~np.isnan(found.p)
    if not is_tested.any():
        yield f"No difference can be called detectable: no two rows of runs have {MIN_SEEDS} seeds in common."
        return
    is_tied = np.zeros((len(groups), len(groups)), dtype=bool)
    is_tied[first, second] = holm(found.p) > LEVEL  # never without a test
    ties = [[named[row] for row in rows] for rows in islice(tie_groups(is_tied), _MAX_SHOWN + 1)]
    yield _separability(int(is_tested.sum()), len(first), ties)
    yield _detectable(found)
    compared = {*first[is_tested].tolist(), *second[is_tested].tolist()}
    undecided = [name for row, name in enumerate(named) if row not in compared]
    if undecided:
        yield f"Fewer than {MIN_SEEDS} seeds in common with any other row decide nothing: {', '.join(undecided)}."


def _separability(n_tests: int, n_pairs: int, ties: list[list[str]]) -> str:
    tests = "the one pair of rows" if n_pairs == 1 else f"all {n_pairs} pairs of rows"
    if n_tests < n_pairs:
        tests = f"{n_tests} of {n_pairs} pairs of rows (the others have fewer than {MIN_SEEDS})"
    how = f"paired t-tests over common seeds of {tests}, after Holm, {100 * LEVEL:.0f} % level"
    if not ties:
        return f"All {'pairs tested' if n_tests < n_pairs else 'rows'} are told apart by {how}."
    shown = "; ".join(", ".join(names) for names in ties[:_MAX_SHOWN])
    more = "; and more groups, which are left out" if len(ties) > _MAX_SHOWN else ""
    return f"Not separable from each other by {how}: {shown}{more}."


def _detectable(found: Estimate) -> str:
    """Return the smallest detectable difference, by the pooled deviation of all tested pairs and their fewest common seeds."""
    is_tested = ~np.isnan(found.std)
    freedom = found.n[is_tested] - 1
    pooled = float(np.sqrt(np.average(found.std[is_tested] ** 2, weights=freedom)))
    n = int(freedom.min()) + 1
    if not pooled:
        return "No smallest detectable difference: the paired differences are the same with every seed."
    return (
        f"Smallest detectable difference: {100 * smallest_detectable(pooled, n):.2f} points, which {n} seeds find with "
        f"{100 * POWER:.0f} % probability before Holm (paired differences deviate by {100 * pooled:.2f})."
    )
