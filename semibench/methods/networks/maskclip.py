"""Dense CLIP with a row of text for each class (Zhou et al. 2022): cosines of patches and texts, no decoder, no training."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from pydantic import PositiveInt
from torch import Tensor

from semibench.methods.blocks.concepts import best_of_each_class, cosines
from semibench.methods.networks._clip import DenseClip
from semibench.methods.networks._clips import Clip, ClipName, find_kind
from semibench.methods.networks.base import Features, Network
from semibench.records import Record

SCALE = 100  # of cosines as logits: where CLIP's own training ended


class MaskClip(Network):
    """The image tower as it is; classes are whatever it has been told of with ``learn``."""

    class Config(Record):
        """Which CLIP."""

        encoder: ClipName = "ViT-B-16"
        image_size: tuple[PositiveInt, PositiveInt] | None = None  # (H, W) pixels for which positions are resized once, before
        # they are to an image's own grid; None: CLIP's own
        renormalize: bool = False  # images from ImageNet's statistics to CLIP's, as SemiVL's code does on Cityscapes alone

    family = "CLIP"
    encoder: DenseClip
    rows: Tensor

    def __init__(self, config: Config, n_classes: int) -> None:
        super().__init__(config, n_classes)
        image = find_kind(config.encoder).image
        self.encoder = DenseClip(image, image.grid_of(config.image_size), renormalize=config.renormalize)
        self.encoder.train_only("none")
        self.clip_name = config.encoder
        self.counts: tuple[int, ...] = (1,) * n_classes  # rows of each class
        self.register_buffer("rows", torch.zeros(n_classes, image.embedding))

    def learn(self, clip: Clip, rows: Tensor, counts: Sequence[int]) -> None:
        """Take over a CLIP's image tower and rows of text (R, D) of unit length, ``counts`` of each class."""
        self.encoder.load(clip.visual)
        self.rows, self.counts = rows, tuple(counts)

    def encode(self, image: Tensor) -> Features:
        """Return the embedding of every patch, (N, D, h, w) of unit length."""
        features: Features = self.encoder(image)
        return features

    def decode(self, features: Features, size: tuple[int, int]) -> Tensor:
        """Return scaled cosines (N, K, H, W), for each class that of its best row."""
        best = best_of_each_class(cosines(features[-1], self.rows), self.counts)
        return SCALE * F.interpolate(best, size, mode="bilinear", align_corners=False)
