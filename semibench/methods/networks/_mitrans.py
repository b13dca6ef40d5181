"""MITrans, the module by which GuidedMix-Net passes information between the images of a mixture."""

import torch
from torch import Tensor, nn


class NonLocal(nn.Module):
    """Adds to each pixel what resembles it anywhere in the map: embedded Gaussian, half of the channels, first the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Conv2d(channels, channels // 2, 1) for _ in range(3))
        self.output = nn.Conv2d(channels // 2, channels, 1)
        for parameter in self.output.parameters():
            nn.init.zeros_(parameter)

    def forward(self, maps: Tensor) -> Tensor:
        """Map (N, C, h, w) to the same shape."""
        gathered = self.attend(maps) @ self.value(maps).flatten(2).transpose(1, 2)
        added: Tensor = maps + self.output(gathered.transpose(1, 2).unflatten(2, maps.shape[-2:]))
        return added

    def attend(self, maps: Tensor) -> Tensor:
        """Return how much each pixel takes from each other, (N, h * w, h * w); rows sum to 1."""
        query, key = self.query(maps).flatten(2), self.key(maps).flatten(2)
        likeness: Tensor = query.transpose(1, 2) @ key / query.shape[1] ** 0.5
        return likeness.softmax(dim=2)


class MITrans(nn.Module):
    """Two 3x3 convolutions around a non-local block, concatenated with the input and merged; no normalization.

    ``width`` other than ``channels`` puts 1x1 projections around it.
    """

    def __init__(self, channels: int, width: int | None = None) -> None:
        super().__init__()
        inner = width or channels
        self.enter = nn.Identity() if inner == channels else nn.Conv2d(channels, inner, 1)
        self.before = nn.Sequential(nn.Conv2d(inner, inner, 3, padding=1), nn.ReLU())
        self.transfer = NonLocal(inner)
        self.after = nn.Sequential(nn.Conv2d(inner, inner, 3, padding=1), nn.ReLU())
        self.merge = nn.Sequential(nn.Conv2d(2 * inner, inner, 3, padding=1), nn.ReLU())
        self.leave = nn.Identity() if inner == channels else nn.Conv2d(inner, channels, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """Map (N, C, h, w) to the same shape."""
        entered = self.enter(maps)
        transferred = self.after(self.transfer(self.before(entered)))
        left: Tensor = self.leave(self.merge(torch.cat([entered, transferred], dim=1)))
        return left
