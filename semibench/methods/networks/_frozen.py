"""Networks of other runs and of other people, which a method asks and does not train."""

from collections.abc import Callable
from typing import Generic, Literal, Self, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from semibench.methods.networks._pyramid import PyramidNetwork

Held = TypeVar("Held", bound=nn.Module)


class Frozen(nn.Module, Generic[Held]):
    """Asks a network that stays as it is: not in the state, always in evaluation mode, without gradients.

    ``statistics`` are those that its normalization layers use: its own running ones, or those of each batch, by which its
    running ones do not change. It moves between devices with the module that has it.
    """

    def __init__(self, network: Held, statistics: Literal["running", "batch"] = "running") -> None:
        super().__init__()
        network.requires_grad_(False).eval()
        for layer in network.modules():
            if isinstance(layer, _NormBase) and statistics == "batch":
                layer.training, layer.track_running_stats = True, False
        self._held = [network]  # in a list, into which torch does not look

    @property
    def network(self) -> Held:
        """The network itself."""
        return self._held[0]

    @torch.no_grad()
    def forward(self, image: Tensor) -> Tensor:
        """Map images (M, 3, H, W) to logits (M, K, H, W)."""
        logits: Tensor = self.network(image)
        return logits

    @torch.no_grad()
    def label(self, image: Tensor) -> Tensor:
        """Return the class of highest logit, (M, H, W) int64."""
        label: Tensor = self(image).argmax(dim=1)
        return label

    @torch.no_grad()
    def represent(self: "Frozen[PyramidNetwork]", image: Tensor) -> Tensor:
        """Map images to what the network's classifier reads, (M, C, h, w)."""
        return self.network.represent(self.network.encode(image))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Move the network too: ``to`` and its like call this of each module."""
        self.network._apply(fn, recurse)  # type: ignore[no-untyped-call]  # torch's is untyped
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]  # as above
        return self
