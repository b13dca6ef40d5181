"""Read the tensors of a TorchScript archive, which is how OpenAI publishes CLIP, without running anything that it holds.

``torch.jit.load`` would compile the archive's code and ``pickle`` would import what it names. Here modules become plain
tables of their attributes, tensors are cut from the archive's bytes, and whatever else an archive asks for is refused.
"""

import pickle
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any  # what an archive holds is known only after looking

import torch
from torch import Tensor

_STORAGES = {
    "BoolStorage": torch.bool,
    "ByteStorage": torch.uint8,
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "IntStorage": torch.int32,
    "LongStorage": torch.int64,
}


def is_archive(path: Path) -> bool:
    """Return whether a file is a TorchScript archive; a file of ``torch.save`` has no constants of code."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return the parameters and buffers of an archive by name.

    Raises ``pickle.UnpicklingError`` where the archive asks for anything but modules and tensors.
    """
    with zipfile.ZipFile(path) as archive:
        content = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
        with archive.open(content) as stream:
            return dict(_flatten(_Reader(stream, archive, content.removesuffix("data.pkl")).load()))


class _Module:
    """Stands for a module of any class: a table of its attributes."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.attributes = state


class _Reader(pickle.Unpickler):
    """Builds ``_Module`` and tensors, and nothing else."""

    def __init__(self, stream: Any, archive: zipfile.ZipFile, root: str) -> None:
        super().__init__(stream)
        self.archive = archive
        self.root = root

    def find_class(self, module: str, name: str) -> Any:
        """Return what stands here for a name of the archive."""
        if module.split(".")[0] == "__torch__":
            return _Module
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _build_tensor
        if (module, name) == ("collections", "OrderedDict"):
            return dict
        if module == "torch.jit._pickle" and (name.startswith("build_") or name == "restore_type_tag"):
            return lambda value, *_: value  # a list or a table and its type
        raise pickle.UnpicklingError(f"GLOBAL {module}.{name} is not a tensor")

    def persistent_load(self, pid: Any) -> Tensor:
        """Return a storage of the archive as a tensor of one axis."""
        _, dtype, key, *_ = pid
        return torch.frombuffer(bytearray(self.archive.read(f"{self.root}data/{key}")), dtype=dtype)


def _build_tensor(storage: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> Tensor:
    return storage.as_strided(size, stride, offset)


def _flatten(module: Any, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    for name, value in getattr(module, "attributes", {}).items():
        if isinstance(value, Tensor):
            yield f"{prefix}{name}", value
        elif isinstance(value, _Module):
            yield from _flatten(value, f"{prefix}{name}.")
