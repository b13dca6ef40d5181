"""Rows of text for classes: one a class, or one a concept of which the best counts.

Shapes: R rows, K classes, D channels of an embedding, h x w patches.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor

from semibench.protocols.concepts import Concepts


def embed(concepts: Concepts, encode_text: Callable[[Sequence[str]], Tensor], *, average: bool = False) -> Tensor:
    """Return rows (R, D) of unit length, one a concept; with ``average``, (K, D), one a class.

    Means, over templates and over the concepts of a class, are those of embeddings as they come from the text tower: their
    lengths count, as in SemiVL's code.
    """
    embedded = encode_text(concepts.prompts())
    rows = embedded.reshape(len(concepts.names), len(concepts.templates), -1).mean(dim=1)
    if average:
        rows = torch.stack([part.mean(dim=0) for part in torch.split(rows, list(concepts.counts))])
    return F.normalize(rows, dim=-1)


def cosines(embedding: Tensor, rows: Tensor) -> Tensor:
    """Compare embeddings (N, D, h, w) of unit length with such rows (R, D): (N, R, h, w) float32 in [-1, 1].

    It is done in single precision: what follows hangs on the third digit.
    """
    kind = embedding.device.type  # meta, on which costs are counted, has no other precision to leave
    with torch.autocast(kind, enabled=False) if torch.amp.is_autocast_available(kind) else nullcontext():
        return torch.einsum("ndhw,rd->nrhw", embedding.float(), rows.float())


def best_of_each_class(scores: Tensor, counts: Sequence[int]) -> Tensor:
    """Map scores (N, R, h, w) of concepts, ``counts`` of each class, to those of classes (N, K, h, w): the highest.

    >>> best_of_each_class(torch.tensor([[1.0, 3.0, 2.0]])[..., None, None], (2, 1)).flatten().tolist()
    [3.0, 2.0]
    """
    return torch.stack([part.amax(dim=1) for part in torch.split(scores, list(counts), dim=1)], dim=1)
