"""How alike the patches of an image and the descriptions of classes are.

Shapes: N images, K classes, R rows of text embeddings, at least one a class, D numbers of an embedding, h x w patches.
"""

from contextlib import nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semibench.methods.networks._clip import DenseClip


class Guide(nn.Module):
    """A dense CLIP that knows classes by descriptions: maps images (N, 3, H, W) to likenesses (N, K, h, w) in [-1, 1]."""

    rows: Tensor
    class_of_row: Tensor

    def __init__(self, tower: DenseClip, rows: Tensor, class_of_row: Tensor) -> None:
        super().__init__()
        self.tower = tower
        self.n_classes = int(class_of_row.max()) + 1
        self.register_buffer("rows", rows)
        self.register_buffer("class_of_row", class_of_row)

    def forward(self, image: Tensor) -> Tensor:
        """Return the likeness of each patch and the row of a class that is most like it."""
        return class_maximum(cosines(self.tower(image)[-1], self.rows), self.class_of_row, self.n_classes)


def cosines(embedding: Tensor, text: Tensor) -> Tensor:
    """Return the cosine of every patch and every row, (N, R, h, w) float32, of (N, D, h, w) and (R, D).

    It is computed in single precision: what follows from it is a matter of its third digit.

    >>> cosines(torch.tensor([3.0, 4.0]).reshape(1, 2, 1, 1), torch.eye(2)).flatten()
    tensor([0.6000, 0.8000])
    """
    kind = embedding.device.type  # meta, on which costs are counted, has no other precisions to leave
    with torch.autocast(kind, enabled=False) if torch.amp.is_autocast_available(kind) else nullcontext():
        patches, rows = F.normalize(embedding.float(), dim=1), F.normalize(text.float(), dim=1)
        return torch.einsum("ndhw,kd->nkhw", patches, rows)


def class_maximum(likeness: Tensor, class_of_row: Tensor, n_classes: int) -> Tensor:
    """Return the highest likeness among the rows of each class: (N, R, h, w) -> (N, K, h, w).

    >>> class_maximum(torch.tensor([0.2, 0.9, 0.5]).reshape(1, 3, 1, 1), torch.tensor([0, 0, 1]), 2).flatten().tolist()
    [0.8999999761581421, 0.5]
    """
    index = class_of_row.reshape(1, -1, 1, 1).expand_as(likeness)
    highest = likeness.new_full((len(likeness), n_classes, *likeness.shape[-2:]), -torch.inf)
    return highest.scatter_reduce(1, index, likeness, "amax")
