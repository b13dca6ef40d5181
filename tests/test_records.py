from typing import Annotated, Literal

import pytest
from pydantic import Field, ValidationError

from semibench.errors import DataError, UsageError
from semibench.records import Decided, Record


class Blur(Record):
    name: Literal["blur"]
    radius: float


class Gray(Record):
    name: Literal["gray"]


class Plan(Record):
    title: Annotated[str, Decided()] = ""
    steps: int
    rate: float = 0.1
    groups: dict[str, Gray] = {}
    operations: tuple[Annotated[Blur | Gray, Field(discriminator="name")], ...] = ()


def test_a_valid_record_is_parsed():
    plan = Plan.parse({"steps": 3, "operations": [{"name": "gray"}]}, "plan.toml")
    assert (plan.steps, plan.operations) == (3, (Gray(name="gray"),))


def test_a_record_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        Plan(steps=3).steps = 4


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(
            {"steps": 3, "rates": 1}, r"unknown key 'rates' in plan\.toml\. Nearest: rate.*; known: .*steps", id="top"
        ),
        pytest.param(
            {"steps": 3, "groups": {"all": {"name": "gray", "nam": 1}}}, r"'groups\.all\.nam'.*Nearest: name", id="in a mapping"
        ),
        pytest.param(
            {"steps": 3, "operations": [{"name": "blur", "radius": 1, "radios": 2}]}, "Nearest: radius", id="in a union"
        ),
        pytest.param({}, r"key 'steps' is missing in plan\.toml", id="missing key"),
        pytest.param({"steps": "many"}, r"steps = 'many' in plan\.toml is not valid: .*integer", id="wrong type"),
        pytest.param({"steps": 3, "rate": float("inf")}, "rate = inf.*finite", id="not finite"),
    ],
)
def test_the_first_wrong_key_is_named_with_its_source(data, message):
    with pytest.raises(UsageError, match=message):
        Plan.parse(data, "plan.toml")


def test_a_caller_chooses_the_kind_of_error():
    with pytest.raises(DataError, match="'steps' is missing"):
        Plan.parse({}, "result.json", error=DataError)


def test_a_long_value_is_cut():
    with pytest.raises(UsageError) as caught:
        Plan.parse({"steps": "x" * 10_000}, "plan.toml")
    assert len(str(caught.value)) < 400


def next_step(data):
    with pytest.raises(UsageError) as caught:
        Plan.parse(data, "plan.toml")
    return caught.value.next_step


def test_a_member_of_a_union_is_named_without_its_tag_and_shows_its_own_keys():
    with pytest.raises(UsageError, match=r"'operations\.0\.radius' in"):
        Plan.parse({"steps": 3, "operations": [{"name": "gray", "radius": 1}]}, "plan.toml")
    assert next_step({"steps": 3, "operations": [{"name": "gray", "radius": 1}]}) == "Known: name."


def test_keys_that_have_an_option_of_their_own_are_not_offered():
    assert next_step({"steps": 3, "titl": "a"}) == "Known: groups, operations, rate, steps."
