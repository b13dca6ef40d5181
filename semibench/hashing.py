"""Hashes in their two uses here: digests of content, and seeds derived from names."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any  # JSON values have no narrower type

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def digest_json(value: Any) -> str:
    """Return the SHA-256 (hex) of a JSON value, independent of key order.

    >>> digest_json({"a": 1, "b": 2}) == digest_json({"b": 2, "a": 1})
    True
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def digest_ids(ids: Iterable[str]) -> str:
    r"""Return the SHA-256 (hex) of a set of ids: sorted bytewise, joined by single line feeds.

    >>> digest_ids(["b", "a"]) == hashlib.sha256(b"a\nb").hexdigest()
    True
    """
    return hashlib.sha256("\n".join(sorted(ids)).encode()).hexdigest()


def digest_pixels(pixels: "NDArray[np.uint8]") -> str:
    """Return the SHA-256 (hex) of the shape and the values of an image or a mask."""
    return hashlib.sha256(f"{pixels.shape}\n".encode() + pixels.tobytes()).hexdigest()


def digest_file(path: Path) -> str:
    """Return the SHA-256 (hex) of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def derive_seed(*parts: int | str) -> int:
    """Return a 63-bit seed that is a function of ``parts`` alone.

    Independent streams come from different parts, so that no draw depends on how many draws were made before it.

    >>> derive_seed(0, "flip", 7) == derive_seed(0, "flip", 7) != derive_seed(0, "flip", 8)
    True
    """
    hashed = hashlib.blake2b("\x1f".join(map(repr, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(hashed, "big") >> 1
