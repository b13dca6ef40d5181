"""What to try when a device's memory does not suffice: settings in order, each with what a step then needs by estimate."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

import psutil
import torch

from semibench.errors import RunFailedError, SemibenchError
from semibench.harness.build import build_method
from semibench.harness.configure import Configuration
from semibench.harness.memory import estimate_memory
from semibench.protocols.protocol import load

_ON_A_CPU = "DefaultCPUAllocator: "  # torch has no error of its own for the memory of the process
_PARTS = (2, 4, 8)  # more are hardly a batch any more
_CLASSES = 25  # at a time, as in SemiVL's recipe for ADE20K


class Remedy(NamedTuple):
    """A setting that takes less memory, what it makes of a configuration, and what else it changes."""

    option: str
    applied: Callable[[Configuration], Configuration]
    price: str = ""


@contextmanager
def explaining(configuration: Configuration, device: str) -> Iterator[None]:
    """Turn a training that runs out of memory into a RunFailedError that says what a step needs, and what to try."""
    try:
        yield
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise RunFailedError(_what(configuration, device), _next_step(configuration)) from error


@contextmanager
def explaining_scoring(device: str) -> Iterator[None]:
    """Turn an evaluation that runs out of memory into a RunFailedError; its images are as large as the protocol says."""
    try:
        yield
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise RunFailedError(
            f"scoring ran out of memory on {device} ({_there(device)})",
            "Free memory on the device, or give the same command with another --device: it resumes where the training stands, "
            "and images are scored there as they are here.",
        ) from error


def is_out_of_memory(error: RuntimeError) -> bool:
    """Return whether an error of torch is about memory, the device's or the process's."""
    return isinstance(error, torch.OutOfMemoryError) or _ON_A_CPU in str(error)


def remedies(configuration: Configuration) -> Iterator[Remedy]:
    """Yield the settings to try in their order: those first that change least."""
    recipe, network = configuration.recipe, configuration.network
    if recipe.precision in ("fp32", "tf32"):
        yield Remedy("--precision bf16", partial(_with_recipe, precision="bf16"))
    if getattr(network, "checkpointing", None) is False:
        yield Remedy("--set network.checkpointing=true", partial(_with_network, checkpointing=True), "slower")
    if getattr(network, "class_chunk", _CLASSES) is None and _n_classes(configuration) > _CLASSES:
        yield Remedy(f"--set network.class_chunk={_CLASSES}", partial(_with_network, class_chunk=_CLASSES), "slower")
    parts = next((n for n in _PARTS if n > recipe.accumulation and not any(size % n for _, size in recipe.batch)), None)
    if parts is not None:
        price = f"batch statistics are of one of {parts} parts" if recipe.norm != "frozen" else ""
        yield Remedy(f"--set recipe.accumulation={parts}", partial(_with_recipe, accumulation=parts), price)
    height, width = (side * 3 // 4 for side in recipe.crop)
    yield Remedy(
        f"--set recipe.crop=[{height},{width}]", partial(_with_recipe, crop=(height, width)), "less of an image is seen"
    )


def _what(configuration: Configuration, device: str) -> str:
    recipe = configuration.recipe
    step = f"a step of {recipe.batch.labeled}+{recipe.batch.unlabeled} images, crop {recipe.crop[0]}x{recipe.crop[1]}"
    parts = f" in {recipe.accumulation} parts" if recipe.accumulation > 1 else ""
    needed = _estimate(configuration) or ""
    return f"{step}, {recipe.precision}{parts}, ran out of memory on {device}{needed} ({_there(device)})"


def _next_step(configuration: Configuration) -> str:
    """Return what to try; a setting that the method or its network refuses is passed over."""
    lines = []
    for remedy in remedies(configuration):
        changed = remedy.applied(configuration)
        needed = _estimate(changed)
        if needed is not None:
            configuration = changed
            lines.append(remedy.option + needed + (f"; {remedy.price}" if remedy.price else ""))
    if not lines:
        return "Use a device with more memory."
    tried = ", then ".join(lines)
    return (
        f"Use a device with more memory, or try, each on top of the one before: {tried}. "
        "Every one of these makes the run custom, and another run than this."
    )


def _with_recipe(configuration: Configuration, **changes: object) -> Configuration:
    return configuration.model_copy(update={"recipe": configuration.recipe.model_copy(update=changes)})


def _with_network(configuration: Configuration, **changes: object) -> Configuration:
    return configuration.model_copy(update={"network": configuration.network.model_copy(update=changes)})


def _n_classes(configuration: Configuration) -> int:
    return len(load(configuration.protocol).dataset_class().class_names)


def _estimate(configuration: Configuration) -> str | None:
    """Return what a step needs, as far as that can be told; None where the method or its network refuses such a step."""
    dataset = load(configuration.protocol).dataset_class()
    plain = _with_recipe(configuration, norm="bn") if configuration.recipe.norm == "syncbn" else configuration
    try:  # synchronized layers need as much as plain ones, and refuse to be tried outside of their processes
        memory = estimate_memory(lambda: build_method(plain, dataset, {})[0], plain.recipe)
    except (SemibenchError, ValueError):
        return None
    return f": about {_size(memory.total)}" if memory else ""


def _there(device: str) -> str:
    if device.startswith("cuda"):
        free, total = torch.cuda.mem_get_info(device)
        return f"it has {_size(total)}, {_size(free)} free after the failure"
    memory = psutil.virtual_memory()
    return f"the machine has {_size(memory.total)}, {_size(memory.available)} free after the failure"


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
