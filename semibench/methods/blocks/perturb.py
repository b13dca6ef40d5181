"""Perturbations of feature maps."""

from torch import Tensor

from semibench.methods.blocks.draws import uniforms


def drop_channels(features: Tensor, seeds: Tensor, rate: float, level: int = 0) -> Tensor:
    """Return feature maps (M, C, h, w) with each channel of each sample set to 0 with probability ``rate``.

    The others are divided by 1 - rate, as in dropout. Which ones is a function of the sample's seed and of ``level``, the
    number of the map among a network's features.

    >>> import torch
    >>> sorted(set(drop_channels(torch.ones(4, 64, 1, 1), torch.arange(4), 0.75).flatten().tolist()))
    [0.0, 4.0]
    """
    is_kept = uniforms(seeds, f"channels/{level}", features.shape[1]) >= rate
    return features * (is_kept.to(features.device, features.dtype) / (1 - rate)).unsqueeze(-1).unsqueeze(-1)
