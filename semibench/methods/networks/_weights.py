"""Load a weight file into a network, and say what of it fitted.

Names of timm, torchvision, OpenMMLab and semibench itself are understood. Files are data: opening one never runs code.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # what a file holds is known only after looking

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from semibench.errors import DataError, unknown
from semibench.hashing import digest_file
from semibench.methods.networks import _torchscript
from semibench.methods.networks._timm_names import to_timm
from semibench.methods.networks.base import Network

Tensors = Mapping[str, Tensor]
Reading = Callable[[str], str]  # a name in the file -> the name that it then has in the network

_WRAPPERS = ("state_dict", "model", "method")  # keys under which training scripts, semibench's too, keep tensors
_PREFIXES = re.compile(r"^(module\.|network\.)+")  # of DistributedDataParallel and of semibench's methods


@dataclass(frozen=True)
class WeightReport:
    """What of a weight file fitted. Counters of batches are left out: nothing reads them."""

    name: str  # file name without folder
    sha256: str  # of the file
    matched: int  # tensors that were loaded
    missing: tuple[str, ...]  # the network's tensors that kept their initial values
    unexpected: tuple[str, ...]  # the file's tensors that were not used, with both shapes where only the shape differs
    trained_on: str | None = None  # what it learnt from, where that is known


def load_weights(network: Network, path: Path, part: str = "") -> WeightReport:
    """Load a ``.safetensors`` file, or a file of ``torch.save`` that holds tensors alone, into ``network`` in place.

    A file of an encoder fills the encoder, and the decoder is not missing then; a file of a whole network fills all. With
    ``part``, the name of a module of the network, the file is that module's. Raises UsageError when there is no such part,
    DataError when the file cannot be read, needs code to be opened, or fits nowhere.
    """
    parts = dict(network.named_children())
    if part and part not in parts:
        raise unknown("part of the network", part, parts, f"Set network.{part} first, if it is an option of the network.")
    stored = read_tensors(path)
    inside = part or "encoder"
    own = {
        name: tensor
        for name, tensor in _without_counters(network.state_dict()).items()
        if not part or name.startswith(f"{part}.")
    }
    reading = _best_reading(stored, own, (_of_network, *_readings_of(inside)))
    fitting = _fitting(stored, own, reading)
    expected = [name for name in own if reading is _of_network or name.startswith(f"{inside}.")]
    report = WeightReport(
        name=path.name,
        sha256=digest_file(path),
        matched=len(fitting),
        missing=tuple(name for name in expected if name not in fitting),
        unexpected=tuple(_describe(name, stored, own, reading) for name in stored if reading(name) not in fitting),
    )
    if not fitting:
        raise DataError(
            f"weight file {path.name} fits nowhere: it has {_some(report.unexpected)}, the network has {_some(report.missing)}",
            f"Give weights of the network's {inside}{_or_set(inside)}.",
        )
    network.load_state_dict(fitting, strict=False)
    return report


def read_tensors(path: Path) -> Tensors:
    """Return the tensors that a file holds by name; a TorchScript archive's too.

    Raises DataError when it cannot be read, needs code to be opened, or holds none.
    """
    return _select(_read(path), path)


def read_metadata(path: Path) -> dict[str, str]:
    """Return what a .safetensors file says about itself; nothing of others."""
    if path.suffix != ".safetensors":
        return {}
    with safe_open(path, framework="pt") as file:
        return dict(file.metadata() or {})


def _read(path: Path) -> Any:
    try:
        if _torchscript.is_archive(path):
            return _torchscript.read_tensors(path)
        return load_file(path) if path.suffix == ".safetensors" else torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise DataError(f"weight file {path} not found", "Check the path.") from error
    except Exception as error:  # torch lets through whatever a damaged file makes it stumble over
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> DataError:
    objects = sorted(set(re.findall(r"GLOBAL (\S+)", str(error))))  # what torch refused to import
    if objects:
        return DataError(
            f"weight file {path.name} holds more than tensors ({', '.join(objects)}), which only code could open",
            "If you trust its origin, load it there and save its state_dict alone, best as .safetensors.",
        )
    return DataError(
        f"weight file {path.name} cannot be read",
        "It is truncated, damaged or of another format: compare its size and digest with its source.",
    )


def _select(content: Any, path: Path) -> Tensors:
    """Return the tensors that a file holds by name, without wrappers, prefixes and counters."""
    entries = content if isinstance(content, Mapping) else {}
    while inner := [entries[key] for key in _WRAPPERS if isinstance(entries.get(key), Mapping)]:
        entries = inner[0]
    tensors = {_PREFIXES.sub("", str(name)): value for name, value in entries.items() if isinstance(value, Tensor)}
    if not tensors:
        raise DataError(f"weight file {path.name} holds no tensors by name", "Save a network's state_dict in it.")
    return _without_counters(tensors)


def _without_counters(tensors: Tensors) -> Tensors:
    return {name: tensor for name, tensor in tensors.items() if not name.endswith("num_batches_tracked")}


def _of_network(name: str) -> str:
    return name


def _readings_of(part: str) -> list[Reading]:
    """Return how a file of a part alone may name its tensors."""
    return [lambda name: f"{part}.{name}", lambda name: f"{part}.{to_timm(name.removeprefix('backbone.'))}"]  # OpenMMLab's


def _best_reading(stored: Tensors, own: Tensors, readings: Sequence[Reading]) -> Reading:
    """Return the one of ``readings`` by which most tensors fit; among equals, most names."""

    def success(reading: Reading) -> tuple[int, int]:
        return len(_fitting(stored, own, reading)), sum(reading(name) in own for name in stored)

    return max(readings, key=success)


def _fitting(stored: Tensors, own: Tensors, reading: Reading) -> dict[str, Tensor]:
    renamed = {reading(name): tensor for name, tensor in stored.items()}
    return {name: tensor for name, tensor in renamed.items() if name in own and tensor.shape == own[name].shape}


def _describe(name: str, stored: Tensors, own: Tensors, reading: Reading) -> str:
    if reading(name) not in own:
        return name
    return f"{name} {tuple(stored[name].shape)} (in the network {tuple(own[reading(name)].shape)})"


def _or_set(part: str) -> str:
    return f", or set network.{part} to that of the file" if part.endswith("encoder") else ""  # these are options


def _some(names: tuple[str, ...]) -> str:
    more = ", ..." if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
