"""DeepLabV3+'s decoder on a dense CLIP, which knows no names: SemiVL's ablation (Hoyer et al. 2024).

Paper: arXiv 2311.16241. Read: the official code, ``google-research/semivl`` at 13ee65d. Embeddings pass a pyramid of an eighth
of their channels, contours come from the block after a third.
"""

from pydantic import PositiveInt
from torch import Tensor, cat, nn
from torchvision.ops import Conv2dNormActivation

from semibench.methods.networks._clip_network import ClipNetwork, after_a_third
from semibench.methods.networks._pyramid import AtrousPyramid
from semibench.methods.networks.base import Features


class DeepLabClip(ClipNetwork):
    """Context from the embedding, contours from an early block: both are of the grid of patches."""

    class Config(ClipNetwork.Config):
        """Source of every default: SemiVL's code, Pascal VOC."""

        rates: tuple[PositiveInt, ...] = (6, 12, 18)  # dilation of the 3x3 branches
        channels: PositiveInt = 256  # of the fusion
        low_channels: PositiveInt = 48  # of the early block when it is fused

    def __init__(self, config: Config, n_classes: int) -> None:
        super().__init__(config, n_classes)
        self.encoder = self._build_tower(config, (after_a_third(config.encoder),))
        kind = self.encoder.architecture
        self.pyramid = AtrousPyramid(kind.embedding, kind.embedding // 8, config.rates)
        self.reduction = Conv2dNormActivation(kind.width, config.low_channels, 1)
        self.fusion = nn.Sequential(
            Conv2dNormActivation(kind.embedding // 8 + config.low_channels, config.channels, 3),
            Conv2dNormActivation(config.channels, config.channels, 3),
        )
        self.classifier = nn.Conv2d(config.channels, n_classes, 1)

    def encode(self, image: Tensor) -> Features:
        """Map images (N, 3, H, W) to an early block's values and the embedding, both of the grid of patches."""
        features: Features = self.encoder(image)
        return features

    def decode(self, features: Features, size: tuple[int, int]) -> Tensor:
        """Map features to logits (N, K, H, W) float32."""
        low, embedding = features
        fused = self.fusion(cat([self.reduction(low), self.pyramid(embedding)], dim=1))
        return self._resize(self.classifier(fused), self.image_size, size)
