"""Ways to pass images through a network without leaving a trace on it."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.batchnorm import _NormBase


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Put ``network`` into evaluation mode; put back every module's own mode afterwards."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, is_training in modes:  # train() would also wake frozen parts
            module.training = is_training


@contextmanager
def keeping_statistics(network: nn.Module) -> Iterator[None]:
    """Let normalization layers in training mode use the batch's statistics without adding them to their running ones."""
    layers = [module for module in network.modules() if isinstance(module, _NormBase) and module.track_running_stats]
    for layer in layers:
        layer.track_running_stats = False
    try:
        yield
    finally:
        for layer in layers:
            layer.track_running_stats = True
