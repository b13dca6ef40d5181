"""DeepLabV3+ (Chen et al. 2018), in the form that most semi-supervised methods are compared on.

Paper: arXiv 1802.02611. Defaults are those of UniMatch's code at 0324f3d. Against the paper: no multi-grid, no dropout,
every resize with aligned corners, PyTorch's own initialization of the decoder.

The image-level branch normalizes a 1 x 1 map. In training mode with one image per process batch normalization then
refuses; give two images, or let the recipe synchronize its normalization layers.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import PositiveInt
from torch import Tensor, nn
from torchvision.ops import Conv2dNormActivation

from semibench.methods.networks._encoders import build_encoder
from semibench.methods.networks.base import Features, Network
from semibench.records import Record


class DeepLabV3Plus(Network):
    """Context from the high map, contours from the low map: ``decode`` = context, fuse, classify, resize."""

    class Config(Record):
        """Source of every default: UniMatch's code, Pascal VOC."""

        encoder: str = "resnet50s"  # ResNet-50 with three 3x3 convolutions as its stem; also resnet101s
        output_stride: Literal[8, 16, 32] = 16  # pixels of the image per pixel of the high map
        rates: tuple[PositiveInt, ...] = (6, 12, 18)  # dilation of the 3x3 branches; the paper doubles them at output stride 8
        channels: PositiveInt = 256  # of context and fusion
        low_channels: PositiveInt = 48  # of the low map when it is fused
        align_corners: bool = True  # of every resize; Detectron2's DeepLabV3+ uses False

    def __init__(self, config: Config, n_classes: int) -> None:
        super().__init__(config, n_classes)
        self.align_corners = config.align_corners
        self.encoder, (low, high) = build_encoder(config.encoder, config.output_stride)
        self.pyramid = _AtrousPyramid(high, config.channels, config.rates)
        self.reduction = Conv2dNormActivation(low, config.low_channels, 1)
        self.fusion = nn.Sequential(
            Conv2dNormActivation(config.channels + config.low_channels, config.channels, 3),
            Conv2dNormActivation(config.channels, config.channels, 3),
        )
        self.classifier = nn.Conv2d(config.channels, n_classes, 1)

    def encode(self, image: Tensor) -> Features:
        """Map images (N, 3, H, W) to a low map at stride 4 and a high map at the output stride."""
        low, high = self.encoder(image)
        return low, high

    def decode(self, features: Features, size: tuple[int, int]) -> Tensor:
        """Map (low, high) to logits (N, K, H, W) float32."""
        low, high = features
        logits = self.classify(self.fuse(low, self.context(high)))
        return self.resize(logits.float(), size)  # float32: softmax and loss follow at this size

    def context(self, high: Tensor) -> Tensor:
        """Widen the view of the high map: (N, C, h, w) -> (N, channels, h, w)."""
        context: Tensor = self.pyramid(high)
        return context

    def fuse(self, low: Tensor, context: Tensor) -> Tensor:
        """Join the low map with the context, at the low map's size: -> (N, channels, h, w)."""
        enlarged = self.resize(context, (low.shape[-2], low.shape[-1]))
        fused: Tensor = self.fusion(torch.cat([self.reduction(low), enlarged], dim=1))
        return fused

    def classify(self, fused: Tensor) -> Tensor:
        """Map the fused map to logits of its size: (N, channels, h, w) -> (N, K, h, w)."""
        logits: Tensor = self.classifier(fused)
        return logits

    def resize(self, maps: Tensor, size: tuple[int, int]) -> Tensor:
        """Resize maps (N, C, h, w) to (N, C, H, W), bilinearly."""
        return F.interpolate(maps, size, mode="bilinear", align_corners=self.align_corners)


class _AtrousPyramid(nn.Module):
    """Atrous spatial pyramid pooling: a pixel, its surroundings at several rates and the whole image, side by side."""

    def __init__(self, inputs: int, channels: int, rates: tuple[int, ...]) -> None:
        super().__init__()
        self.branches = nn.ModuleList([Conv2dNormActivation(inputs, channels, 1)])
        self.branches += [Conv2dNormActivation(inputs, channels, 3, dilation=rate) for rate in rates]
        self.pooling = Conv2dNormActivation(inputs, channels, 1)
        self.projection = Conv2dNormActivation((len(rates) + 2) * channels, channels, 1)

    def forward(self, high: Tensor) -> Tensor:
        """Map (N, C, h, w) to (N, channels, h, w)."""
        whole = self.pooling(F.adaptive_avg_pool2d(high, 1))
        whole = F.interpolate(whole, high.shape[-2:], mode="bilinear", align_corners=True)  # one pixel: repeats it
        maps = [*(branch(high) for branch in self.branches), whole]
        projected: Tensor = self.projection(torch.cat(maps, dim=1))
        return projected
