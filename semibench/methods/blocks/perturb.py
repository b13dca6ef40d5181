"""Perturbations of feature maps.

Shapes: N labelled images, M unlabelled images, K classes.
"""

import torch
from torch import Tensor

from semibench.methods.blocks.draws import uniforms
from semibench.methods.networks.base import Network


def drop_channels(features: Tensor, seeds: Tensor, rate: float, level: int = 0) -> Tensor:
    """Return feature maps (M, C, h, w) with each channel of each sample set to 0 with probability ``rate``.

    The others are divided by 1 - rate, as in dropout. Which ones is a function of the sample's seed and of ``level``, the
    number of the map among a network's features.

    >>> sorted(set(drop_channels(torch.ones(4, 64, 1, 1), torch.arange(4), 0.75).flatten().tolist()))
    [0.0, 4.0]
    """
    is_kept = uniforms(seeds, f"channels/{level}", features.shape[1]) >= rate
    return features * (is_kept.to(features.device, features.dtype) / (1 - rate)).unsqueeze(-1).unsqueeze(-1)


def predict_perturbed(
    network: Network, labeled: Tensor, weak: Tensor, seeds: Tensor, rate: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the logits of labelled images, of weak views, and of weak views after channels of every feature were dropped.

    ``labeled`` (N, 3, H, W), ``weak`` (M, 3, H, W) with their ``seeds`` (M,); logits (N, K, H, W) and twice (M, K, H, W). All
    images pass the encoder together, and then the decoder.
    """
    features = network.encode(torch.cat([labeled, weak]))
    dropped = [drop_channels(maps[len(labeled) :], seeds, rate, level) for level, maps in enumerate(features)]
    joint = tuple(torch.cat(pair) for pair in zip(features, dropped, strict=True))
    logits = network.decode(joint, (weak.shape[-2], weak.shape[-1]))
    logits_x, logits_w, logits_fp = torch.split(logits, [len(labeled), len(weak), len(weak)])
    return logits_x, logits_w, logits_fp
