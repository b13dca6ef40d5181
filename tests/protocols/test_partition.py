import hashlib
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semibench.errors import UsageError
from semibench.hashing import digest_ids
from semibench.protocols.partition import hashed, numbered, shuffle_seed, shuffled

pools = st.lists(st.text(st.characters(codec="utf-8"), min_size=1), min_size=1, max_size=30, unique=True)
seeds = st.integers(0, 1000)


@given(pools, seeds, st.data())
def test_partitions_of_one_seed_are_nested(pool, seed, data):
    large = data.draw(st.integers(1, len(pool)))
    small = data.draw(st.integers(1, large))
    assert set(hashed(pool, small, seed)) <= set(hashed(pool, large, seed))


@given(pools, seeds, st.data())
def test_a_partition_has_the_count_asked_for_and_only_ids_of_the_pool(pool, seed, data):
    count = data.draw(st.integers(1, len(pool)))
    labeled = hashed(pool, count, seed)
    assert len(set(labeled)) == count
    assert set(labeled) <= set(pool)


@given(pools, seeds)
def test_the_order_of_the_pool_is_of_no_consequence(pool, seed):
    count = (len(pool) + 1) // 2
    assert hashed(pool, count, seed) == hashed(pool[::-1], count, seed)


@given(pools, seeds, st.data())
def test_an_id_stays_unlabelled_when_others_leave_the_pool(pool, seed, data):
    count = data.draw(st.integers(1, len(pool)))
    labeled = hashed(pool, count, seed)
    assert hashed(labeled, count, seed) == labeled


def test_the_rule_can_be_recomputed_by_anyone():
    pool = [f"image{number}" for number in range(20)]
    smallest = sorted(pool, key=lambda id: hashlib.sha256(f"3/{id}".encode()).hexdigest())[:5]
    assert hashed(pool, 5, 3) == tuple(sorted(smallest))


def test_seeds_give_different_partitions():
    pool = [f"image{number}" for number in range(100)]
    assert len({hashed(pool, 10, seed) for seed in range(20)}) == 20


def test_more_than_the_pool_is_refused():
    with pytest.raises(UsageError, match="3 labelled images were asked for, the pool has 2"):
        hashed(["a", "b"], 3, 0)


# Rules besides the hashes.


def test_a_shuffled_partition_is_the_first_part_of_one_shuffle():
    order = sorted(["d", "b", "a", "c"])
    random.Random(7).shuffle(order)
    assert shuffled(["d", "b", "a", "c"], 2, 7) == tuple(sorted(order[:2]))


@given(pools, seeds, st.data())
def test_shuffled_partitions_of_one_seed_are_nested_whatever_the_order(pool, seed, data):
    large = data.draw(st.integers(1, len(pool)))
    small = data.draw(st.integers(1, large))
    assert set(shuffled(pool, small, seed)) <= set(shuffled(pool[::-1], large, seed))


def test_more_than_the_pool_cannot_be_shuffled():
    with pytest.raises(UsageError, match="3 labelled images were asked for, the pool has 2"):
        shuffled(["a", "b"], 3, 0)


@pytest.mark.parametrize(("source", "seed"), [("shuffled with seed 12", 12), ("shuffled", None), ("owner/name@c:p", None)])
def test_a_source_may_be_a_shuffle(source, seed):
    assert shuffle_seed(source) == seed


@pytest.mark.parametrize(
    ("source", "ids"),
    [("numbered a_01", ("a_01", "a_02")), ("numbered a1", ("a1", "a2")), ("numbered a_02", None), ("a_01", None), (None, None)],
)
def test_a_source_may_be_a_numbering_from_1(source, ids):
    assert numbered(source, 2) == ids


def test_the_ten_lines_of_the_documentation_give_the_same_partition():
    page = (Path(__file__).parents[2] / "docs" / "hashed-partitions.md").read_text(encoding="utf-8")
    code = page.partition("```python\n")[2].partition("```")[0]
    assert len([line for line in code.splitlines() if line]) <= 10
    names: dict[str, object] = {}
    exec(code, names)
    pool = [f"image{number}" for number in range(50)]
    assert tuple(names["labeled"](pool, 12, 3)) == hashed(pool, 12, 3)
    assert names["unlabeled"](pool, 12, 3) == sorted(set(pool) - set(hashed(pool, 12, 3)))
    assert names["digest"](pool) == digest_ids(pool)
