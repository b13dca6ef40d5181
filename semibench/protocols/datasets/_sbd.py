"""SBD's annotations: one MATLAB file for each photo -> its index mask."""

import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from semibench.errors import DataError

MATRIX, COMPRESSED = 14, 15  # kinds of elements of a MATLAB file
LARGEST = 2**26  # bytes of an element: SBD's hold a photo's pixels a few times over
DAMAGES = (
    OSError,
    ValueError,
    TypeError,
    LookupError,
    NotImplementedError,
    MemoryError,
    struct.error,
    zlib.error,
    MatReadError,
)


def read_sbd(path: Path) -> NDArray[np.uint8]:
    """Read the class of each pixel, (H, W) uint8, from an annotation of SBD; raise DataError naming a damaged one."""
    try:
        _verify(path.read_bytes())
        mask = loadmat(str(path), variable_names=["GTcls"])["GTcls"]["Segmentation"][0, 0]
    except FileNotFoundError as error:
        raise DataError(
            f"file {path} not found", "Check that benchmark_RELEASE is complete ('semibench data fetch voc')."
        ) from error
    except DAMAGES as error:
        raise _damaged(path, f"{type(error).__name__}: {error}") from error
    if not isinstance(mask, np.ndarray) or mask.dtype != np.uint8 or mask.ndim != 2 or not mask.size:
        raise _damaged(
            path, f"its mask is {getattr(mask, 'dtype', type(mask).__name__)} of {getattr(mask, 'shape', 'no shape')}"
        )
    return mask


def _verify(content: bytes) -> None:
    """Raise ValueError unless a MATLAB file of version 5 is whole: loadmat skips checksums and may crash on damage."""
    if content[124:128] != b"\x00\x01IM":
        raise ValueError("it is no MATLAB file of version 5")
    place = 128
    while place < len(content):
        kind, length = struct.unpack_from("<2I", content, place)
        element, place = content[place + 8 : place + 8 + length], place + 8 + length
        if kind not in (MATRIX, COMPRESSED) or len(element) < length:
            raise ValueError("it is truncated or damaged")
        stream = zlib.decompressobj()
        if kind == COMPRESSED and (len(stream.decompress(element, LARGEST)) == LARGEST or not stream.eof):
            raise ValueError("it is truncated or absurdly large")


def _damaged(path: Path, why: str) -> DataError:
    return DataError(
        f"file {path} is no annotation of SBD ({why})", "Download benchmark_RELEASE again ('semibench data fetch voc')."
    )
