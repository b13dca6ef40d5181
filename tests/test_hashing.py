import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semibench.hashing import derive_seed, digest_file, digest_ids, digest_json

parts = st.lists(st.one_of(st.integers(), st.text()), min_size=1, max_size=4)


@given(st.dictionaries(st.text(), st.integers()))
def test_the_order_of_keys_does_not_change_a_digest(value):
    assert digest_json(dict(reversed(value.items()))) == digest_json(value)


def test_a_digest_of_json_is_that_of_its_shortest_text():
    assert digest_json({"b": [1, None], "a": 0.5}) == hashlib.sha256(b'{"a":0.5,"b":[1,null]}').hexdigest()


def test_a_number_that_is_none_has_no_digest():
    with pytest.raises(ValueError, match="not JSON compliant"):
        digest_json({"loss": float("nan")})


@given(st.lists(st.text(st.characters(codec="utf-8"))))
def test_a_digest_of_ids_is_that_of_a_set(ids):
    assert digest_ids(ids) == digest_ids(reversed(ids))


def test_ids_are_joined_by_single_line_feeds():
    assert digest_ids(["0002", "0001"]) == hashlib.sha256(b"0001\n0002").hexdigest()


def test_a_file_has_the_digest_of_its_bytes(tmp_path):
    (tmp_path / "weights").write_bytes(b"\x00" * 100_000)
    assert digest_file(tmp_path / "weights") == hashlib.sha256(b"\x00" * 100_000).hexdigest()


@given(parts)
def test_a_seed_has_63_bits_and_depends_on_its_parts_alone(parts):
    assert 0 <= derive_seed(*parts) < 2**63
    assert derive_seed(*parts) == derive_seed(*parts)


@given(parts, parts)
def test_different_parts_give_different_seeds(one, other):
    assert (derive_seed(*one) == derive_seed(*other)) == (one == other)


def test_seeds_are_the_same_on_every_machine():
    assert derive_seed(0, "labeled", 7) == 4550490193502017075
