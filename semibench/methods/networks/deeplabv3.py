"""DeepLabV3 (Chen et al. 2017): a dilated encoder, an atrous pyramid and a classifier, without a decoder.

Paper: arXiv 1706.05587; its body was not read. Read: Detectron2's projects/DeepLab at 02b5c4e, whose defaults these are.

Deviations from Detectron2
- The image-level branch averages the whole map. There it averages a window of the training crop's size, which slides over
  larger images: the same while training.
- No multi-grid unless it is set, since encoders differ in their blocks. The published ResNets have (1, 2, 4).
"""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt
from torch import Tensor, nn

from semibench.methods.networks._encoders import build_encoder
from semibench.methods.networks._pyramid import AtrousPyramid, PyramidNetwork
from semibench.methods.networks.base import Features
from semibench.records import Record


class DeepLabV3(PyramidNetwork):
    """``decode`` = pyramid, classify, resize."""

    class Config(Record):
        """Source of every default, where nothing else is said: Detectron2's projects/DeepLab, Cityscapes."""

        encoder: str = "resnet101s"  # ResNet-101 with three 3x3 convolutions as its stem, R-103 there
        output_stride: Literal[8, 16, 32] = 16  # pixels of the image per pixel of the high map
        multi_grid: tuple[PositiveInt, ...] = ()  # factors on the rate of the encoder's last blocks; our choice, see above
        rates: tuple[PositiveInt, ...] = (6, 12, 18)  # dilation of the 3x3 branches; the paper doubles them at output stride 8
        channels: PositiveInt = 256  # of each branch and of their projection
        pooled_norm: bool = False  # whether the image-level branch is normalized; True in MMSegmentation
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1  # of single values, before the classifier
        align_corners: bool = False  # of the resize to the image's size

    def __init__(self, config: Config, n_classes: int) -> None:
        super().__init__(config, n_classes)
        self.align_corners = config.align_corners
        self.encoder, (_, high) = build_encoder(config.encoder, config.output_stride, config.multi_grid)
        self.pyramid = AtrousPyramid(high, config.channels, config.rates, pooled_norm=config.pooled_norm)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Conv2d(config.channels, n_classes, 1)
        for layer in self.pyramid.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_uniform_(layer.weight, a=1)
        for parameter in self.classifier.parameters():
            nn.init.normal_(parameter, std=0.001 if parameter.ndim > 1 else 0.0)  # the bias starts at 0

    def encode(self, image: Tensor) -> Features:
        """Map images (N, 3, H, W) to a high map at the output stride."""
        _, high = self.encoder(image)
        return (high,)

    def represent(self, features: Features) -> Tensor:
        """Map (high,) to the projected pyramid (N, channels, h, w)."""
        (high,) = features
        represented: Tensor = self.dropout(self.pyramid(high))
        return represented

    def merge(self, gathered: Features) -> Tensor:
        """Map (branches of the pyramid,) to their projection."""
        (maps,) = gathered
        represented: Tensor = self.dropout(self.pyramid.project(maps))
        return represented
