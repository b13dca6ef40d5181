"""Getting a data set: which archives, where to, and links to copies that exist."""

import hashlib
import io
import shutil
import tarfile
from collections import namedtuple
from pathlib import Path

import pytest

from semibench.errors import DataError, RunFailedError, UsageError
from semibench.protocols import fetching
from semibench.protocols.archive import Archive
from semibench.protocols.datasets.camvid import CamVid
from semibench.protocols.fetching import fetch, home, link, require_space_for_all, wanted

Usage = namedtuple("Usage", "total used free")


def quiet(title: str, done: int, total: int | None) -> None:
    """Take progress and drop it."""


@pytest.fixture
def packed(tmp_path: Path) -> Archive:
    """An archive of one file that lies where one would put it by hand."""
    path = tmp_path / "voc" / "archives" / "set.tar"
    path.parent.mkdir(parents=True)
    with tarfile.open(path, "w") as file:
        info = tarfile.TarInfo("set/a.txt")
        info.size = 5
        file.addfile(info, io.BytesIO(b"hello"))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Archive(
        name="set.tar", about="a", terms="only with an account", page="https://example.org", holds=("set",), sha256=digest
    )


def test_all_that_protocols_need_is_wanted_and_the_rest_by_name(tmp_path):
    names = [archive.name for archive in wanted("camvid", tmp_path)]
    assert names == ["CamVid"]
    with pytest.raises(UsageError, match=r"archive 'Camvid' not found; nearest: CamVid"):
        wanted("camvid", tmp_path, ["Camvid"])


def test_what_is_unpacked_is_not_wanted(camvid):
    assert wanted("camvid", camvid) == wanted("camvid", camvid.parent) == []


def test_what_is_drawn_cannot_be_fetched(tmp_path):
    with pytest.raises(UsageError, match="'shapes' has no archives"):
        wanted("shapes", tmp_path)


def test_archives_go_where_others_are_and_else_into_a_folder_of_their_own(tmp_path):
    assert home("voc", tmp_path) == tmp_path / "voc"
    (tmp_path / "VOCdevkit" / "VOC2012").mkdir(parents=True)
    assert home("voc", tmp_path) == tmp_path


def test_an_archive_that_was_put_into_place_is_unpacked_and_deleted(packed, tmp_path):
    fetch(packed, tmp_path / "voc", quiet)
    assert (tmp_path / "voc" / "set" / "a.txt").read_text() == "hello"
    assert list((tmp_path / "voc" / "archives").iterdir()) == []


def test_an_archive_can_be_kept(packed, tmp_path):
    fetch(packed, tmp_path / "voc", quiet, keep=True)
    assert (tmp_path / "voc" / "archives" / "set.tar").exists()


def test_a_wrong_archive_that_was_put_into_place_is_set_aside(packed, tmp_path):
    path = tmp_path / "voc" / "archives" / "set.tar"
    path.write_bytes(b"something else")
    with pytest.raises(DataError, match="set aside"):
        fetch(packed, tmp_path / "voc", quiet)
    assert not path.exists()
    assert not (tmp_path / "voc" / "set").exists()


def test_an_archive_behind_a_login_says_where_to_get_it_and_where_to_put_it(packed, tmp_path):
    with pytest.raises(DataError, match=r"set\.tar cannot be fetched by a program\. only with an account") as caught:
        fetch(packed, tmp_path / "elsewhere", quiet)
    for part in ("https://example.org", str(tmp_path / "elsewhere" / "archives"), "semibench data link"):
        assert part in caught.value.next_step


def test_progress_says_what_is_being_done(packed, tmp_path):
    told = []
    fetch(packed, tmp_path / "voc", lambda *progress: told.append(progress))
    assert told == [("unpack set.tar", 5, None)]


@pytest.mark.parametrize(("keep", "needed"), [(False, "0.48 MB"), (True, "0.68 MB")])
def test_space_for_all_archives_is_asked_for_before_the_first(packed, tmp_path, monkeypatch, keep, needed):
    archives = [packed.model_copy(update={"name": name, "size": 200_000}) for name in ("one.tar", "two.tar")]
    (tmp_path / "archives").mkdir()
    (tmp_path / "archives" / "one.tar.part").write_bytes(bytes(120_000))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**9, 0, 300_000))
    with pytest.raises(RunFailedError, match=rf"all of it, unpacked \(one.tar, two.tar\), needs {needed}, 0.30 MB are free"):
        require_space_for_all(archives, tmp_path, keep=keep)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**9, 0, 680_000))
    require_space_for_all(archives, tmp_path, keep=keep)


def test_a_linked_copy_is_found_below_the_data_root(camvid, tmp_path):
    opened = link("camvid", camvid, tmp_path / "root")
    assert opened.root == tmp_path / "root" / "camvid"
    assert (tmp_path / "root" / "camvid").resolve() == camvid.resolve()
    assert len(CamVid(tmp_path / "root").ids("train")) == 5


def test_the_parent_of_a_copy_can_be_named(camvid, tmp_path):
    link("camvid", camvid.parent, tmp_path / "root")
    assert (tmp_path / "root" / "camvid").resolve() == camvid.resolve()


def test_linking_again_changes_nothing(camvid, tmp_path):
    for _ in range(2):
        link("camvid", camvid, tmp_path / "root")
    assert [path.name for path in (tmp_path / "root").iterdir()] == ["camvid"]


def test_another_folder_is_not_replaced_by_a_link(camvid, tmp_path):
    (tmp_path / "root" / "camvid").mkdir(parents=True)
    with pytest.raises(UsageError, match="exists already"):
        link("camvid", camvid, tmp_path / "root")


def test_a_folder_of_something_else_is_not_linked(tmp_path):
    (tmp_path / "photos").mkdir()
    with pytest.raises(DataError, match="camvid was not found"):
        link("camvid", tmp_path / "photos", tmp_path / "root")
    assert not (tmp_path / "root").exists()


def test_a_damaged_copy_is_not_linked(camvid, tmp_path):
    (camvid / "train.txt").write_text("")
    with pytest.raises(DataError, match="is empty"):
        link("camvid", camvid, tmp_path / "root")
    assert not (tmp_path / "root" / "camvid").is_symlink()


def test_what_is_drawn_needs_no_link(tmp_path):
    with pytest.raises(UsageError, match="drawn by the program"):
        fetching.link("shapes", tmp_path, tmp_path / "root")
