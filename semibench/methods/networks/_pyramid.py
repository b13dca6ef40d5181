"""Atrous spatial pyramid pooling, and what networks that are built on it have in common."""

from abc import abstractmethod
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import Conv2dNormActivation

from semibench.errors import UsageError
from semibench.methods.networks.base import Features, Network


class AtrousPyramid(nn.Module):
    """A pixel, its surroundings at several rates and the whole image, side by side, projected to ``channels``."""

    def __init__(
        self,
        inputs: int,
        channels: int,
        rates: tuple[int, ...],
        *,
        pooled_norm: bool = True,
        norm_layer: Callable[[int], nn.Module] = nn.BatchNorm2d,
    ) -> None:
        super().__init__()
        self.inputs = inputs
        self.branches = nn.ModuleList([Conv2dNormActivation(inputs, channels, 1, norm_layer=norm_layer)])
        self.branches += [Conv2dNormActivation(inputs, channels, 3, dilation=rate, norm_layer=norm_layer) for rate in rates]
        pooled = norm_layer if pooled_norm else None  # without a norm the convolution has a bias
        self.pooling = Conv2dNormActivation(inputs, channels, 1, norm_layer=pooled)
        self.projection = Conv2dNormActivation((len(rates) + 2) * channels, channels, 1, norm_layer=norm_layer)

    def forward(self, high: Tensor) -> Tensor:
        """Map (N, C, h, w) to (N, channels, h, w)."""
        return self.project(self.gather(high))

    def gather(self, high: Tensor) -> Tensor:
        """Return all branches, (N, branches * channels, h, w).

        Raises UsageError where the branch of the whole image has one pixel in all to normalize in training mode.
        """
        try:
            whole = self.pooling(F.adaptive_avg_pool2d(high, 1))
        except ValueError as error:  # batch normalization's own, which does not say whence it comes
            if len(high) > 1:
                raise
            raise UsageError(
                "the network's image-level branch cannot normalize a pass of one image in training mode",
                "Raise recipe.batch or lower recipe.accumulation, so that two images of each kind pass together; or set "
                "recipe.norm to syncbn with several processes, or to frozen with loaded weights.",
            ) from error
        whole = F.interpolate(whole, high.shape[-2:], mode="bilinear", align_corners=True)  # one pixel: repeats it
        return torch.cat([*(branch(high) for branch in self.branches), whole], dim=1)

    def project(self, maps: Tensor) -> Tensor:
        """Map the branches to (N, channels, h, w)."""
        projected: Tensor = self.projection(maps)
        return projected


class PyramidNetwork(Network):
    """A network whose high map passes a pyramid: ``decode`` = represent, classify, resize; ``represent`` = gather, merge."""

    pyramid: AtrousPyramid
    classifier: nn.Conv2d
    align_corners: bool

    @abstractmethod
    def represent(self, features: Features) -> Tensor:
        """Map features to what the classifier reads, (N, channels, h, w)."""

    @abstractmethod
    def merge(self, gathered: Features) -> Tensor:
        """Map what ``gather`` returns to what the classifier reads."""

    def gather(self, features: Features) -> Features:
        """Replace the last feature, the high map, by all branches of the pyramid."""
        *others, high = features
        return (*others, self.pyramid.gather(high))

    def classify(self, represented: Tensor) -> Tensor:
        """Map a representation to logits of its size: (N, channels, h, w) -> (N, K, h, w)."""
        logits: Tensor = self.classifier(represented)
        return logits

    def resize(self, maps: Tensor, size: tuple[int, int]) -> Tensor:
        """Resize maps (N, C, h, w) to (N, C, H, W), bilinearly."""
        return F.interpolate(maps, size, mode="bilinear", align_corners=self.align_corners)

    def decode(self, features: Features, size: tuple[int, int]) -> Tensor:
        """Map features to logits (N, K, H, W) float32."""
        logits = self.classify(self.represent(features))
        return self.resize(logits.float(), size)  # float32: softmax and loss follow at this size
