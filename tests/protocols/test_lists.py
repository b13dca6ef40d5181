import hashlib

import pytest

from semibench.errors import DataError
from semibench.hashing import digest_ids
from semibench.protocols import lists

IDS = ("2007_000032", "2007_000039")


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        pytest.param("2007_000032\n2007_000039\n", IDS, id="plain ids"),
        pytest.param("2007_000032\n\n  2007_000039", IDS, id="blank lines, spaces, no final line feed"),
        pytest.param("2007_000032\r\n2007_000039\r\n", IDS, id="Windows line ends"),
        pytest.param("\ufeff2007_000032\n2007_000039", IDS, id="byte order mark"),
        pytest.param(
            "JPEGImages/2007_000032.jpg SegmentationClass/2007_000032.png\n2007_000039.JPG x", IDS, id="image and mask"
        ),
        pytest.param("/JPEGImages/2007_000032.jpg\t/Aug/2007_000032.png\n/a/2007_000039.png\t/b", IDS, id="absolute, tabs"),
        pytest.param("JPEGImages\\2007_000032.jpg m\n2007_000039", IDS, id="Windows paths"),
        pytest.param(
            "leftImg8bit/train/ulm/ulm_000061_000019_leftImg8bit.png gtFine/ulm_000061_000019_gtFine_labelTrainIds.png",
            ("ulm_000061_000019",),
            id="Cityscapes",
        ),
        pytest.param(
            "/images/train/ulm_000061_000019.png\t/segmentation/train/ulm_000061_000019.png",
            ("ulm_000061_000019",),
            id="Cityscapes, flattened by CPS",
        ),
        pytest.param("train2017/000000177254.jpg masks/000000177254.png", ("000000177254",), id="COCO"),
        pytest.param("train2017/000000177254", ("000000177254",), id="COCO without ending"),
        pytest.param("a.b\nc.v2", ("a.b", "c.v2"), id="dots that are no ending"),
    ],
)
def test_a_list_is_read_in_every_form_in_which_papers_publish_them(text, ids):
    assert lists.parse(text.encode(), "a list") == ids


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"a\nb\nx/a.jpg", "'a' twice, in the lines 1 and 3", id="duplicate"),
        pytest.param(b"", "is empty", id="empty"),
        pytest.param(b"\n  \r\n", "is empty", id="blank"),
        pytest.param(b"\x89PNG\r\n\xff", "is not UTF-8 text", id="image"),
        pytest.param("a\nb".encode("utf-16"), "is not UTF-8 text", id="UTF-16"),
        pytest.param("a\nb".encode("utf-16-le"), "zero bytes", id="UTF-16 without mark"),
        pytest.param(b"a" * (lists.MAX_BYTES + 1), "larger than 16 MiB", id="too large"),
    ],
)
def test_what_is_no_list_is_refused_for_what_it_is(content, message):
    with pytest.raises(DataError, match=f"a list .*{message}"):
        lists.parse(content, "a list")


def test_a_list_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match=r"absent\.txt cannot be read: No such file"):
        lists.read(tmp_path / "absent.txt")


def test_ids_outside_the_pool_are_missing_on_disk():
    with pytest.raises(DataError, match="the list names 2 images that are missing on disk, such as 'x'"):
        lists.check(["a", "y", "x"], "the list", ["a", "b"])


def test_a_labelled_validation_image_is_a_leak_whatever_the_pool():
    with pytest.raises(DataError, match="names 1 validation images, such as 'v'"):
        lists.check(["a", "v"], "the list", None, ["v"])


def test_a_list_inside_its_pool_and_apart_from_validation_passes():
    lists.check(["a"], "the list", ["a", "b"], ["v"])


def test_a_kept_list_is_found_by_its_digest_and_its_file_has_that_digest():
    path = lists.keep(["b", "a"])
    assert lists.kept(digest_ids(["a", "b"])) == ("a", "b")
    assert path.stem == hashlib.sha256(path.read_bytes()).hexdigest() == digest_ids(["a", "b"])


def test_a_list_that_is_not_kept_is_none():
    assert lists.kept("0" * 64) is None


def test_a_kept_list_that_was_changed_is_refused():
    lists.keep(["a", "b"]).write_text("a\nc")
    with pytest.raises(DataError, match=r"was changed\. Delete that file"):
        lists.kept(digest_ids(["a", "b"]))
