"""CLIPs by name: their architecture, their image tower and what their text tower says (Radford et al. 2021)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import torch
from torch import Tensor

from semibench.errors import unknown
from semibench.hashing import derive_seed
from semibench.methods.networks._clip import Architecture, DenseClip, Grid

ClipName = Literal["ViT-B-16", "tiny"]

TINY: Final = "tiny"


class TextArchitecture(NamedTuple):
    """A text tower of CLIP."""

    width: int
    layers: int
    heads: int
    context: int  # tokens of a text
    vocabulary: int  # tokens that exist
    quick: bool  # activation: QuickGELU, as OpenAI trained, or GELU


@dataclass(frozen=True)
class Kind:
    """A CLIP by its name: what it is made of, and what its usual weights learnt from."""

    image: Architecture
    text: TextArchitecture
    trained_on: str
    archive: str | None = None  # SHA-256 of the file that its makers distribute


KINDS: Mapping[str, Kind] = {
    "ViT-B-16": Kind(
        Architecture(width=768, layers=12, heads=12, patch=16, embedding=512, grid=14),
        TextArchitecture(width=512, layers=12, heads=8, context=77, vocabulary=49408, quick=True),
        "400 million pairs of image and text from the web (OpenAI, not public)",
        "5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f",  # in the address from which OpenAI's code loads it
    ),
    TINY: Kind(
        Architecture(width=128, layers=4, heads=4, patch=8, embedding=64, grid=8),
        TextArchitecture(width=64, layers=2, heads=4, context=24, vocabulary=32, quick=False),
        "captions of the drawn pictures of shapes' subset 'external'",
    ),
}


@dataclass(frozen=True)
class Clip:
    """A CLIP as methods use it."""

    architecture: Architecture
    visual: Mapping[str, Tensor]  # the image tower in the names of ``DenseClip``, positions at ``architecture.grid``
    encode_text: Callable[[Sequence[str]], Tensor]  # n texts -> (n, D) float32, not of unit length

    def tower(
        self, grid: Grid, levels: tuple[int, ...] = (), *, renormalize: bool = False, checkpointing: bool = False
    ) -> DenseClip:
        """Return the image tower with these weights; see ``DenseClip``."""
        tower = DenseClip(self.architecture, grid, levels, renormalize=renormalize, checkpointing=checkpointing)
        tower.load(self.visual)
        return tower


def find_kind(name: str) -> Kind:
    """Return the CLIP called ``name``; raise UsageError when there is none."""
    if name not in KINDS:
        raise unknown("CLIP", name, KINDS, "Name one of them.")
    return KINDS[name]


def stand_in(name: str) -> Clip:
    """Return an untrained CLIP of the architecture called ``name``, always the same: for checks, and to be overwritten."""
    architecture = find_kind(name).image
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        tower = DenseClip(architecture, (architecture.grid, architecture.grid))

    def encode_text(texts: Sequence[str]) -> Tensor:
        generators = [torch.Generator().manual_seed(derive_seed("text", text)) for text in texts]
        return torch.stack([torch.randn(architecture.embedding, generator=generator) for generator in generators])

    return Clip(architecture, {name: tensor.detach() for name, tensor in tower.state_dict().items()}, encode_text)
