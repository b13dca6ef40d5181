"""What a run is carried out on, without a path, user or host name in it."""

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version

import psutil
import torch

from semibench.errors import UsageError
from semibench.harness import processes

_PACKAGES = ("semibench", "torch", "torchvision", "timm", "accelerate", "numpy", "pillow")


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that can change numbers, as far as installed or in use."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    if (loaded := sys.modules.get("detectron2")) is not None:  # often a folder on the path, which has no metadata
        found["detectron2"] = loaded.__version__
    return found


def describe() -> dict[str, str | int]:
    """Return machine and software: processors, memory (bytes), GPUs, processes of the run, versions."""
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count() or 1,
        "memory": psutil.virtual_memory().total,
        "gpus": ", ".join(gpus) or "none",
        "threads": torch.get_num_threads(),
        "processes": processes.count(),
        **versions(),
    }


def machine(device: str) -> str:
    """Return the model name of the GPU or processor that ``device`` is."""
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else _processor()


def choose_device(name: str) -> str:
    """Return the device that ``name`` means here: ``auto`` takes a GPU where there is one.

    Raises UsageError when it is not there.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    gpus = ["cuda", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))] if torch.cuda.is_available() else []
    known = ["cpu", *gpus, *(["mps"] if torch.backends.mps.is_available() else [])]
    if name not in known:
        raise UsageError(
            f"device '{name}' is not available", f"Devices here: {', '.join(known)}. 'semibench doctor' tells more."
        )
    return name


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:  # noqa: PTH123  # a kernel interface, not a file of ours
            return next(line.partition(":")[2].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"
