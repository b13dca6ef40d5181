import shutil
from pathlib import Path

import pytest

from semibench.errors import DataError
from semibench.hashing import digest_ids
from semibench.protocols import lists, names
from semibench.protocols.protocol import load
from semibench.protocols.shelf import INDEX, Shelf, claims


def collection(published, folder: Path, rows: list[str]) -> Path:
    """Write lists in the layout of a collection: ``data set,folder,list,file of the checkout``."""
    lines = ["dataset,protocol,list,source,count,sha256_sorted"]
    for row in rows:
        dataset, place, name, file = row.split(",")
        target = folder / dataset / ("" if place == "-" else place) / f"{name}.txt"
        target.parent.mkdir(parents=True, exist_ok=True)
        ids = published.lists.get(file, ("strange",))
        target.write_text("\n".join(ids))
        lines.append(f"{dataset},{place},{name},{published.prefix}:{file},{len(ids)},{digest_ids(ids)}")
    (folder / INDEX).write_text("\n".join(lines))
    return folder


def test_files_of_a_checkout_claim_to_be_the_lists_of_their_sources(published):
    found = {(claim.pin.owner, claim.pin.kind): claim.paths[0].name for claim in claims(published.checkout)}
    assert found["camvid-4@random", "labeled"] == "random.txt"
    assert found["camvid-4@leaky", "labeled"] == found["camvid-4@classic", "labeled"] == "classic.txt"
    assert found["camvid-5@permuted", "labeled"] == "order.pkl"
    assert found["camvid", "train"] == "train.txt"


def test_files_of_a_collection_claim_to_be_what_its_index_says(published, tmp_path):
    rows = ["camvid,-,pool,lists/train.txt", "camvid,mine,labeled,lists/random.txt", "camvid,mine,unlabeled,derived"]
    (pool, labeled, derived) = claims(collection(published, tmp_path / "splits", rows))
    assert (pool.pin.owner, pool.pin.kind) == ("camvid", "train")
    assert (labeled.pin.owner, labeled.pin.kind) == ("camvid-4@random", "labeled")
    assert (derived.pin.owner, derived.pin.size, derived.pin.sha256) == ("camvid-4@random", 16, None)


def test_protocols_that_share_a_labelled_list_are_told_apart_by_the_unlabelled_one(published, tmp_path):
    rows = [
        "camvid,a,labeled,lists/classic.txt",
        "camvid,b,labeled,lists/classic.txt",
        "camvid,b,unlabeled,lists/leaky_rest.txt",
    ]
    owners = [claim.pin.owner for claim in claims(collection(published, tmp_path / "splits", rows))]
    assert owners == ["camvid-4@classic", "camvid-4@leaky", "camvid-4@leaky"]


def test_a_row_that_the_catalogue_does_not_know_claims_nothing(published, tmp_path):
    (claim,) = claims(collection(published, tmp_path / "splits", ["camvid,other,labeled,lists/other.txt"]))
    assert claim.pin is None


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(DataError, match="absent not found"):
        claims(tmp_path / "absent")


def test_lists_are_found_in_the_folder_and_among_the_kept(published):
    classic, random = load("camvid-4@classic"), load("camvid-4@random")
    lists.keep(published.lists["lists/random.txt"])
    assert Shelf().labeled(classic) is None
    assert Shelf().labeled(random) == published.lists["lists/random.txt"]
    assert Shelf(published.checkout).labeled(classic) == published.lists["lists/classic.txt"]


def test_a_file_with_another_list_is_not_taken_for_the_one_that_it_claims_to_be(published):
    shutil.copy(published.checkout / "lists/random.txt", published.checkout / "lists/classic.txt")
    assert Shelf(published.checkout).labeled(load("camvid-4@classic")) is None


def test_a_split_needs_the_pool_and_every_list_of_the_protocol(published):
    lists.keep(published.lists["lists/random.txt"])
    assert Shelf().split(load("camvid-4@random")) is None
    split = Shelf(published.checkout).split(load("camvid-4@random"))
    assert (len(split.labeled), len(split.unlabeled)) == (4, 16)


def test_a_hashed_partition_needs_the_pool_alone(published):
    assert Shelf().labeled(load("camvid-3@hash0")) is None
    assert len(Shelf(published.checkout).labeled(load("camvid-3@hash0"))) == 3


def test_the_pool_may_come_from_the_data_set_itself():
    assert len(Shelf().split(load("shapes-16")).unlabeled) == 984


def test_a_data_set_that_is_not_there_gives_nothing(tmp_path):
    assert Shelf(data_root=tmp_path).split(load("camvid-37@hash0")) is None


def test_what_a_rule_computes_needs_neither_list_nor_data_set():
    protocol = load("ade20k-158")
    assert digest_ids(Shelf().labeled(protocol)) == protocol.list.sha256


@pytest.mark.parametrize("name", [name for name in names.entries() if name.startswith("ade20k-") and "@" in name])
def test_every_list_of_ade20k_is_the_first_part_of_one_shuffle(name):
    protocol = load(name)
    assert digest_ids(protocol.computed()) == protocol.list.sha256
