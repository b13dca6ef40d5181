"""Unpacking: what data sets hold comes out, what attacks hold does not, and an interrupted call is continued."""

import io
import os
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semibench.errors import DataError, RunFailedError, SemibenchError
from semibench.protocols.unpack import Limits, unpack

FILES = {"set/images/a.jpg": b"image", "set/masks/a.png": b"mask", "README": b"outside of what is wanted"}


def make_tar(path: Path, files: dict[str, bytes], *extra: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for info in extra:
            archive.addfile(info)
    return path


def make_zip(path: Path, files: dict[str, bytes], *extra: zipfile.ZipInfo) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        for info in extra:
            archive.writestr(info, "/etc/passwd")
    return path


def special(kind: bytes, name: str = "set/special", target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def run(archive: Path, folder: Path, **limits: int) -> None:
    unpack(archive, folder, ["set"], lambda size: None, Limits(**limits))


@pytest.fixture(params=["set.tar", "set.tgz", "set.zip"])
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def make(path: Path, files: dict[str, bytes]) -> Path:
    return make_zip(path, files) if path.suffix == ".zip" else make_tar(path, files)


def test_the_wanted_folders_come_out_and_nothing_else(tmp_path, name):
    run(make(tmp_path / name, FILES), tmp_path / "data")
    assert tree(tmp_path / "data") == {"set/images/a.jpg": b"image", "set/masks/a.png": b"mask"}
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["set"]


def test_what_is_unpacked_is_counted_in_bytes(tmp_path, name):
    sizes = []
    unpack(make(tmp_path / name, FILES), tmp_path / "data", ["set"], sizes.append)
    assert sum(sizes) == sum(map(len, FILES.values()))


def test_a_zip_file_at_the_end_of_a_tar_file_is_a_file_like_any_other(tmp_path):
    inner = make_zip(tmp_path / "inner.zip", {"evil": b"evil"}).read_bytes()
    run(make_tar(tmp_path / "set.tar", {"set/a": b"a", "set/inner.zip": inner}), tmp_path / "data")
    assert tree(tmp_path / "data") == {"set/a": b"a", "set/inner.zip": inner}


@pytest.mark.parametrize("name", ["set.tar", "set.tgz", "set.zip"])
def test_what_is_no_archive_is_called_damaged(tmp_path, name):
    (tmp_path / name).write_text("<html>Please log in</html>")
    with pytest.raises(DataError, match="is damaged"):
        run(tmp_path / name, tmp_path / "data")


def test_unpacking_again_leaves_what_is_there(tmp_path, name):
    archive = make(tmp_path / name, FILES)
    run(archive, tmp_path)
    (tmp_path / "set" / "note.txt").write_text("mine")
    run(archive, tmp_path)
    assert (tmp_path / "set" / "note.txt").read_text() == "mine"


def test_an_interrupted_call_shows_no_half_folder_and_is_continued(tmp_path, name):
    def stop(size: int) -> None:
        raise KeyboardInterrupt

    archive = make(tmp_path / name, FILES)
    with pytest.raises(KeyboardInterrupt):
        unpack(archive, tmp_path / "data", ["set"], stop)
    assert not (tmp_path / "data" / "set").exists()
    (done,) = (path for path in (tmp_path / "data").rglob("*") if path.is_file())
    before = done.stat().st_ino, done.stat().st_mtime_ns
    run(archive, tmp_path / "data")
    after = (tmp_path / "data" / "set" / "images" / "a.jpg").stat()
    assert (after.st_ino, after.st_mtime_ns) == before


def test_a_folder_that_the_archive_lacks_is_named(tmp_path, name):
    with pytest.raises(DataError, match="does not hold the folder set"):
        run(make(tmp_path / name, {"other/a": b""}), tmp_path / "data")
    assert list((tmp_path / "data").iterdir()) == []


@pytest.mark.parametrize("path", ["../evil", "set/../../evil", "/evil", "set\\..\\evil", "C:/evil"])
def test_a_path_that_leaves_the_folder_is_refused(tmp_path, name, path):
    archive = make(tmp_path / name, {**FILES, path: b"evil"})
    with pytest.raises(DataError, match="not inside the folder"):
        run(archive, tmp_path / "in" / "data")
    assert tree(tmp_path / "in") == {}
    assert not list(tmp_path.rglob("evil"))


@pytest.mark.parametrize("target", ["/etc/passwd", "../../../secret", "images/none", "special"])
@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE], ids=["symbolic", "hard"])
def test_a_link_to_anything_but_a_file_of_the_archive_is_refused(tmp_path, kind, target):
    (tmp_path / "secret").write_text("secret")
    archive = make_tar(tmp_path / "set.tar", FILES, special(kind, target=target))
    with pytest.raises(DataError, match="link 'set/special' to"):
        run(archive, tmp_path / "in" / "data")
    assert tree(tmp_path / "in") == {}


@pytest.mark.parametrize(
    ("kind", "target"), [(tarfile.SYMTYPE, "images/a.jpg"), (tarfile.LNKTYPE, "set/images/a.jpg")], ids=["symbolic", "hard"]
)
def test_a_link_to_a_file_of_the_archive_becomes_a_copy(tmp_path, kind, target):
    run(make_tar(tmp_path / "set.tar", FILES, special(kind, target=target)), tmp_path / "data")
    copy = tmp_path / "data" / "set" / "special"
    assert (copy.read_bytes(), copy.is_symlink(), copy.stat().st_nlink) == (b"image", False, 1)


def test_a_file_cannot_be_written_through_a_link(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    link = special(tarfile.SYMTYPE, "set/door", str(out))
    through = tarfile.TarInfo("set/door/evil")
    with pytest.raises(DataError):
        run(make_tar(tmp_path / "set.tar", {}, link, through), tmp_path / "data")
    assert list(out.iterdir()) == []


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE], ids=["character", "block", "pipe"])
def test_a_device_is_refused(tmp_path, kind):
    with pytest.raises(DataError, match="neither a file nor a folder"):
        run(make_tar(tmp_path / "set.tar", FILES, special(kind)), tmp_path / "data")


def test_a_link_in_a_zip_file_is_refused(tmp_path):
    info = zipfile.ZipInfo("set/link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with pytest.raises(DataError, match="neither a file nor a folder"):
        run(make_zip(tmp_path / "set.zip", FILES, info), tmp_path / "data")


@pytest.mark.parametrize("name", ["set.tgz", "set.zip"])
def test_a_bomb_is_refused_before_it_goes_off(tmp_path, name):
    archive = make(tmp_path / name, {"set/bomb": bytes(20_000_000)})
    assert archive.stat().st_size < 100_000
    with pytest.raises(DataError, match="a bomb"):
        run(archive, tmp_path / "data")
    assert tree(tmp_path / "data") == {}


def test_more_bytes_than_the_limit_are_refused(tmp_path, name):
    with pytest.raises(DataError, match="more than 20 bytes"):
        run(make(tmp_path / name, FILES), tmp_path / "data", size=20)


def test_more_files_than_the_limit_are_refused(tmp_path, name):
    with pytest.raises(DataError, match="more than 2 files"):
        run(make(tmp_path / name, FILES), tmp_path / "data", members=2)


@pytest.mark.parametrize("kept", [0.3, 0.9], ids=["early", "late"])
def test_a_truncated_archive_is_called_damaged(tmp_path, name, kept):
    archive = make(tmp_path / name, {"set/noise": os.urandom(100_000)})
    archive.write_bytes(archive.read_bytes()[: int(kept * archive.stat().st_size)])
    with pytest.raises(DataError, match="is damaged"):
        run(archive, tmp_path / "data")
    assert tree(tmp_path / "data") == {}


def test_a_disk_that_refuses_keeps_what_was_unpacked(tmp_path, name):
    (tmp_path / "data").touch()
    with pytest.raises(RunFailedError, match="could not be unpacked"):
        run(make(tmp_path / name, FILES), tmp_path / "data")


PARTS = st.sampled_from(["set", "a", "b.png", "..", ".", "", "c d", "\\", "é"])


@given(paths=st.lists(st.lists(PARTS, min_size=1, max_size=5).map("/".join), min_size=1, max_size=4), as_zip=st.booleans())
def test_whatever_the_paths_nothing_appears_outside(tmp_path_factory, paths, as_zip):
    place = tmp_path_factory.mktemp("place")
    files = {path: b"x" for path in paths if path.strip("/.")}
    archive = make(place / ("set.zip" if as_zip else "set.tar"), files)
    try:
        run(archive, place / "deep" / "in" / "data")
    except SemibenchError:
        assert not (place / "deep" / "in" / "data" / "set").exists()
    assert set(tree(place)) - {name for name in tree(place) if name.startswith("deep/in/data/set/")} <= {archive.name}
