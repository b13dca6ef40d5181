"""CLIP's image tower, used densely: an embedding of every patch instead of one of the picture (Zhou et al. 2022, MaskCLIP).

Read: SemiVL's code at 13ee65d, whose variant this is. The value path takes a block's values alone, as if its attention were
the identity: V(x) = v + MLP(LN(v)) with v = out_proj(W_v LN(x) + b_v) + x. That of the last block gives the dense embedding,
so its queries and keys are never computed. As in SemiVL and unlike in CLIP, the activation is the exact GELU and layer norms
have eps 1e-6; CLIP learnt with QuickGELU and 1e-5.

Shapes: T tokens, the class token first, then g_h x g_w patches; C channels of a token, D of an embedding.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Literal, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from semibench.methods.networks.base import Features

Grid = tuple[int, int]  # patches (down, across)
Trained = Literal["attention", "all", "none"]

EPS = 1e-6  # of every layer norm
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # mean and deviation of RGB
CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))


class Architecture(NamedTuple):
    """An image tower of CLIP, and the grid of patches of its pictures."""

    width: int  # C
    layers: int
    heads: int
    patch: int  # pixels
    embedding: int  # D
    grid: int  # patches per side of the pictures that it learnt from

    def grid_of(self, size: tuple[int, int] | None) -> Grid:
        """Return how many whole patches images of ``size`` (H, W) have; without one, those that it learnt from."""
        return (size[0] // self.patch, size[1] // self.patch) if size else (self.grid, self.grid)


class DenseClip(nn.Module):
    """Map images (N, 3, H, W) to the value paths (N, C, g_h, g_w) of the blocks ``levels``, in that order, and at last to
    the embedding (N, D, g_h, g_w) of unit length.

    Images are padded with zeros at the right and the bottom to whole patches. Position embeddings are kept at ``grid`` and
    resized to an image's own within the graph. With ``renormalize``, images come with ImageNet's statistics and are given
    CLIP's. With ``checkpointing``, activations within blocks are computed again in the backward pass instead of kept.
    """

    def __init__(
        self,
        architecture: Architecture,
        grid: Grid,
        levels: tuple[int, ...] = (),
        *,
        renormalize: bool = False,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        width = architecture.width
        self.architecture, self.grid, self.levels = architecture, grid, levels
        self.renormalize, self.checkpointing = renormalize, checkpointing
        self.patch_embed = nn.Conv2d(3, width, architecture.patch, stride=architecture.patch, bias=False)
        self.class_token = nn.Parameter(width**-0.5 * torch.randn(width))
        self.pos_embed = nn.Parameter(width**-0.5 * torch.randn(1 + grid[0] * grid[1], width))
        self.ln_pre = nn.LayerNorm(width, eps=EPS)
        self.blocks = nn.ModuleList(_Block(width, architecture.heads) for _ in range(architecture.layers))
        self.ln_post = nn.LayerNorm(width, eps=EPS)
        self.proj = nn.Conv2d(width, architecture.embedding, 1, bias=False)

    def forward(self, image: Tensor) -> Features:
        """Return the value paths of the levels, then the embedding."""
        tokens, grid = self._tokenize(image)
        last = len(self.blocks) - 1
        values: dict[int, Tensor] = {}
        for index, block in enumerate(cast("Iterable[_Block]", self.blocks)):
            if index in self.levels or index == last:
                values[index] = self._compute(block.values, tokens[:, 1:])
            if index != last:
                tokens = self._compute(block, tokens)
        embedding = self.proj(_to_map(self.ln_post(values[last]), grid))
        return *(_to_map(values[level], grid) for level in self.levels), F.normalize(embedding.float(), dim=1)

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over a CLIP's image tower, in the names of this module; its positions are resized to ``grid``."""
        side = self.architecture.grid
        positions = _resize(tensors["pos_embed"].float(), (side, side), self.grid)
        self.load_state_dict({**tensors, "pos_embed": positions})

    def train_only(self, part: Trained) -> None:
        """Choose what is trained; ``attention`` is SemiVL's spatial fine-tuning: attention and position embeddings."""
        for name, parameter in self.named_parameters():
            is_spatial = "attn" in name or "pos_embed" in name
            parameter.requires_grad_(part == "all" or (part == "attention" and is_spatial))

    def _tokenize(self, image: Tensor) -> tuple[Tensor, Grid]:
        """Return the tokens (N, T, C) of images, and their grid."""
        if self.renormalize:
            (mean, deviation), (own_mean, own_deviation) = (_statistics(of, image) for of in (IMAGENET, CLIP))
            image = (image * deviation + mean - own_mean) / own_deviation
        side = self.architecture.patch
        patches = self.patch_embed(F.pad(image, (0, -image.shape[-1] % side, 0, -image.shape[-2] % side)))
        grid = (patches.shape[-2], patches.shape[-1])
        tokens = torch.cat([self.class_token.expand(len(image), 1, -1), patches.flatten(2).mT], dim=1)
        return self.ln_pre(tokens + _resize(self.pos_embed, self.grid, grid)), grid

    def _compute(self, part: Callable[[Tensor], Tensor], tokens: Tensor) -> Tensor:
        if self.checkpointing and torch.is_grad_enabled():
            computed: Tensor = checkpoint(part, tokens, use_reentrant=False)
            return computed
        return part(tokens)


class _Block(nn.Module):
    """A pre-norm block: attention, then an MLP, each added to its input."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(width, eps=EPS)
        self.attn = _Attention(width, heads)
        self.ln_2 = nn.LayerNorm(width, eps=EPS)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the next block's tokens (N, T, C)."""
        return self._add_mlp(tokens + self.attn(self.ln_1(tokens)))

    def values(self, tokens: Tensor) -> Tensor:
        """Return the value path of tokens (N, T, C); each depends on itself alone."""
        return self._add_mlp(tokens + self.attn.values(self.ln_1(tokens)))

    def _add_mlp(self, tokens: Tensor) -> Tensor:
        mixed: Tensor = tokens + self.mlp(self.ln_2(tokens))
        return mixed


class _Attention(nn.Module):
    """Self-attention with the parameters of torch's ``MultiheadAttention``, as CLIP's files name them."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(width**-0.5 * torch.randn(3 * width, width))  # rows: queries, keys, values
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens (N, T, C) to such tokens."""
        projected = F.linear(tokens, self.in_proj_weight, self.in_proj_bias)
        is_cast = (
            torch.is_autocast_enabled("cpu") and type(projected) is Tensor
        )  # a fake one stands for a GPU's, see ``memory``
        if projected.device.type == "cpu" and is_cast:
            projected = projected.float()  # bfloat16 takes a CPU four times as long, nearly all of it backwards
        queries, keys, values = projected.reshape(*tokens.shape[:2], 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        with torch.autocast("cpu", enabled=False):
            attended = F.scaled_dot_product_attention(queries, keys, values)
        mixed: Tensor = self.out_proj(attended.transpose(1, 2).flatten(2))
        return mixed

    def values(self, tokens: Tensor) -> Tensor:
        """Return what each token would get if it attended to itself alone."""
        width = tokens.shape[-1]
        own: Tensor = self.out_proj(F.linear(tokens, self.in_proj_weight[-width:], self.in_proj_bias[-width:]))
        return own


def _to_map(tokens: Tensor, grid: Grid) -> Tensor:
    """Lay the tokens of patches (N, g_h * g_w, C) out as a map (N, C, g_h, g_w)."""
    return tokens.mT.reshape(len(tokens), -1, *grid)


def _resize(positions: Tensor, given: Grid, wanted: Grid) -> Tensor:
    """Resize position embeddings (1 + g_h * g_w, C) to another grid; the class token's stays."""
    if given == wanted:
        return positions
    maps = _to_map(positions[None, 1:], given)
    resized = F.interpolate(maps, wanted, mode="bicubic", align_corners=False)
    return torch.cat([positions[:1], resized[0].flatten(1).mT])


def _statistics(of: tuple[tuple[float, ...], tuple[float, ...]], image: Tensor) -> list[Tensor]:
    """Return mean and deviation, (3, 1, 1) each."""
    return [image.new_tensor(values)[:, None, None] for values in of]
