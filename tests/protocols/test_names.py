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
