"""DeepLabV2 (Chen et al. 2016): an encoder at output stride 8 and four dilated classifiers, whose logits are added.

Paper: arXiv 1606.00915; its body was not read. Read: the re-implementation kazuto1011/deeplab-pytorch, whose defaults these
are. Several scales of an image and the dense CRF are the method's, see ``methods/deeplabv2.py``.

Deviations from it, all so that the weights of today's encoders fit
- A stage strides in its first 3x3 convolution, there in the 1x1 before it. Its first block keeps the rate of the stage
  before, unless ``multi_grid`` is set to (1, 1, 1), which gives the last stage of a ResNet one rate.
- The stem's pooling rounds sizes down, there up: the same for odd sizes such as the crop of 321.
"""

from typing import Literal

import torch
from pydantic import PositiveInt
from torch import Tensor, nn
from torch.nn import functional

from semibench.methods.networks._encoders import build_encoder
from semibench.methods.networks.base import Features, Network, ParameterGroup
from semibench.records import Record


class DeepLabV2(Network):
    """``decode`` = classify, resize."""

    class Config(Record):
        """Source of every default: kazuto1011/deeplab-pytorch, Pascal VOC."""

        encoder: str = "resnet101"
        output_stride: Literal[8, 16, 32] = 8  # pixels of the image per pixel of the high map
        multi_grid: tuple[PositiveInt, ...] = ()  # factors on the rate of the encoder's last blocks; there (1, 1, 1)
        rates: tuple[PositiveInt, ...] = (6, 12, 18, 24)  # dilation of the classifiers

    def __init__(self, config: Config, n_classes: int) -> None:
        super().__init__(config, n_classes)
        self.encoder, (_, high) = build_encoder(config.encoder, config.output_stride, config.multi_grid)
        self.classifiers = nn.ModuleList(nn.Conv2d(high, n_classes, 3, padding=r, dilation=r) for r in config.rates)
        for parameter in self.classifiers.parameters():
            nn.init.normal_(parameter, std=0.01 if parameter.ndim > 1 else 0.0)  # biases start at 0

    def encode(self, image: Tensor) -> Features:
        """Map images (N, 3, H, W) to a high map at the output stride."""
        _, high = self.encoder(image)
        return (high,)

    def decode(self, features: Features, size: tuple[int, int]) -> Tensor:
        """Map (high,) to logits (N, K, H, W) float32."""
        return self.resize(self.classify(features), size)

    def classify(self, features: Features) -> Tensor:
        """Map (high,) to logits of its size, (N, K, h, w) float32."""
        (high,) = features
        return torch.stack([classifier(high).float() for classifier in self.classifiers]).sum(dim=0)

    def resize(self, logits: Tensor, size: tuple[int, int]) -> Tensor:
        """Resize logits (N, K, h, w) to (N, K, H, W), bilinearly without aligned corners."""
        return functional.interpolate(logits, size, mode="bilinear", align_corners=False)

    def parameter_groups(self) -> list[ParameterGroup]:
        """Return ``encoder``, ``decoder`` and, since they are trained at a rate of their own, ``decoder_biases``."""
        encoder, decoder = super().parameter_groups()
        weights = [parameter for parameter in decoder.parameters if parameter.ndim > 1]
        biases = [parameter for parameter in decoder.parameters if parameter.ndim == 1]
        return [encoder, ParameterGroup("decoder", weights), ParameterGroup("decoder_biases", biases)]
