"""Read a permutation that was pickled as a NumPy array, without running anything that the file says.

A pickle is a program: loading one may do whatever its author likes. Here every name that it asks for is answered by a stand-in
that only notes its arguments; a file that asks for any other name is refused. The array's shape, type and bytes are then
checked and decoded by hand. CutMix-Seg and ClassMix publish their partitions in this form, in pickle's protocol 3.
"""

import codecs
import io
import pickle
import struct
from typing import Any  # what stands in a pickle is not known

from semibench.errors import DataError

_NEXT_STEP = "Use a plain text list with 'semibench protocol import'."
_ARRAY, _TYPE, _BYTES = "array", "type", "bytes"
_STAND_INS = {
    ("numpy.core.multiarray", "_reconstruct"): _ARRAY,
    ("numpy._core.multiarray", "_reconstruct"): _ARRAY,
    ("numpy", "ndarray"): _ARRAY,
    ("numpy", "dtype"): _TYPE,
    ("_codecs", "encode"): _BYTES,  # how protocol 2 writes bytes
}
_DAMAGE = (pickle.UnpicklingError, EOFError, KeyError, IndexError, TypeError, ValueError, AttributeError, struct.error)
_FORMATS = {"i4": "i", "i8": "q"}  # NumPy's name -> struct's


def read_permutation(content: bytes, name: str) -> tuple[int, ...]:
    """Return the numbers 0 ... n - 1 in the order of a pickled array; raise DataError when the file is anything else."""
    try:
        array = _Reader(io.BytesIO(content), encoding="latin-1").load()
        numbers = _decode(array)
    except _DAMAGE as error:
        raise DataError(f"{name} is not a pickled permutation ({error})", _NEXT_STEP) from error
    if sorted(numbers) != list(range(len(numbers))):
        raise DataError(f"{name} does not hold each number from 0 to {len(numbers) - 1} once", _NEXT_STEP)
    return numbers


class _Noted:
    """Stands for anything that a pickle builds: remembers what it was given."""

    def __init__(self, kind: str, arguments: tuple[Any, ...]) -> None:
        self.kind, self.arguments = kind, arguments
        self.state: tuple[Any, ...] = ()

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.state = state


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        kind = _STAND_INS.get((module, name))
        if kind is None:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        if kind is _BYTES:
            return lambda text, encoding: codecs.encode(text, "latin-1")
        return lambda *arguments: _Noted(kind, arguments)

    def persistent_load(self, identity: object) -> Any:
        raise pickle.UnpicklingError(f"it asks for the object {identity!r}")


def _decode(array: Any) -> tuple[int, ...]:
    if not isinstance(array, _Noted) or array.kind is not _ARRAY:
        raise ValueError("it holds no array")
    _, shape, dtype, _, content = array.state
    if not isinstance(dtype, _Noted) or dtype.arguments[0] not in _FORMATS:
        raise ValueError("its array is not of integers")
    (length,) = shape
    byte_order = ">" if dtype.state[1] == ">" else "<"
    return struct.unpack(f"{byte_order}{length}{_FORMATS[dtype.arguments[0]]}", content)
