"""Label maps of other programs: what is read of them, and what is refused before it can do harm."""

import io
import struct
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from semibench.errors import DataError
from semibench.harness.predictions import opened

IDS = ("a", "town/b")
SHAPE = (2, 3)
LABELS = np.array([[0, 1, 2], [2, 1, 0]], np.uint8)


def png(labels=LABELS, mode="L"):
    file = io.BytesIO()
    picture = Image.fromarray(labels)
    if mode == "P":
        picture = Image.frombytes("P", picture.size, picture.tobytes())
        picture.putpalette([value for value in range(3) for _ in range(3)])
    picture.save(file, "PNG")
    return file.getvalue()


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def grey_of_two_bits():
    header = struct.pack(">IIBBBBB", 3, 2, 2, 0, 0, 0, 0)
    rows = zlib.compress(bytes([0, 0b00011000, 0, 0b10010000]))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def with_a_second_header(width, height, color):
    """A picture whose first header is that of a label map, and whose second one readers believe."""
    return png()[:33] + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, color, 0, 0, 0)) + png()[33:]


def npy(array=LABELS):
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


@pytest.fixture(params=["folder", "zip", "zip of a folder"])
def pack(request, tmp_path):
    """Write files by name into a folder, or into an archive, with a folder around them or without."""

    def write(files):
        if request.param == "folder":
            for name, content in files.items():
                (tmp_path / "maps" / name).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / "maps" / name).write_bytes(content)
            return tmp_path / "maps"
        around = "maps/" if request.param.endswith("folder") else ""
        with zipfile.ZipFile(tmp_path / "maps.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(around + name, content)
        return tmp_path / "maps.zip"

    return write


@pytest.fixture
def archive(tmp_path):
    """Write an archive of one label map called by the content given."""

    def write(content, name="a.png"):
        path = tmp_path / "maps.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr(name, content)
        return path

    return write


def read(path, ids=IDS):
    with opened(path, ids) as predictions:
        return {id: predictions.labels(id, SHAPE, 3) for id in ids}


def test_a_map_is_found_by_its_id_whose_slashes_are_folders(pack):
    found = read(pack({"a.png": png(), "town/b.npy": npy(2 - LABELS)}))
    np.testing.assert_array_equal(found["a"], LABELS)
    np.testing.assert_array_equal(found["town/b"], 2 - LABELS)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(png(mode="P"), id="palette"),
        pytest.param(png(LABELS.astype(np.uint16)), id="16 bits"),
    ],
)
def test_an_index_is_an_index_whatever_its_width(archive, content):
    np.testing.assert_array_equal(read(archive(content), ["a"])["a"], LABELS)


@pytest.mark.parametrize("kind", [np.int8, np.uint16, np.int64])
def test_integers_of_any_width_are_read(archive, kind):
    np.testing.assert_array_equal(read(archive(npy(LABELS.astype(kind)), "a.npy"), ["a"])["a"], LABELS)


def test_an_npz_file_is_an_archive_of_arrays(tmp_path):
    np.savez_compressed(tmp_path / "maps.npz", **dict.fromkeys(IDS, LABELS))
    assert set(read(tmp_path / "maps.npz")) == set(IDS)


def test_a_set_that_is_not_whole_is_refused_with_what_is_missing(pack):
    ids = [f"id{number}" for number in range(9)]
    with pytest.raises(DataError, match=r"no label map of 8 of 9 images: 'id1', 'id2', 'id3', 'id4', 'id5' and 3 more"):
        read(pack({"id0.png": png()}), ids)


@pytest.mark.parametrize("name", ["c.png", "a.txt", "../c.png", "town/a.png", ".DS_Store"])
def test_a_file_of_no_image_is_refused(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "maps.zip", "w") as archive:
        for one in ("a.png", "town/b.png", name):
            archive.writestr(one, png())
    with pytest.raises(DataError, match="1 files that belong to no image"):
        read(tmp_path / "maps.zip")


def test_two_files_of_one_image_are_refused(pack):
    with pytest.raises(DataError, match="two label maps of one image"):
        read(pack({"a.png": png(), "a.npy": npy(), "town/b.png": png()}))


def test_one_name_twice_in_an_archive_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "maps.zip", "w") as archive:
        archive.writestr("a.png", png())
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("a.png", png(2 - LABELS))
    with pytest.raises(DataError, match="two label maps of one image"):
        read(tmp_path / "maps.zip", ["a"])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        pytest.param("a.npy", npy(LABELS.astype(float)), "holds float64, not integers", id="scores"),
        pytest.param("a.npy", npy(np.full(SHAPE, np.nan)), "holds float64, not integers", id="nan"),
        pytest.param("a.npy", npy(LABELS > 0), "holds bool, not integers", id="booleans"),
        pytest.param("a.npy", npy(np.array([[{}] * 3] * 2, object)), "holds object, not integers", id="pickle"),
        pytest.param("a.npy", npy(LABELS[None]), "is 1 x 2 x 3, its image 2 x 3", id="dimensions"),
        pytest.param("a.npy", npy(LABELS.T), "is 3 x 2, its image 2 x 3", id="size"),
        pytest.param("a.npy", npy(LABELS.astype(np.int16) - 1), "the value -1, outside the 3 classes 0 to 2", id="negative"),
        pytest.param("a.npy", npy()[:-1], "cannot be read", id="cut array"),
        pytest.param("a.npy", b"", "cannot be read", id="empty array"),
        pytest.param("a.npy", png(), "cannot be read", id="picture as array"),
        pytest.param("a.png", npy(), "is not a PNG file", id="array as picture"),
        pytest.param("a.png", png()[:-26], "cannot be read", id="cut picture"),
        pytest.param("a.png", png(LABELS.T.copy()), "is 3 x 2, its image 2 x 3", id="size of picture"),
        pytest.param("a.png", png(np.stack([LABELS] * 3, axis=-1)), "is colored, not a single channel", id="colored"),
        pytest.param("a.png", grey_of_two_bits(), "is grey of 2 bits", id="grey that readers scale"),
        pytest.param("a.png", png(LABELS + 1), "the value 3, outside the 3 classes 0 to 2", id="counted from 1"),
        pytest.param("a.png", png(np.where(LABELS == 2, 255, LABELS).astype(np.uint8)), "the value 255", id="void"),
        pytest.param("a.png", with_a_second_header(4, 4, 0), "is 4 x 4, its image 2 x 3", id="a second size"),
        pytest.param("a.png", with_a_second_header(3, 2, 2), "is of mode RGB", id="a second color"),
        pytest.param("a.png", with_a_second_header(2**31 - 1, 2**31 - 1, 0), "cannot be read", id="a huge second size"),
        pytest.param("a.npy", npy().replace(b"(2, 3), }", b"(2, 3,   "), "cannot be read", id="a header that never ends"),
        pytest.param("a.npy", npy() + bytes(10**6), "larger than 65584 bytes", id="bomb"),
    ],
)
def test_what_is_no_label_map_of_its_image_is_refused_by_name(archive, name, content, message):
    with pytest.raises(DataError, match=message) as error:
        read(archive(content, name), ["a"])
    assert name in str(error.value)


def test_an_announced_size_is_refused_before_anything_of_it_is_made(archive):
    header = struct.pack(">IIBBBBB", 2**31 - 1, 2**31 - 1, 8, 0, 0, 0, 0)
    forged = png()[:16] + header + png()[29:]
    with pytest.raises(DataError, match="its image 2 x 3"):
        read(archive(forged), ["a"])


def test_of_a_bomb_no_more_is_read_than_a_label_map_can_be(archive, monkeypatch):
    path, asked = archive(npy() + bytes(10**7), "a.npy"), []
    usual = zipfile.ZipExtFile.read
    monkeypatch.setattr(zipfile.ZipExtFile, "read", lambda self, n=-1: asked.append(n) or usual(self, n))
    with pytest.raises(DataError, match="larger than"):
        read(path, ["a"])
    assert max(asked) < 10**5


@pytest.mark.parametrize("packing", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_packing_that_is_read_without_bound_is_refused_unread(tmp_path, packing):
    with zipfile.ZipFile(tmp_path / "maps.zip", "w", packing) as archive:
        archive.writestr("a.npy", npy())
    with pytest.raises(DataError, match=r"a\.npy in .* is compressed by method"):
        read(tmp_path / "maps.zip", ["a"])


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and no more", b"not an archive"])
def test_what_is_no_archive_is_refused(tmp_path, content):
    (tmp_path / "maps.zip").write_bytes(content)
    with pytest.raises(DataError, match="neither a folder nor a zip archive"):
        read(tmp_path / "maps.zip")


def test_a_missing_path_is_refused_by_name(tmp_path):
    with pytest.raises(DataError, match="absent is neither a folder nor a zip archive"):
        read(tmp_path / "absent")


def test_an_encrypted_file_is_refused(archive):
    path = archive(png())
    content = path.read_bytes()
    for signature, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = content.index(signature) + place
        content = content[:at] + b"\x01" + content[at + 1 :]
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.png cannot be read: .*encrypted"):
        read(path, ["a"])
