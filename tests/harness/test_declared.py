"""What methods and networks say of a result: edits that the record alone does not show."""

import pytest

from semibench.harness.declared import Declarations
from semibench.reports import result as record
from semibench.reports.check import Run


@pytest.fixture
def problems(save_run):
    """Return what is found in a run whose recorded fields are replaced."""

    def find(**fields):
        result = record.read(save_run() / "result.json")
        changed = {key: getattr(result, key) | value if isinstance(value, dict) else value for key, value in fields.items()}
        return list(Declarations().contradictions(Run(None, result.model_copy(update=changed))))

    return find


def test_a_run_as_its_division_means_it_is_without_a_problem(problems):
    assert problems() == []


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        pytest.param({"backbone": "resnet101"}, "backbone is 'resnet101', the network's is 'tiny'", id="backbone"),
        pytest.param({"config": {"threshold": 0.5}}, "method.threshold is not what division controlled means", id="method"),
        pytest.param({"network": {"align_corners": False}}, "network.align_corners is not what", id="network"),
        pytest.param({"recipe": {"crop": [32, 32]}}, "recipe.crop is not what", id="recipe"),
        pytest.param({"network": {"colour": 1}}, "unknown key 'colour'", id="key"),
        pytest.param({"division": "published"}, "has no published recipe for shapes", id="division"),
    ],
)
def test_an_edit_is_found(problems, fields, problem):
    assert any(problem in text for text in problems(**fields))


def test_what_a_version_added_since_has_its_default(problems, save_run):
    result = record.read(save_run() / "result.json")
    older = {key: value for key, value in result.recipe.items() if key != "norm"}
    assert list(Declarations().contradictions(Run(None, result.model_copy(update={"recipe": older})))) == []


@pytest.mark.parametrize(
    "fields", [{"method": "elsewhere"}, {"network": {"name": "elsewhere"}}, {"network": {"name": 7}}, {"protocol": "voc-92"}]
)
def test_nothing_is_known_of_what_is_not_here(problems, fields):
    assert problems(**fields) == []


def test_custom_settings_are_nobodys(problems):
    assert problems(division="custom", config={"threshold": 0.5}) == []
