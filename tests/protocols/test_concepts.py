"""Class definitions: what the files hold, and what users may give instead."""

import pytest

from semibench import plugins
from semibench.errors import UsageError
from semibench.protocols.concepts import FOLDER, Concepts, choose, definitions
from semibench.protocols.datasets.base import Dataset

VOC_COUNTS = (45, 3, 3, 1, 4, 4, 2, 4, 2, 3, 1, 2, 2, 4, 4, 4, 3, 1, 1, 2, 3)
CITYSCAPES_COUNTS = (3, 1, 7, 1, 2, 3, 1, 3, 3, 4, 1, 7, 3, 4, 4, 1, 2, 3, 1)
FILES = sorted(path.stem for path in FOLDER.glob("*.toml"))


def names_of(dataset: str) -> tuple[str, ...]:
    return plugins.find_class(plugins.DATASET, dataset, Dataset).class_names


# What the files hold.


@pytest.mark.parametrize("dataset", FILES)
def test_every_definition_has_an_entry_for_each_class_of_its_data_set(dataset):
    assert {len(found.classes) for found in definitions(dataset).values()} == {len(names_of(dataset))}


@pytest.mark.parametrize(
    ("dataset", "name", "counts"),
    [
        pytest.param("voc", "concept4", VOC_COUNTS, id="voc"),
        pytest.param("cityscapes", "concept3", CITYSCAPES_COUNTS, id="cityscapes"),
    ],
)
def test_concepts_are_as_many_as_in_semivl_s_code(dataset, name, counts):
    assert definitions(dataset)[name].counts == counts


@pytest.mark.parametrize("dataset", ["voc", "coco", "cityscapes", "shapes"])
def test_single_names_are_the_data_set_s_own(dataset):
    assert definitions(dataset)["single"].names == names_of(dataset)


def test_ade20k_s_names_depart_from_the_data_set_s_where_semivl_s_do():
    pairs = zip(definitions("ade20k")["single"].names, names_of("ade20k"), strict=True)
    assert [(one, other) for one, other in pairs if one != other] == [
        ("bed ", "bed"),
        ("television receiver", "television"),
    ]


def test_spelling_is_semivl_s():
    voc, cityscapes = definitions("voc")["concept4"], definitions("cityscapes")["concept3"]
    assert {"wolve", "flowers in a vase", "table for eating at", "standalone screen"} < set(voc.names)
    assert "skyscaper" in cityscapes.names
    assert cityscapes.classes[3] == ("individual standing wall, which is not part of a building",)
    assert [names[0] for names in voc.classes[11:21:5]] == ["dining table", "potted plant"]


def test_every_prompt_is_that_of_semivl():
    assert definitions("voc")["single"].prompts()[20] == "a photo of a tvmonitor"
    assert len(definitions("voc")["concept4"].prompts()) == 98
    assert len(definitions("cityscapes")["concept3"].prompts()) == 54


# What is chosen.


def test_a_data_set_without_a_file_is_asked_for_by_its_own_names():
    assert choose("single", "pascal_context", ("a", "b")).names == ("a", "b")


def test_an_unknown_definition_is_refused_with_those_that_exist():
    with pytest.raises(UsageError, match="class definition of voc 'concept5' not found; nearest: concept4"):
        choose("concept5", "voc", names_of("voc"))


def test_one_s_own_definition_takes_the_place_of_a_name():
    own = Concepts(templates=("{name}", "the {name}"), classes=("sky", ("disk", "circle")))
    assert choose(own, "shapes", ("background", "disk")) is own
    assert own.prompts() == ["sky", "the sky", "disk", "the disk", "circle", "the circle"]


def test_a_definition_of_another_number_of_classes_is_refused():
    with pytest.raises(UsageError, match=r"has 1 classes, shapes has 2.*background, disk"):
        choose(Concepts(classes=("sky",)), "shapes", ("background", "disk"))


def test_a_template_without_a_place_for_the_name_is_refused():
    with pytest.raises(UsageError, match=r"template 'a photo' has no place for \{name\}"):
        Concepts.parse({"classes": ["a"], "templates": ["a photo"]}, "mine.toml")
