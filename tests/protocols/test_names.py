import re

import pytest

from semibench.errors import UsageError
from semibench.protocols import names


def test_a_name_of_the_catalogue_is_itself():
    entry = names.resolve("camvid-37@hash0")
    assert (entry.name, entry.table["labeled"], entry.document["dataset"]) == ("camvid-37@hash0", 37, "camvid")


def test_the_bare_name_of_a_count_says_which_families_exist():
    with pytest.raises(UsageError, match=r"'camvid-37' does not say which 37.*camvid-37@hash0"):
        names.resolve("camvid-37")


def test_any_hashed_partition_resolves_without_an_entry():
    entry = names.resolve("camvid-55@hash3")
    assert "camvid-55@hash3" not in names.entries()
    assert (entry.table["labeled"], entry.table["family"]) == (55, "hash3")


def test_a_bare_name_without_entry_points_to_hashed_partitions():
    with pytest.raises(UsageError, match=r"'camvid-55' not found.*'camvid-55@hash0'"):
        names.resolve("camvid-55")


@pytest.mark.parametrize(
    "name",
    [
        "camvit-37@hash0", "camvid", "camvid-", "camvid-0@hash0", "camvid-037@hash0", "camvid-37@", "camvid-37@hash",
        "camvid-37@hash01", "camvid-37@cps", "camvid-all@hash0", "CamVid-37@hash0", "camvid-37@hash0 ", "../camvid", "",
    ],
)  # fmt: skip
def test_other_names_are_refused_with_the_nearest(name):
    with pytest.raises(UsageError, match=f"^protocol '{re.escape(name)}' not found; nearest: "):
        names.resolve(name)


@pytest.mark.parametrize(("family", "seed"), [("hash0", 0), ("hash12", 12), ("hash", None), ("hash01", None), ("cps", None)])
def test_the_family_of_a_hashed_partition_names_its_seed(family, seed):
    assert names.hash_seed(family) == seed


def test_every_catalogued_name_says_its_data_set_and_count():
    for name, entry in names.entries().items():
        family = f"@{entry.table['family']}" if "@" in name else ""
        assert name == f"{entry.document['dataset']}-{entry.table['labeled']}{family}"


# Published lists, on a small catalogue.


def test_a_bare_name_means_the_canonical_family(published):
    assert names.resolve("camvid-4").name == "camvid-4@classic"


def test_without_a_canonical_family_a_bare_name_lists_those_that_there_are():
    with pytest.raises(
        UsageError, match=r"which 732 images are labelled; there is voc-732@classic, voc-732@cps, voc-732@cpsfew\."
    ):
        names.resolve("voc-732")


@pytest.mark.parametrize("name", ["camvid-1/5 Classic", "camvid 1/5 classic", "CAMVID  1/5-CLASSIC", "camvid-1/5-classic"])
def test_a_paper_s_name_is_an_alias_whatever_its_case_dashes_and_spaces(published, name):
    assert names.resolve(name).name == "camvid-4@classic"


def test_an_alias_of_one_protocol_that_begins_those_of_others_is_that_protocol_s(published):
    assert names.resolve("camvid-1/5").name == "camvid-4@random"


def test_an_alias_of_several_protocols_names_them(published):
    with pytest.raises(UsageError, match=r"'camvid-1/5 blended' may mean camvid-4@random, camvid-4@leaky\. Name one of them"):
        names.resolve("camvid-1/5 blended")


def test_the_beginning_of_aliases_names_the_protocols_that_it_may_mean():
    with pytest.raises(UsageError, match=r"'voc 1/16' may mean voc-92@classic, voc-92@cpsfew, voc-662@cps, voc-662@u2pl"):
        names.resolve("voc 1/16")


@pytest.mark.parametrize("name", ["1/5 classic", "shapes-1/5 classic", "camvid-classic", "camvid "])
def test_an_alias_needs_the_data_set_and_all_of_its_words(published, name):
    with pytest.raises(UsageError, match="not found"):
        names.resolve(name)


@pytest.mark.parametrize(
    "name",
    ["voc-92", "voc-183", "voc-366", "voc-1464", "cityscapes-100", "coco-232", "coco-463", "coco-925", "coco-1849", "coco-3697",
     "ade20k-158", "ade20k-316", "ade20k-632", "ade20k-1263", "ade20k-2526"],
)  # fmt: skip
def test_the_usual_bare_names_have_a_meaning(name):
    assert names.resolve(name).name == f"{name}@classic"


def test_one_family_of_a_count_is_canonical_at_most():
    canonical = [(entry.dataset, entry.table["labeled"]) for entry in names.entries().values() if entry.table.get("canonical")]
    assert len(canonical) == len(set(canonical)) == 15


@pytest.mark.parametrize(
    ("alias", "name"),
    [("voc 1/16 U2PL", "voc-662@u2pl"), ("voc-1/115", "voc-92@classic"), ("voc 1/8 few-supervision", "voc-183@cpsfew"),
     ("cityscapes 1/30", "cityscapes-100@classic"), ("COCO 1/512", "coco-232@classic"), ("ade20k-1/64", "ade20k-316@classic")],
)  # fmt: skip
def test_names_of_papers_that_are_clear_resolve(alias, name):
    assert names.resolve(alias).name == name
