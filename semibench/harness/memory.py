"""How much memory a training step takes, from shapes and types alone: nothing is computed and no device is needed."""

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import NamedTuple

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from semibench.harness.rehearsal import blank, part_seeds
from semibench.methods.method import Batch, Method, Progress
from semibench.methods.networks._frozen import Frozen
from semibench.protocols.recipe import SGD, Recipe

_HALVES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Memory(NamedTuple):
    """Bytes that are held at once when a forward pass ends; what kernels and the allocator need comes on top."""

    weights: int  # parameters and buffers, those of frozen networks too
    gradients: int  # of what is trained
    optimizer: int  # its moments
    activations: int  # kept for the backward pass of one part of a batch

    @property
    def total(self) -> int:
        """The sum."""
        return sum(self)


def estimate_memory(build: Callable[[], Method], recipe: Recipe) -> Memory | None:
    """Return the memory of a step on one device of the method that ``build`` makes; None where it depends on what it sees.

    Tensors are fake: they have shapes, types and sizes of storage, but no numbers. Activations are what the graph of one part
    of a batch keeps, each storage once. Attention is fused, as it is on a GPU.
    """
    seeds = part_seeds(recipe)
    try:
        with FakeTensorMode(allow_non_fake_inputs=True):
            method = build().train()
            held = [tensor for module in _modules(method) for tensor in (*module.parameters(), *module.buffers())]
            trained = [parameter for group in method.parameter_groups() for parameter in group.parameters]
            kept = _kept(method, blank(method.views, recipe.crop, seeds, "cpu"), recipe.precision)
            own = _storages(held)
            activations = sum(size for storage, size in _storages(kept).items() if storage not in own)
    except RuntimeError:  # fake tensors have no error of their own for whatever wants to see numbers
        return None
    gradients = sum(_storages(trained).values())
    moments = int(recipe.optimizer.momentum > 0) if isinstance(recipe.optimizer, SGD) else 2
    return Memory(sum(own.values()), gradients, moments * gradients, activations)


def _modules(method: Method) -> list[torch.nn.Module]:
    return [method, *(module.network for module in method.modules() if isinstance(module, Frozen))]


def _kept(method: Method, batch: Batch, precision: str) -> list[Tensor]:
    """Return the tensors that the graph of a forward pass keeps."""
    kept: list[Tensor] = []

    def pack(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    half = _HALVES.get(precision)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        with torch.autocast("cpu", half) if half else nullcontext():
            output = method(batch, Progress(0, 1))
        if output.losses:  # methods that train nothing have none
            torch.stack([loss.float() for loss in output.losses.values()]).sum()
    return kept


def _storages(tensors: Iterable[Tensor]) -> dict[int, int]:
    """Return the size in bytes of each storage, by its address."""
    return {storage._cdata: storage.nbytes() for storage in (tensor.untyped_storage() for tensor in tensors)}
