"""DeepLabV3+ (Chen et al. 2018), in the form that most semi-supervised methods are compared on.

Paper: arXiv 1802.02611. Defaults are those of UniMatch's code at 0324f3d. Against the paper: no multi-grid, no dropout,
every resize with aligned corners, PyTorch's own initialization of the decoder.

The image-level branch normalizes a 1 x 1 map. In training mode a pass of one image is therefore refused; give two images, or
let the recipe synchronize its normalization layers over several processes.
"""

from typing import Literal

import torch
from pydantic import PositiveInt
from torch import Tensor, nn
from torchvision.ops import Conv2dNormActivation

from semibench.methods.networks._encoders import build_encoder
from semibench.methods.networks._pyramid import AtrousPyramid, PyramidNetwork
from semibench.methods.networks.base import Features
from semibench.records import Record


class DeepLabV3Plus(PyramidNetwork):
    """Context from the high map, contours from the low map: ``decode`` = context, fuse, classify, resize."""

    class Config(Record):
        """Source of every default: UniMatch's code, Pascal VOC."""

        encoder: str = "resnet50s"  # ResNet-50 with three 3x3 convolutions as its stem; also resnet101s
        output_stride: Literal[8, 16, 32] = 16  # pixels of the image per pixel of the high map
        multi_grid: tuple[PositiveInt, ...] = ()  # factors on the rate of the encoder's last blocks; the paper's are 1, 2, 4
        rates: tuple[PositiveInt, ...] = (6, 12, 18)  # dilation of the 3x3 branches; the paper doubles them at output stride 8
        channels: PositiveInt = 256  # of context and fusion
        low_channels: PositiveInt = 48  # of the low map when it is fused
        align_corners: bool = True  # of every resize; Detectron2's DeepLabV3+ uses False

    def __init__(self, config: Config, n_classes: int) -> None:
        super().__init__(config, n_classes)
        self.align_corners = config.align_corners
        self.encoder, (low, high) = build_encoder(config.encoder, config.output_stride, config.multi_grid)
        self.pyramid = AtrousPyramid(high, config.channels, config.rates)
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

    def represent(self, features: Features) -> Tensor:
        """Map (low, high) to the fused map (N, channels, h, w) of the low map's size."""
        low, high = features
        return self.fuse(low, self.context(high))

    def merge(self, gathered: Features) -> Tensor:
        """Map (low, branches of the pyramid) to the fused map."""
        low, maps = gathered
        return self.fuse(low, self.pyramid.project(maps))

    def context(self, high: Tensor) -> Tensor:
        """Widen the view of the high map: (N, C, h, w) -> (N, channels, h, w)."""
        context: Tensor = self.pyramid(high)
        return context

    def fuse(self, low: Tensor, context: Tensor) -> Tensor:
        """Join the low map with the context, at the low map's size: -> (N, channels, h, w)."""
        enlarged = self.resize(context, (low.shape[-2], low.shape[-1]))
        fused: Tensor = self.fusion(torch.cat([self.reduction(low), enlarged], dim=1))
        return fused
