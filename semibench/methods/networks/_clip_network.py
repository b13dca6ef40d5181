"""What networks on a dense CLIP have in common."""

import torch.nn.functional as F
from pydantic import PositiveInt
from torch import Tensor, nn

from semibench.methods.networks._clip import DenseClip, Trained
from semibench.methods.networks._clips import Clip, ClipName, find_kind
from semibench.methods.networks.base import Network, ParameterGroup
from semibench.records import Record


class ClipNetwork(Network):
    """A network whose encoder is a CLIP's image tower, which ``start_from`` takes over; as built it has random values."""

    family = "CLIP"
    encoder: DenseClip
    clip_name: str

    class Config(Record):
        """Source of every default, where nothing else is said: SemiVL's code, Pascal VOC."""

        encoder: ClipName = "ViT-B-16"
        image_size: tuple[PositiveInt, PositiveInt] | None = None  # (H, W) pixels of training images: positions are kept for
        # them, and logits resized to them before they are to an image's own size; None: CLIP's own, and no second resizing
        trained: Trained = "attention"  # of CLIP: attention and positions
        renormalize: bool = False  # to CLIP's statistics, which images of ImageNet's lack; done on Cityscapes alone
        checkpointing: bool = False  # of CLIP's blocks: activations are computed again in the backward pass

    def __init__(self, config: Config, n_classes: int) -> None:
        super().__init__(config, n_classes)
        self.clip_name, self.image_size = config.encoder, config.image_size
        self.conv_encoder: nn.Module | None = None  # of contours, beside CLIP

    def start_from(self, clip: Clip, text: Tensor) -> None:
        """Take over CLIP's image tower; ``text`` (K, D) is what classes are called, for decoders that listen."""
        self.encoder.load(clip.visual)

    def parameter_groups(self) -> list[ParameterGroup]:
        """Return ``encoder``, of CLIP what is trained, ``decoder`` and ``conv_encoder``.

        Those of which nothing is trained are empty: a recipe may have rules for them, whatever is left out of the network.
        """
        groups = super().parameter_groups()
        contours = [] if self.conv_encoder is None else [p for p in self.conv_encoder.parameters() if p.requires_grad]
        inside = set(map(id, contours))
        others = [ParameterGroup(name, [p for p in parameters if id(p) not in inside]) for name, parameters in groups]
        return [*others, ParameterGroup("conv_encoder", contours)]

    def _build_tower(self, config: Config, levels: tuple[int, ...]) -> DenseClip:
        kind = find_kind(config.encoder).image
        options = {"renormalize": config.renormalize, "checkpointing": config.checkpointing}
        tower = DenseClip(kind, kind.grid_of(config.image_size), levels, **options)
        tower.train_only(config.trained)
        return tower

    def _resize(self, logits: Tensor, *sizes: tuple[int, int] | None) -> Tensor:
        """Resize logits to one size after the other, in float32."""
        logits = logits.float()
        for size in sizes:
            if size is not None and logits.shape[-2:] != size:
                logits = F.interpolate(logits, size, mode="bilinear", align_corners=False)
        return logits


def after_a_third(name: str) -> int:
    """Return the number of the block, from 0, after a third of those of the CLIP called ``name``.

    >>> after_a_third("ViT-B-16")
    4
    """
    return find_kind(name).image.layers // 3
