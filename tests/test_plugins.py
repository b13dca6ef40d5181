import sys

import pytest

from semibench import plugins
from semibench.errors import SemibenchError, UsageError
from semibench.plugins import Kind
from semibench.protocols.datasets.base import Dataset


@pytest.fixture
def kind(tmp_path, monkeypatch):
    """A kind with one part in its own folder and two from another package, which is installed into a folder on the path."""
    files = {
        "zoo/__init__.py": '"""Animals."""\n',
        "zoo/base.py": '"""The contract."""\n',
        "zoo/_food.py": '"""A private neighbor."""\n',
        "zoo/cat.py": '"""Cat, sleeps.\n\nLong story."""\nraise RuntimeError("listing must not import")\n',
        "zoo/kitten.py": '"""Kitten, another cow."""\nALIAS_OF = "cow"\n',
        "farm.py": "from semibench.errors import SemibenchError\n\n\nclass Cow(SemibenchError):\n    pass\n",
        "farm-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: farm\nVersion: 1.0\n",
        "farm-1.0.dist-info/entry_points.txt": "[semibench.zoo]\ncow = farm\nghost = no_such_module\n",
    }
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield Kind("animal", "zoo", "base")
    for name in [name for name in sys.modules if name.partition(".")[0] in ("zoo", "farm")]:
        del sys.modules[name]


def test_parts_are_listed_with_their_first_lines_and_not_imported(kind):
    assert plugins.summaries(kind) == {
        "cat": "Cat, sleeps.",
        "cow": "from farm",
        "ghost": "from no_such_module",
        "kitten": "Kitten, another cow.",
    }
    assert not {"zoo.cat", "farm"} & set(sys.modules)


def test_a_part_of_another_package_is_found_by_its_entry_point(kind):
    assert plugins.find_class(kind, "cow", SemibenchError).__name__ == "Cow"


def test_an_alias_is_the_part_that_its_file_names(kind):
    assert plugins.find_class(kind, "kitten", SemibenchError) is plugins.find_class(kind, "cow", SemibenchError)
    assert plugins.real_name(kind, "kitten") == plugins.real_name(kind, "cow") == "cow"


def test_an_unknown_part_comes_with_the_nearest(kind):
    with pytest.raises(UsageError, match="animal 'cou' not found; nearest: cow"):
        plugins.find(kind, "cou")


@pytest.mark.parametrize("name", ["base", "_food", "../farm", "zoo.cat"])
def test_what_is_not_a_part_is_not_found(kind, name):
    with pytest.raises(UsageError, match="not found"):
        plugins.find(kind, name)


def test_a_part_that_cannot_be_imported_says_what_is_missing(kind):
    with pytest.raises(UsageError, match="animal 'ghost' cannot be imported: No module named 'no_such_module'"):
        plugins.find(kind, "ghost")


def test_a_file_without_the_class_of_its_kind_is_refused(kind):
    with pytest.raises(UsageError, match="farm defines no Dataset"):
        plugins.find_class(kind, "cow", Dataset)


def test_an_imported_base_class_is_not_taken_for_the_part():
    assert plugins.find_class(plugins.DATASET, "camvid", Dataset).__name__ == "CamVid"


@pytest.mark.parametrize(
    ("kind", "group"),
    [(plugins.METHOD, "methods"), (plugins.NETWORK, "networks"), (plugins.DATASET, "datasets"), (plugins.ENGINE, "engines")],
)
def test_other_packages_offer_parts_in_a_group_of_their_kind(kind, group):
    assert kind.group == f"semibench.{group}"


@pytest.mark.parametrize(
    ("kind", "next_step"),
    [
        (plugins.METHOD, "Run 'semibench list methods'."),
        (plugins.DATASET, "Run 'semibench list datasets'."),
        (plugins.ENGINE, "Known: auto, detectron2, native."),
    ],
    ids=["method", "data set", "engine"],
)
def test_an_unknown_part_comes_with_the_command_that_lists_its_kind_or_with_the_names(kind, next_step):
    with pytest.raises(UsageError) as caught:
        plugins.find(kind, "nothing")
    assert caught.value.next_step == next_step
