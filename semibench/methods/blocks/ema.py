"""Teachers that are the moving average of a student."""

from copy import deepcopy
from typing import Self

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


def move_average(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Set each parameter to decay * average + (1 - decay) * network, in place; buffers, such as statistics, are copied.

    >>> average, network = nn.Linear(1, 1), nn.Linear(1, 1)
    >>> before, target = average.bias.item(), network.bias.item()
    >>> move_average(average, network, 0.75)
    >>> abs(average.bias.item() - (0.75 * before + 0.25 * target)) < 1e-6
    True
    """
    with torch.no_grad():
        update = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]  # torch's has no types
        update(list(average.parameters()), list(network.parameters()), 0)
        for buffer, current in zip(average.buffers(), network.buffers(), strict=True):
            buffer.copy_(current)


def warmed_up(decay: float, step: int) -> float:
    """Return the decay of update ``step`` (from 0) of an average that starts as the plain mean of all networks so far.

    The first update copies the network.

    >>> [warmed_up(0.99, step) for step in (0, 1, 3, 1000)]
    [0.0, 0.5, 0.75, 0.99]
    """
    return min(1 - 1 / (step + 1), decay)


class Teacher(nn.Module):
    """A copy of a network that follows it: never trained, always in evaluation mode, no gradient."""

    def __init__(self, student: nn.Module) -> None:
        super().__init__()
        self.network = deepcopy(student).requires_grad_(False).eval()

    def follow(self, student: nn.Module, decay: float) -> None:
        """Move towards the student; see ``move_average``."""
        move_average(self.network, student, decay)

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode, whatever ``mode`` is."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, image: Tensor) -> Tensor:
        """Map images (M, 3, H, W) to logits (M, K, H, W)."""
        logits: Tensor = self.network(image)
        return logits
