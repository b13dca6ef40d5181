"""Counts per image, ``scores.npz``: what confidence intervals and tests between methods are computed from."""

import tokenize
import zipfile
import zlib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import IO, Any  # the type of an array's elements is checked at run time

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from semibench.errors import DataError
from semibench.files import replacing
from semibench.metrics import N_BINS

MAX_BYTES = 2**31  # of all arrays; ADE20K has 2,000 images x 150 classes x 5 counts x 8 bytes = 12 MB
MAX_ID = 1024  # characters

_NEXT_STEP = "Score the checkpoint again with 'semibench evaluate'."
_PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_DAMAGE = (
    *(OSError, ValueError, EOFError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error),
    tokenize.TokenError,  # a header of NumPy's that is no Python
)


@dataclass(frozen=True, eq=False)
class PerImage:
    """Counts of n images over K classes; sums over images are those of the data set.

    Raises DataError where an array has another shape or element type.
    """

    ids: NDArray[np.str_]  # (n,), each once
    intersection: NDArray[np.int64]  # (n, K) pixels that are right
    truth: NDArray[np.int64]  # (n, K) pixels; void is not counted here and below
    prediction: NDArray[np.int64]  # (n, K) pixels
    boundary_intersection: NDArray[np.int64]  # (n, K) pixels
    boundary_union: NDArray[np.int64]  # (n, K) pixels
    bin_count: NDArray[np.int64]  # (n, 15) pixels by confidence
    bin_correct: NDArray[np.int64]  # (n, 15) those of them that are right
    bin_confidence: NDArray[np.float64]  # (n, 15) sum of their confidences

    def __post_init__(self) -> None:
        n_images, n_classes = (*self.intersection.shape, 0, 0)[:2]
        for name in _NAMES:
            array = getattr(self, name)
            _check(name, array.shape, array.dtype, (n_images, n_classes), "the counts per image")

    def save(self, path: Path) -> None:
        """Replace ``path`` by a compressed archive of the arrays."""
        with replacing(path) as draft, draft.open("wb") as file:
            np.savez_compressed(file, **{name: getattr(self, name) for name in _NAMES})


_NAMES = tuple(field.name for field in fields(PerImage))


def load(path: Path, n_images: int, n_classes: int) -> PerImage:
    """Return the counts in ``path``, of a result with ``n_images`` and ``n_classes``.

    The sizes that the archive announces are compared with these before anything is allocated, and nothing is unpickled.
    Raises DataError when the archive is damaged or holds anything else.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            check_packing(archive, path)
            _check_members(archive, n_images, n_classes, path)
        with np.load(path, allow_pickle=False) as arrays:
            counts = PerImage(**{name: arrays[name] for name in _NAMES})
    except _DAMAGE as error:
        raise DataError(f"{path} is not a whole archive of counts: {error}", _NEXT_STEP) from error
    _check_values(counts, path)
    return counts


def _check_members(archive: zipfile.ZipFile, n_images: int, n_classes: int, path: Path) -> None:
    members = archive.infolist()
    if sorted(member.filename for member in members) != sorted(f"{name}.npy" for name in _NAMES):
        raise DataError(f"{path} does not hold exactly the arrays {', '.join(_NAMES)}", _NEXT_STEP)
    total = sum(member.file_size for member in members)
    if total > MAX_BYTES:
        raise DataError(f"{path} unpacks to {total} bytes, at most {MAX_BYTES} are read", _NEXT_STEP)
    for member in members:
        name = member.filename.removesuffix(".npy")
        with archive.open(member) as file:
            shape, dtype = read_header(file)
            _check(name, shape, dtype, (n_images, n_classes), str(path))
            expected = file.tell() + int(np.prod(shape, dtype=object)) * dtype.itemsize
        if member.file_size != expected:
            raise DataError(f"{name} in {path} takes {member.file_size} bytes, its header means {expected}", _NEXT_STEP)


def check_packing(archive: zipfile.ZipFile, path: Path) -> None:
    """Raise DataError unless everything in ``archive`` is stored or deflated: of other packings Python reads without bound."""
    for member in archive.infolist():
        if member.compress_type not in _PACKINGS:
            raise DataError(
                f"{member.filename} in {path} is compressed by method {member.compress_type}, which is read without bound",
                "Pack it again, stored or deflated: numpy.savez_compressed and 'zip' do.",
            )


def read_header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return shape and element type of an array in NumPy's format, before any of it is read."""
    version = npy.read_magic(file)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read(file)
    return shape, dtype


def _check(name: str, shape: tuple[int, ...], dtype: np.dtype[Any], size: tuple[int, int], where: str) -> None:
    n_images, n_classes = size
    columns = () if name == "ids" else (N_BINS,) if name.startswith("bin_") else (n_classes,)
    expected = (n_images, *columns)
    if name == "ids":
        is_typed = dtype.kind == "U" and dtype.itemsize <= 4 * MAX_ID
    else:
        is_typed = dtype == (np.float64 if name == "bin_confidence" else np.int64)
    if shape != expected or not is_typed:
        raise DataError(f"{name} in {where} is {dtype} {shape}; {expected} of the documented type is expected", _NEXT_STEP)


def _check_values(counts: PerImage, path: Path) -> None:
    arrays = [getattr(counts, name) for name in _NAMES if name != "ids"]
    is_possible = (
        all(np.isfinite(array).all() and (array >= 0).all() for array in arrays)
        and (counts.intersection <= np.minimum(counts.truth, counts.prediction)).all()
        and (counts.boundary_intersection <= counts.boundary_union).all()
        and (counts.bin_correct <= counts.bin_count).all()
        and len(np.unique(counts.ids)) == len(counts.ids)
    )
    if not is_possible:
        raise DataError(
            f"{path} holds counts that no scoring gives (negative, above their total, or an image twice)", _NEXT_STEP
        )
