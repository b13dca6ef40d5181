"""What to try when a device's memory does not suffice: settings in order, each with what a step then needs by estimate."""

from collections.abc import Iterator
from contextlib import contextmanager
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


class Remedy(NamedTuple):
    """A setting that takes less memory, the configuration with it, and what else it changes."""

    option: str
    configuration: Configuration
    price: str


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
    """Yield the settings to try in their order, each on top of those before it: those first that change least."""
    recipe, network = configuration.recipe, configuration.network
    if recipe.precision in ("fp32", "tf32"):
        configuration = _with_recipe(configuration, precision="bf16")
        yield Remedy("--precision bf16", configuration, "")
    if getattr(network, "checkpointing", None) is False:
        configuration = configuration.model_copy(update={"network": network.model_copy(update={"checkpointing": True})})
        yield Remedy("--set network.checkpointing=true", configuration, "slower")
    for parts in _PARTS:
        if parts > recipe.accumulation and not any(size % parts for _, size in recipe.batch):
            configuration = _with_recipe(configuration, accumulation=parts)
            price = f"batch statistics are of one of {parts} parts" if recipe.norm != "frozen" else ""
            yield Remedy(f"--set recipe.accumulation={parts}", configuration, price)
            break
    smaller = (recipe.crop[0] * 3 // 4, recipe.crop[1] * 3 // 4)
    yield Remedy(
        f"--set recipe.crop=[{smaller[0]},{smaller[1]}]", _with_recipe(configuration, crop=smaller), "less of an image is seen"
    )


def _what(configuration: Configuration, device: str) -> str:
    recipe = configuration.recipe
    step = f"a step of {recipe.batch.labeled}+{recipe.batch.unlabeled} images, crop {recipe.crop[0]}x{recipe.crop[1]}"
    parts = f" in {recipe.accumulation} parts" if recipe.accumulation > 1 else ""
    needed = _estimate(configuration)
    return f"{step}, {recipe.precision}{parts}, ran out of memory on {device}{needed} ({_there(device)})"


def _next_step(configuration: Configuration) -> str:
    lines = []
    for remedy in remedies(configuration):
        notes = _estimate(remedy.configuration) + (f"; {remedy.price}" if remedy.price else "")
        lines.append(f"{remedy.option}{notes}")
    tried = ", then ".join(lines)
    return (
        f"Use a device with more memory, or try, each on top of the one before: {tried}. "
        "Every one of these makes the run custom, and another run than this."
    )


def _with_recipe(configuration: Configuration, **changes: object) -> Configuration:
    return configuration.model_copy(update={"recipe": configuration.recipe.model_copy(update=changes)})


def _estimate(configuration: Configuration) -> str:
    """Return what a step needs, as far as that can be told: the advice must not fail for want of a number."""
    dataset = load(configuration.protocol).dataset_class()
    plain = _with_recipe(configuration, norm="bn") if configuration.recipe.norm == "syncbn" else configuration
    try:  # synchronized layers need as much as plain ones, and refuse to be tried outside of their processes
        memory = estimate_memory(lambda: build_method(plain, dataset, None)[0], plain.recipe)
    except (SemibenchError, ValueError):
        return ""
    return f": about {_size(memory.total)}" if memory else ""


def _there(device: str) -> str:
    if device.startswith("cuda"):
        free, total = torch.cuda.mem_get_info(device)
        return f"it has {_size(total)}, {_size(free)} free after the failure"
    memory = psutil.virtual_memory()
    return f"the machine has {_size(memory.total)}, {_size(memory.available)} free after the failure"


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
