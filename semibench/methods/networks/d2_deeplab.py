"""DeepLabV3+ as Detectron2's projects/DeepLab builds it: its own modules under the contract of a network.

Read: projects/DeepLab at 02b5c4e. Defaults are those of deeplab_v3_plus_R_103_os16_mg124_poly_90k_bs16.yaml, but for the
image-level branch, whose window a project fixes to its crop and ours takes as large as the map: images of other sizes than a
multiple of the window are refused there. Logits are resized to the size of the image; there by 4, then cut, which is the same
for sides that 4 divides.

Detectron2's files of weights are pickles; ``--weights`` takes a state dict of tensors, such as that of a backbone loaded there.
"""

from typing import Any, Literal

import torch.nn.functional as F
from pydantic import PositiveInt
from torch import Tensor

from semibench.methods.networks import _detectron2
from semibench.methods.networks.base import Features, Network
from semibench.records import Record

_INSTEAD = "set network.name to deeplabv3plus"
_SIZES = {  # depth, channels of the stem, of the first stage within its blocks and after them
    "resnet50s": (50, 128, 64, 256),
    "resnet101s": (101, 128, 64, 256),
    "resnet152s": (152, 128, 64, 256),
    "tiny": (50, 8, 4, 16),
}


class D2DeepLab(Network):
    """Backbone and semantic head of Detectron2."""

    family = "Detectron2"

    class Config(Record):
        """Source of every default: the project's configuration for Cityscapes."""

        encoder: Literal["resnet50s", "resnet101s", "resnet152s", "tiny"] = "resnet101s"  # with a stem of three convolutions
        output_stride: Literal[8, 16] = 16  # pixels of the image per pixel of the high map
        multi_grid: tuple[PositiveInt, PositiveInt, PositiveInt] = (1, 2, 4)  # factors on the rate of the last blocks
        rates: tuple[PositiveInt, PositiveInt, PositiveInt] = (6, 12, 18)  # dilation of the 3x3 branches
        channels: PositiveInt = 256  # of context and fusion
        low_channels: PositiveInt = 48  # of the low map when it is fused
        dropout: float = 0.1  # after the pyramid
        window: tuple[PositiveInt, PositiveInt] | None = None  # (H, W) pixels of the image-level branch; there the crop

    def __init__(self, config: Config, n_classes: int) -> None:
        super().__init__(config, n_classes)
        settings = _configuration(config, n_classes)
        modeling = _detectron2.load("detectron2.modeling", _INSTEAD)
        backbone = modeling.build_backbone(settings)
        self.encoder = backbone
        self.head = modeling.build_sem_seg_head(settings, backbone.output_shape())

    def encode(self, image: Tensor) -> Features:
        """Map images (N, 3, H, W) to a low map at stride 4 and a high map at the output stride."""
        maps = self.encoder(image)
        return maps["res2"], maps["res5"]

    def decode(self, features: Features, size: tuple[int, int]) -> Tensor:
        """Map (low, high) to logits."""
        low, high = features
        logits: Tensor = self.head.layers({"res2": low, "res5": high})
        return F.interpolate(logits.float(), size, mode="bilinear", align_corners=False)


def _configuration(config: D2DeepLab.Config, n_classes: int) -> Any:
    """Return Detectron2's configuration node with what the project's file sets of the model."""
    settings = _detectron2.load("detectron2.config", _INSTEAD).get_cfg()
    _detectron2.load("detectron2.projects.deeplab", _INSTEAD).add_deeplab_config(settings)
    depth, stem, width, first = _SIZES[config.encoder]
    is_fine = config.output_stride == 8
    resnets = {
        "DEPTH": depth,
        "NORM": "BN",  # recipe.norm synchronizes it
        "OUT_FEATURES": ["res2", "res5"],
        "STEM_TYPE": "deeplab",
        "STEM_OUT_CHANNELS": stem,
        "WIDTH_PER_GROUP": width,
        "RES2_OUT_CHANNELS": first,
        "STRIDE_IN_1X1": False,
        "RES4_DILATION": 2 if is_fine else 1,
        "RES5_DILATION": 4 if is_fine else 2,
        "RES5_MULTI_GRID": list(config.multi_grid),
    }
    head = {
        "NAME": "DeepLabV3PlusHead",
        "NORM": "BN",
        "NUM_CLASSES": n_classes,
        "IN_FEATURES": ["res2", "res5"],
        "PROJECT_FEATURES": ["res2"],
        "PROJECT_CHANNELS": [config.low_channels],
        "CONVS_DIM": config.channels,
        "ASPP_CHANNELS": config.channels,
        "ASPP_DILATIONS": list(config.rates),
        "ASPP_DROPOUT": config.dropout,
        "COMMON_STRIDE": 4,
    }
    settings.MODEL.BACKBONE.NAME = "build_resnet_deeplab_backbone"
    settings.MODEL.BACKBONE.FREEZE_AT = 0
    settings.MODEL.RESNETS.update(resnets)
    settings.MODEL.SEM_SEG_HEAD.update(head)
    settings.INPUT.CROP.ENABLED = config.window is not None
    settings.INPUT.CROP.TYPE = "absolute"
    settings.INPUT.CROP.SIZE = list(config.window or (0, 0))
    return settings
