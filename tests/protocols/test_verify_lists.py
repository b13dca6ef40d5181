import shutil
from pathlib import Path

import pytest

from semibench.errors import DataError
from semibench.protocols import lists, names
from semibench.protocols.protocol import load
from semibench.protocols.shelf import Shelf
from semibench.protocols.verify_lists import verify_folder, verify_kept

SPLITS = Path(__file__).parents[2].parent / "shared" / "splits"


def problems(folder):
    return {(found.owner, found.kind): found.problem for found in verify_folder(Shelf(folder)) if found.problem}


def test_the_lists_of_a_sound_checkout_are_accepted(published):
    findings = verify_folder(Shelf(published.checkout))
    assert len(findings) == 8
    assert problems(published.checkout) == {}


def test_one_other_id_is_a_wrong_list_with_both_digests(published):
    path = published.checkout / "lists/random.txt"
    path.write_text(path.read_text().replace("image03", "image00"))
    found = problems(published.checkout)
    assert list(found) == [("camvid-4@random", "labeled")]
    pinned = load("camvid-4@random").list.sha256
    assert f"expected 4 ids with the digest {pinned}, found 4 with " in found["camvid-4@random", "labeled"]


@pytest.mark.parametrize(
    ("other", "why"),
    [("val0", "names 1 validation images, such as 'val0'"), ("stranger", "missing in the pool, such as 'stranger'")],
)
def test_a_wrong_list_that_leaves_its_pool_or_meets_validation_says_so(published, other, why):
    path = published.checkout / "lists/random.txt"
    path.write_text(path.read_text().replace("image03", other))
    assert why in problems(published.checkout)["camvid-4@random", "labeled"]


@pytest.mark.parametrize("content", [b"", b"a\na", b"\x00\x01"], ids=["empty", "duplicate", "not text"])
def test_what_is_no_list_is_a_finding_like_any_other(published, content):
    (published.checkout / "lists/random.txt").write_bytes(content)
    assert list(problems(published.checkout)) == [("camvid-4@random", "labeled")]


def test_only_the_wanted_protocols_are_checked(published):
    findings = verify_folder(Shelf(published.checkout), ["camvid-4@leaky"])
    assert [finding.kind for finding in findings] == ["labeled", "unlabeled"]


def test_a_folder_without_the_wanted_protocol_is_refused(published, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no list of camvid-4@leaky"):
        verify_folder(Shelf(tmp_path / "empty"), ["camvid-4@leaky"])


def test_kept_lists_are_checked_and_others_are_absent(published):
    lists.keep(published.lists["lists/classic.txt"])
    findings = list(verify_kept(load("camvid-4@leaky"), Shelf()))
    assert [(finding.size, finding.problem, finding.is_absent) for finding in findings] == [
        (4, None, False),
        (None, None, True),
    ]


def test_a_hashed_partition_is_computed_and_its_digest_shown(published):
    (finding,) = verify_kept(load("camvid-3@hash0"), Shelf(published.checkout))
    assert (finding.size, len(finding.found), finding.is_absent) == (3, 64, False)


@pytest.mark.parametrize(
    ("subset", "message"),
    [("train", "missing in the pool, such as 'image06'"), ("val", "validation images, such as 'image00'")],
)
def test_a_pinned_list_that_leaves_its_pool_or_meets_validation_is_a_wrong_entry(published, subset, message):
    ids = [f"image{number:02}" for number in range(6)]
    document = names.documents()["camvid"]
    path = published.checkout / f"lists/{subset}.txt"
    path.write_text("\n".join(ids))
    document["subsets"][subset] |= {"count": 6, "sha256": lists.keep(ids).stem}
    assert any(message in problem for problem in problems(published.checkout).values())


# The real lists.

needs_splits = pytest.mark.skipif(not SPLITS.is_dir(), reason="needs the real lists, ../shared/splits")


@needs_splits
def test_every_real_list_is_accepted():
    findings = verify_folder(Shelf(SPLITS))
    assert [finding for finding in findings if finding.problem] == []
    assert {finding.owner for finding in findings} >= {name for name, entry in names.entries().items() if "list" in entry.table}


@needs_splits
@pytest.mark.parametrize("kind", ["labeled", "unlabeled"])
def test_one_flipped_id_in_a_copy_of_the_real_lists_is_noticed(tmp_path, kind):
    shutil.copytree(SPLITS / "voc", tmp_path / "voc")
    index = (SPLITS / "INDEX.csv").read_text().splitlines(keepends=True)
    (tmp_path / "INDEX.csv").write_text("".join(line for line in index if line.startswith(("dataset,", "voc,"))))
    path = tmp_path / "voc" / "cps-662" / f"{kind}.txt"
    ids = path.read_text().splitlines()
    path.write_text("\n".join(["2099_999999", *ids[1:]]))
    assert ("voc-662@cps", kind) in problems(tmp_path)
