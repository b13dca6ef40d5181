"""What a recipe may ask of normalization layers: plain, synchronized between processes, or frozen."""

from typing import Literal

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from semibench.methods.networks.base import Network


def set_norm(network: Network, kind: Literal["bn", "syncbn", "frozen"]) -> Network:
    """Return the network, whose batch normalization layers are now of this kind; parameters and buffers keep their names.

    ``frozen`` layers use their running statistics, also in training mode, and are not trained. That makes sense for
    loaded weights only: the frozen layers of a fresh network do nothing at all.
    """
    if kind == "syncbn":
        # timm's, because torch's own loses the activation that timm fuses into the layer, without a word.
        from timm.layers.norm_act import convert_sync_batchnorm  # seconds to import, see _encoders.py

        convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]  # it has no types
    if kind == "frozen":
        for module in network.modules():
            if isinstance(module, _BatchNorm):
                module.requires_grad_(False)
                module.register_forward_pre_hook(_evaluate)
    return network


def _evaluate(layer: nn.Module, _: object) -> None:
    """Leave training mode, into which ``network.train()`` puts every layer; called before each forward pass."""
    layer.training = False
