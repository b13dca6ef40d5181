"""Checkpoints: written whole or not at all, loaded without running any code that they carry."""

import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from semibench.errors import DataError
from semibench.files import replacing


def save(path: Path, content: Mapping[str, Any]) -> None:
    """Write ``content`` (tensors, numbers, strings and containers of them) to ``path``.

    The file that was there stays until the new one is on disk and has been read back.
    """
    with replacing(path) as draft:
        try:
            torch.save(dict(content), draft)
            load(draft)
        except (RuntimeError, DataError) as error:  # torch's writer reports a full disk so
            raise OSError(f"it was not written whole ({error})") from error


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU; raise DataError naming the file when it is damaged or of another kind."""
    try:
        _check_sums(path)  # torch takes over whatever numbers it finds
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise DataError(f"checkpoint {path.name} not found in {path.parent}", "Check the folder of the run.") from error
    except Exception as error:  # torch lets through whatever a damaged file makes it stumble over
        raise DataError(f"checkpoint {path.name} cannot be read", "It is damaged; delete it to start again.") from error
    if not isinstance(content, dict):
        raise DataError(f"{path.name} is not a checkpoint of semibench", "Give a file that 'semibench run' wrote.")
    return content


def _check_sums(path: Path) -> None:
    """Raise ValueError when a part of the archive that a checkpoint is has other bytes than were written."""
    with zipfile.ZipFile(path) as archive:
        if (damaged := archive.testzip()) is not None:
            raise ValueError(f"the checksum of {damaged} is another")


def digest_tensors(state: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 (hex) of named tensors: names, types, shapes and bytes, in the order of the names."""
    hashed = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        hashed.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        hashed.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return hashed.hexdigest()
