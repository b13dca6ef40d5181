"""SemiVL's language-guided decoder (Hoyer et al. 2023): from the likeness of patches and class names to a map of each class.

Paper: arXiv 2311.16241. Read: the official code, ``google-research/semivl`` at 13ee65d. All parts work on the map of one class
at a time, classes in the batch axis, but for semantic layers, in which the classes of a place attend to each other. Parameters
are therefore as many for any number of classes, and an order of classes means nothing.

Shapes: N images, K classes, C channels, h x w patches.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from torchvision.ops import Conv2dNormActivation

from semibench.methods.blocks.concepts import cosines
from semibench.methods.networks._pyramid import AtrousPyramid
from semibench.methods.networks.base import Features

LEVELS = 2  # skip features, one for each doubling of the map
GROUP = 16  # channels that are normalized together


class LanguageDecoder(nn.Module):
    """Spatial reasoning, semantic reasoning, upsampling: ``compare``, ``spread``, ``couple``, ``draw``.

    ``class_chunk`` is how many classes the first and the last of them take at a time; in training each chunk is computed anew
    in the backward pass, so that memory does not grow with K. The result is the same.
    """

    def __init__(
        self,
        embedding: int,
        skips: Sequence[int],
        channels: int,
        skip_channels: Sequence[int],
        rates: tuple[int, ...],
        n_layers: int,
        class_chunk: int | None = None,
    ) -> None:
        super().__init__()
        self.class_chunk = class_chunk
        self.entry = nn.Conv2d(1, channels, 7, padding=3)
        self.pyramid = AtrousPyramid(channels, channels, rates, norm_layer=group_norm)
        self.text = nn.Sequential(nn.Linear(embedding, channels), nn.ReLU())
        self.semantic = nn.ModuleList(SemanticLayer(channels) for _ in range(n_layers))
        pairs = zip(skips, skip_channels, strict=True)
        self.skips = nn.ModuleList(nn.Sequential(nn.Conv2d(own, kept, 3, padding=1), nn.ReLU()) for own, kept in pairs)
        self.doublings = nn.ModuleList(Doubling(channels >> level, kept) for level, kept in enumerate(skip_channels))
        self.exit = nn.Conv2d(channels >> LEVELS, 1, 3, padding=1)

    def forward(self, features: Features, text: Tensor) -> Tensor:
        """Map skip features, finest first, and embeddings (N, D, h, w) with class rows (K, D) to logits (N, K, 4h, 4w)."""
        *skips, embedding = features
        likeness = cosines(F.normalize(embedding.float(), dim=1), F.normalize(text, dim=1))
        maps = self._by_class(self.spread, likeness.unsqueeze(2))
        coupled = self.couple(maps, text)
        kept = [project(skip) for project, skip in zip(self.skips, reversed(skips), strict=True)]
        return self._by_class(self.draw, coupled, *kept).squeeze(2)

    def spread(self, likeness: Tensor) -> Tensor:
        """Look around in the map of each class: (N, k, 1, h, w) -> (N, k, C, h, w)."""
        entered = self.entry(likeness.flatten(0, 1))
        spread: Tensor = entered + self.pyramid(entered)
        return torch.unflatten(spread, 0, likeness.shape[:2])

    def couple(self, maps: Tensor, text: Tensor) -> Tensor:
        """Let classes see each other, place by place: (N, K, C, h, w) -> the same shape."""
        meaning = self.text(F.normalize(text, dim=1))
        for layer in self.semantic:
            maps = layer(maps, meaning)
        return maps

    def draw(self, maps: Tensor, *skips: Tensor) -> Tensor:
        """Double the map of each class twice, along the contours of skip features: -> (N, k, 1, 4h, 4w)."""
        enlarged = maps.flatten(0, 1)
        for double, skip in zip(self.doublings, skips, strict=True):
            enlarged = double(enlarged, skip)
        logits: Tensor = self.exit(enlarged)
        return torch.unflatten(logits, 0, maps.shape[:2])

    def _by_class(self, stage: Callable[..., Tensor], maps: Tensor, *shared: Tensor) -> Tensor:
        """Apply a stage to maps (N, K, ...) a chunk of classes at a time."""
        if self.class_chunk is None or maps.shape[1] <= self.class_chunk:
            return stage(maps, *shared)
        chunks = torch.split(maps, self.class_chunk, dim=1)
        parts = (checkpoint(stage, chunk, *shared, use_reentrant=False, preserve_rng_state=False) for chunk in chunks)
        return torch.cat(list(parts), dim=1)


class SemanticLayer(nn.Module):
    """A transformer block over the classes at each pooled place, each told what it is by its text; added to its input."""

    pool = 4  # patches, of a side of the places
    heads = 4

    def __init__(self, channels: int) -> None:
        super().__init__()
        width = 2 * channels
        self.attention_norm, self.norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, self.heads, batch_first=True)
        self.mixing = nn.Sequential(nn.Linear(width, 4 * channels), nn.GELU(), nn.Linear(4 * channels, width))

    def forward(self, maps: Tensor, text: Tensor) -> Tensor:
        """Map (N, K, C, h, w) and text (K, C) to the shape of the maps; rows and columns that fill no place are not read."""
        n_images, n_classes, channels, height, width = maps.shape
        pool = min(self.pool, height, width)
        places = F.avg_pool2d(maps.flatten(0, 1), pool)
        rows, columns = places.shape[-2:]
        seen = torch.unflatten(places, 0, (n_images, n_classes)).permute(0, 3, 4, 1, 2).flatten(0, 2)
        tokens = self.attend(torch.cat([seen, text.to(seen.dtype).expand(len(seen), -1, -1)], dim=2))[..., :channels]
        reasoned = tokens.reshape(n_images, rows, columns, n_classes, channels).permute(0, 3, 4, 1, 2).flatten(0, 1)
        added = F.interpolate(reasoned, (height, width), mode="bilinear", align_corners=True)
        return maps + torch.unflatten(added, 0, (n_images, n_classes))

    def attend(self, tokens: Tensor) -> Tensor:
        """Map (places, K, 2C) to the same shape."""
        normed = self.attention_norm(tokens)
        tokens = tokens + self.attention(normed, normed, normed, need_weights=False)[0]
        mixed: Tensor = tokens + self.mixing(self.norm(tokens))
        return mixed


class Doubling(nn.Module):
    """Doubles the sides of a map and halves its channels, ``skip`` of which come from a feature of the image."""

    def __init__(self, channels: int, skip: int) -> None:
        super().__init__()
        self.enlarge = nn.ConvTranspose2d(channels, channels - skip, 2, stride=2)
        half = channels // 2
        self.fuse = nn.Sequential(
            Conv2dNormActivation(channels, half, 3, norm_layer=group_norm),
            Conv2dNormActivation(half, half, 3, norm_layer=group_norm),
        )

    def forward(self, maps: Tensor, skip: Tensor) -> Tensor:
        """Map (N * k, C, h, w) with the feature of each image (N, skip, ., .) to (N * k, C / 2, 2h, 2w)."""
        enlarged = self.enlarge(maps)
        resized = F.interpolate(skip, enlarged.shape[-2:], mode="bilinear", align_corners=True).to(enlarged.dtype)
        shared = resized.repeat_interleave(len(enlarged) // len(skip), dim=0)
        shared = shared.contiguous(memory_format=memory_format(enlarged))  # a mixture would be copied several times
        fused: Tensor = self.fuse(torch.cat([enlarged, shared], dim=1))
        return fused


class _GroupNorm(nn.GroupNorm):
    """Takes thin maps channel by channel: torch's kernel for channels last is made for many, and eight times as slow there."""

    def forward(self, maps: Tensor) -> Tensor:
        """Map (N, C, h, w) to the same shape."""
        if maps.shape[1] >= GROUP:
            return super().forward(maps)
        return super().forward(maps.contiguous()).contiguous(memory_format=memory_format(maps))


def group_norm(channels: int) -> nn.GroupNorm:
    """Return a normalization over groups of 16 channels, or over all where these are fewer."""
    return _GroupNorm(max(channels // GROUP, 1), channels)


def memory_format(maps: Tensor) -> torch.memory_format:
    """Return in which order the values of maps (N, C, h, w) lie."""
    is_last = maps.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if is_last else torch.contiguous_format
