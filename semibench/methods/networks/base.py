"""The contract of a network: stages instead of switches, so that methods perturb, mix or tap in between."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from semibench.records import Record

Features = tuple[Tensor, ...]


class ParameterGroup(NamedTuple):
    """Parameters that a recipe can address by name (``recipe.optimizer.groups``); frozen ones are in none."""

    name: str
    parameters: Sequence[nn.Parameter]


class Network(nn.Module, ABC):
    """A segmentation network in two halves; ``forward`` is their composition.

    A network's file defines one subclass. ``encoder`` holds the pretrained part, everything else is the decoder.
    """

    Config: ClassVar[type[Record]]
    family: ClassVar[str] = ""  # of its encoders, before their names in tables, where other networks' have the same names
    encoder: nn.Module

    @abstractmethod
    def __init__(self, config: Any, n_classes: int) -> None:
        """Build the network for ``n_classes`` outputs; ``config`` is a ``Config``."""
        super().__init__()

    @abstractmethod
    def encode(self, image: Tensor) -> Features:
        """Map images (N, 3, H, W) to exactly the features that ``decode`` reads."""

    @abstractmethod
    def decode(self, features: Features, size: tuple[int, int]) -> Tensor:
        """Map features to logits (N, K, H, W) float32 of the given (H, W)."""

    def parameter_groups(self) -> list[ParameterGroup]:
        """Return the parameters that are trained, as ``encoder`` and ``decoder``."""
        encoder = [parameter for parameter in self.encoder.parameters() if parameter.requires_grad]
        inside = set(map(id, encoder))
        decoder = [parameter for parameter in self.parameters() if parameter.requires_grad and id(parameter) not in inside]
        return [ParameterGroup("encoder", encoder), ParameterGroup("decoder", decoder)]

    def forward(self, image: Tensor) -> Tensor:
        """Map images (N, 3, H, W) to logits (N, K, H, W)."""
        return self.decode(self.encode(image), (image.shape[-2], image.shape[-1]))


class RefiningPredictor(nn.Module, ABC):
    """A predictor whose probabilities are refined after it, with the image at hand; costs are those without that step."""

    @abstractmethod
    def refine(self, probabilities: NDArray[np.float32], image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return probabilities (K, H, W) of an image (H, W, 3) RGB, from those merged over windows and resized to it."""
