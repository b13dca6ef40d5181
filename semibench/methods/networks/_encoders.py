"""Encoders by name: timm's, which start from published weights, and a tiny one for drawings.

timm is imported where one of its encoders is built: that takes seconds, which a run or a check of tiny networks need not wait.
"""

from typing import Any  # timm does not say that its encoders have a feature_info

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from semibench.errors import UsageError, unknown
from semibench.methods.networks import _tiny

TINY = "tiny"
# Name here -> name in timm and its options there. A c at the end: three 3x3 convolutions of 32, 32, 64 channels as the stem.
ALIASES: dict[str, tuple[str, dict[str, Any]]] = {
    "mobilenetv2": ("mobilenetv2_100", {}),
    "resnet18c": ("resnet18", {"stem_type": "deep", "stem_width": 32}),
}
LOW_STRIDE = 4  # pixels; the map from which a decoder takes its contours
LAST_STRIDE = 32  # pixels; of the last stage before it is dilated


def build_encoder(name: str, output_stride: int, multi_grid: tuple[int, ...] = ()) -> tuple[nn.Module, tuple[int, int]]:
    """Build an encoder and return it with the channels of its two maps.

    It maps images (N, 3, H, W) to a low map at stride 4 and a high map at ``output_stride``. A strided stage beyond that
    is dilated instead; its first block keeps the rate of the stage before, in timm as in torchvision. ``multi_grid`` gives
    the last residual blocks rates of their own, as factors on the rate of the last stage. Parameters of ResNets have the
    names of timm and torchvision. Nothing is downloaded.

    Raises UsageError when there is no such encoder or it cannot have that stride or those rates.
    """
    if name == TINY:
        encoder, channels = _build_tiny(output_stride)
    else:
        import timm

        known = [TINY, *ALIASES, *timm.list_models()]
        if name not in known:
            raise unknown("encoder", name, known, "Set network.encoder to one of timm's models or to 'tiny'.")
        encoder, channels = _build_timm(name, output_stride)
    _dilate(encoder, name, [LAST_STRIDE // output_stride * factor for factor in multi_grid])
    return encoder, channels


def build_contour_encoder(name: str) -> tuple[nn.Module, int]:
    """Build what of one of timm's encoders comes before its map at stride 4, and return it with the channels of that map.

    It maps images (N, 3, H, W) to a list of that map alone. Raises UsageError when there is no such encoder.
    """
    import timm

    if name not in timm.list_models():
        raise unknown("encoder", name, timm.list_models(), "Set network.conv_encoder to one of timm's models.")
    encoder = _create(name, LAST_STRIDE, is_low_only=True)
    _reset_norms(encoder)
    (channels,) = encoder.feature_info.channels()
    return encoder, channels


def _build_tiny(output_stride: int) -> tuple[nn.Module, tuple[int, int]]:
    if output_stride != _tiny.STRIDE:
        raise UsageError(
            f"encoder 'tiny' has no output stride {output_stride}", f"Set network.output_stride to {_tiny.STRIDE}."
        )
    return _tiny.TinyEncoder(), _tiny.TinyEncoder.channels


def _build_timm(name: str, output_stride: int) -> tuple[nn.Module, tuple[int, int]]:
    encoder = _create(name, output_stride)
    _reset_norms(encoder)
    low, high = encoder.feature_info.channels()
    return encoder, (low, high)


def _reset_norms(encoder: nn.Module) -> None:
    for module in encoder.modules():
        if isinstance(module, _BatchNorm):  # timm's ResNets start the last one of each block at 0, the reference at 1
            module.reset_parameters()


def _create(name: str, output_stride: int, *, is_low_only: bool = False) -> Any:
    import timm

    timm_name, options = ALIASES.get(name, (name, {}))
    try:
        with torch.device("meta"):  # costs no memory and no random numbers
            probe: Any = timm.create_model(timm_name, features_only=True, **options)
        strides = probe.feature_info.reduction()
        low = len(strides) - 1 - strides[::-1].index(LOW_STRIDE)
        levels = (low,) if is_low_only else (low, len(strides) - 1)
        return timm.create_model(timm_name, features_only=True, output_stride=output_stride, out_indices=levels, **options)
    except (TypeError, ValueError, AssertionError, RuntimeError, NotImplementedError) as error:  # timm has no error of its own
        raise UsageError(
            f"encoder '{name}' cannot give maps at strides {LOW_STRIDE} and {output_stride}",
            "Choose another network.output_stride, or a convolutional encoder such as resnet50s.",
        ) from error


def _dilate(encoder: nn.Module, name: str, rates: list[int]) -> None:
    """Give the 3x3 convolutions of the last residual blocks these rates, one a block; a strided one keeps its rate."""
    if not rates:
        return
    stages = [stage for layer, stage in encoder.named_children() if layer.startswith("layer")]  # ResNets
    stages += list(getattr(encoder, "blocks", ()))  # MobileNets
    blocks = [block for stage in stages for block in stage.children()]
    if len(blocks) < len(rates):
        raise UsageError(
            f"encoder '{name}' has no {len(rates)} residual blocks to dilate", "Set network.multi_grid to [] or take a ResNet."
        )
    for block, rate in zip(blocks[-len(rates) :], rates, strict=True):
        for layer in block.modules():
            if isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3) and layer.stride == (1, 1):
                layer.dilation = layer.padding = (rate, rate)
