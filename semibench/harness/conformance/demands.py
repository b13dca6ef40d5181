"""What checks demand of a method, and what they raise where it does not hold."""

import torch
from torch import Tensor

from semibench.methods.method import Method, StepOutput


class BrokenPromiseError(Exception):
    """A method does not keep what the contract promises."""


def demand(holds: object, what: str) -> None:
    """Raise BrokenPromiseError, saying what is wrong, unless ``holds`` is true."""
    if not holds:
        raise BrokenPromiseError(what)


def backward(method: Method, output: StepOutput) -> None:
    """Do a backward pass; demand that losses, scalars and gradients are finite."""
    for name, value in {**output.losses, **output.scalars}.items():
        demand(value.shape == () and value.isfinite(), f"'{name}' is not a finite scalar")
    total = torch.stack([loss.float() for loss in output.losses.values()]).sum()
    demand(total.requires_grad, "the sum of the losses has no graph")
    total.backward()  # type: ignore[no-untyped-call]  # torch's has no types
    gradients = [p.grad for p in trained(method) if p.grad is not None]
    demand(all(gradient.isfinite().all() for gradient in gradients), "a gradient is not finite")


def trained(method: Method) -> list[Tensor]:
    """Return the parameters of all groups."""
    return [parameter for group in method.parameter_groups() for parameter in group.parameters]
