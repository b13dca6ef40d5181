"""Counts per image: what is loaded is what was saved, and nothing is allocated on a stranger's word."""

import io
import zipfile

import numpy as np
import pytest
from numpy.lib import format as npy

from semibench.errors import DataError
from semibench.reports import per_image
from semibench.reports.per_image import PerImage, load

N_IMAGES, N_CLASSES = 3, 2


def _arrays():
    pixels = np.array([[4, 0], [3, 1], [2, 2]], dtype=np.int64)
    bins = np.zeros((N_IMAGES, 15), dtype=np.int64)
    bins[:, 14] = 4
    return {
        "ids": np.array(["a", "b", "ç"]),
        "intersection": pixels // 2,
        "truth": pixels,
        "prediction": pixels,
        "boundary_intersection": pixels // 2,
        "boundary_union": pixels,
        "bin_count": bins,
        "bin_correct": bins // 2,
        "bin_confidence": bins * 0.99,
    }


@pytest.fixture
def path(tmp_path):
    PerImage(**_arrays()).save(tmp_path / "scores.npz")
    return tmp_path / "scores.npz"


def _rewrite(path, **members):
    """Replace members of the archive by other bytes or arrays; None leaves one out."""
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    for name, member in members.items():
        content.pop(f"{name}.npy", None)
        if isinstance(member, np.ndarray):
            file = io.BytesIO()
            np.save(file, member)
            member = file.getvalue()
        if member is not None:
            content[f"{name}.npy"] = member
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            archive.writestr(name, data)


def test_what_is_loaded_is_what_was_saved(path):
    counts = load(path, N_IMAGES, N_CLASSES)
    for name, array in _arrays().items():
        np.testing.assert_array_equal(getattr(counts, name), array)


@pytest.mark.parametrize(("n_images", "n_classes"), [(4, 2), (3, 3)])
def test_counts_of_another_result_are_refused(path, n_images, n_classes):
    with pytest.raises(DataError, match=r"scores\.npz is"):
        load(path, n_images, n_classes)


@pytest.mark.parametrize(
    ("name", "array"),
    [
        pytest.param("truth", np.zeros((3, 2), dtype=np.int32), id="another type"),
        pytest.param("truth", np.zeros((3, 2, 1), dtype=np.int64), id="another rank"),
        pytest.param("bin_count", np.zeros((3, 10), dtype=np.int64), id="another number of bins"),
        pytest.param("ids", np.array(["a" * 2000, "b", "c"]), id="endless id"),
    ],
)
def test_counts_of_another_shape_or_type_are_neither_built_nor_loaded(path, name, array):
    with pytest.raises(DataError, match=name):
        PerImage(**_arrays() | {name: array})
    _rewrite(path, **{name: array})
    with pytest.raises(DataError, match=name):
        load(path, N_IMAGES, N_CLASSES)


@pytest.mark.parametrize(
    ("name", "array"),
    [
        pytest.param("truth", np.full((3, 2), -1), id="negative"),
        pytest.param("intersection", np.full((3, 2), 9), id="more right than there are"),
        pytest.param("bin_confidence", np.full((3, 15), np.nan), id="not a number"),
        pytest.param("ids", np.array(["a", "a", "b"]), id="an image twice"),
    ],
)
def test_impossible_counts_are_refused(path, name, array):
    _rewrite(path, **{name: array})
    with pytest.raises(DataError, match="no scoring gives"):
        load(path, N_IMAGES, N_CLASSES)


def test_pickled_objects_are_never_loaded(path):
    file = io.BytesIO()
    np.save(file, np.array([{}, {}, {}], dtype=object), allow_pickle=True)
    _rewrite(path, ids=file.getvalue())
    with pytest.raises(DataError, match="ids"):
        load(path, N_IMAGES, N_CLASSES)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        pytest.param(2**40, r"truth in .* is int64 \(1099511627776, 2\)", id="more rows than images"),
        pytest.param(N_IMAGES, "takes .* bytes, its header means", id="more rows than bytes"),
    ],
)
def test_a_header_that_announces_more_than_there_is_allocates_nothing(path, rows, message):
    file = io.BytesIO()
    npy.write_array_header_1_0(file, {"shape": (rows, N_CLASSES), "fortran_order": False, "descr": "<i8"})
    _rewrite(path, truth=file.getvalue())
    with pytest.raises(DataError, match=message):
        load(path, N_IMAGES, N_CLASSES)


def test_an_archive_that_unpacks_to_too_much_is_refused(path, monkeypatch):
    monkeypatch.setattr(per_image, "MAX_BYTES", 1000)
    with pytest.raises(DataError, match="at most 1000 are read"):
        load(path, N_IMAGES, N_CLASSES)


@pytest.mark.parametrize("packing", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_packing_that_is_read_without_bound_is_refused_unread(path, packing):
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", packing) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(DataError, match="is compressed by method"):
        load(path, N_IMAGES, N_CLASSES)


def test_missing_and_additional_arrays_are_refused(path):
    _rewrite(path, truth=None)
    with pytest.raises(DataError, match="exactly the arrays"):
        load(path, N_IMAGES, N_CLASSES)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"no archive at all"])
def test_what_is_not_an_archive_is_refused_by_name(tmp_path, content):
    (tmp_path / "scores.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"scores\.npz is not a whole archive"):
        load(tmp_path / "scores.npz", N_IMAGES, N_CLASSES)


def test_a_truncated_or_damaged_archive_is_refused(path):
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:60] + bytes(20) + whole[80:]):
        path.write_bytes(damaged)
        with pytest.raises(DataError):
            load(path, N_IMAGES, N_CLASSES)
