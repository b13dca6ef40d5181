import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semibench.errors import UsageError
from semibench.protocols.partition import hashed

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
