"""SemiVL's network (Hoyer et al. 2024): a dense CLIP and a decoder that is guided by what classes are called.

Paper: arXiv 2311.16241. Read: the official code, ``google-research/semivl`` at 13ee65d. What classes are called is a buffer, a
row of CLIP's text embedding for each, so that a stored network needs no text tower.
"""

from typing import Annotated

import torch
from pydantic import Field, PositiveInt
from torch import Tensor

from semibench.errors import UsageError
from semibench.methods.networks._clip_network import ClipNetwork, after_a_third
from semibench.methods.networks._clips import Clip, find_kind
from semibench.methods.networks._encoders import build_contour_encoder
from semibench.methods.networks._language import LanguageDecoder
from semibench.methods.networks.base import Features

Level = Annotated[int, Field(ge=0)]


class Vlg(ClipNetwork):
    """``encode``: two skip features, finest first, and embeddings; ``decode``: likeness of patches and names, made a map."""

    text: Tensor

    class Config(ClipNetwork.Config):
        """Source of every default, where nothing else is said: SemiVL's code, Pascal VOC."""

        levels: tuple[Level, ...] | None = None  # blocks that give skip features; None: the first, and that after a third
        conv_encoder: str | None = None  # whose map at stride 4 replaces the first block's; resnet101c on Cityscapes
        channels: PositiveInt = 128  # of the decoder; halved at each doubling of the map
        skip_channels: tuple[PositiveInt, PositiveInt] | None = None  # None: quarters of these, 32 and 16; Cityscapes 32, 32
        rates: tuple[PositiveInt, ...] = (6, 12, 18)  # dilation of the decoder's pyramid
        semantic_layers: Annotated[int, Field(ge=0)] = 2
        class_chunk: PositiveInt | None = None  # classes at a time, each chunk computed again in the backward pass; None: all

    def __init__(self, config: Config, n_classes: int) -> None:
        super().__init__(config, n_classes)
        levels = _levels(config)
        self.encoder = self._build_tower(config, levels)
        skips = [self.encoder.architecture.width for _ in levels]
        if config.conv_encoder is not None:
            self.conv_encoder, contours = build_contour_encoder(config.conv_encoder)
            skips.append(contours)
        self.decoder = LanguageDecoder(
            self.encoder.architecture.embedding,
            skips,
            config.channels,
            config.skip_channels or (config.channels // 4, config.channels // 8),
            config.rates,
            config.semantic_layers,
            config.class_chunk,
        )
        self.register_buffer("text", torch.zeros(n_classes, self.encoder.architecture.embedding))

    def start_from(self, clip: Clip, text: Tensor) -> None:
        """Take over CLIP's image tower, and rows (K, D) of what classes are called, whose lengths mean nothing."""
        super().start_from(clip, text)
        self.text.copy_(text)

    def encode(self, image: Tensor) -> Features:
        """Map images (N, 3, H, W) to skip features, finest first, and the embedding (N, D, g_h, g_w) of unit length."""
        features: Features = self.encoder(image)
        return features if self.conv_encoder is None else (*self.conv_encoder(image), *features)

    def decode(self, features: Features, size: tuple[int, int]) -> Tensor:
        """Map features to logits (N, K, H, W) float32; the embedding need not be of unit length."""
        return self._resize(self.decoder(features, self.text), self.image_size, size)


def _levels(config: Vlg.Config) -> tuple[int, ...]:
    """Return the blocks that give skip features: two, or one beside a convolutional encoder.

    Raises UsageError for another number of them, and for a block that CLIP does not have.
    """
    count = 1 if config.conv_encoder else 2
    if config.levels is None:
        return (0, after_a_third(config.encoder))[-count:]
    blocks = find_kind(config.encoder).image.layers
    if len(config.levels) != count or max(config.levels) >= blocks:
        raise UsageError(
            f"network.levels = {list(config.levels)} does not name {count} of the blocks of {config.encoder}",
            f"Name {count} from 0 to {blocks - 1}; a convolutional encoder takes the place of the first of two.",
        )
    return config.levels
