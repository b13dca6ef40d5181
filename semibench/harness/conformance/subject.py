"""A method under test: tiny instances of it, and batches of noise as it wants to see them."""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from semibench import plugins
from semibench.methods.method import Batch, Crop, Labeled, Method, Progress, Task, Views
from semibench.methods.networks._norm import set_norm
from semibench.methods.networks.base import Network
from semibench.methods.networks.deeplabv3plus import DeepLabV3Plus

CLASSES = ("background", "ring", "cross", "bar")
HALFWAY = Progress(5, 10)
SIZE = (48, 64)  # (H, W), not square: swapped axes show
VOID = 254  # not the usual 255: a number that a method has by heart shows


@dataclass(frozen=True)
class Subject:
    """A method by its name and its class."""

    name: str
    method_class: type[Method]

    @classmethod
    def find(cls, name: str) -> "Subject":
        """Return the method called ``name``; raise UsageError when there is none."""
        return cls(name, plugins.find_class(plugins.METHOD, name, Method))

    def build(self, seed: int = 0, norm: Literal["bn", "frozen"] = "bn") -> Method:
        """Return a tiny instance in training mode, whose initial values follow from ``seed``."""
        torch.manual_seed(seed)

        def build_network(**options: Any) -> Network:
            return set_norm(_build_network(**options), norm)

        return self.method_class.example(Task("tiny", CLASSES, VOID, SIZE, build_network)).train()


def draw(views: Views, n: int = 2, m: int = 3, seed: int = 0) -> Batch:
    """Return ``n`` labelled and ``m`` unlabelled images of noise, part of them void or padding."""
    generator = torch.Generator().manual_seed(seed)

    def images(count: int) -> Tensor:
        return torch.randn(count, 3, *SIZE, generator=generator)

    def crops(first_seed: int) -> tuple[Crop, ...]:
        valid = torch.ones(m, *SIZE, dtype=torch.bool)
        valid[0, :, SIZE[1] // 2 :] = False
        seeds = first_seed + 100 * seed + torch.arange(m)
        strong = tuple(images(m) for _ in range(views.strong))
        return tuple(Crop(images(m), strong, valid, seeds + 10 * number) for number in range(views.crops))

    mask = torch.randint(0, len(CLASSES), (n, *SIZE), generator=generator)
    mask[:, :8] = VOID
    partner = crops(10_000) if views.partner != "none" else ()
    return Batch(Labeled(images(n), mask, 100 * seed + torch.arange(n)), crops(0), partner)


def masked(batch: Batch, label: int) -> Batch:
    """Return the batch with every labelled pixel of one class, or void."""
    return batch._replace(labeled=batch.labeled._replace(mask=torch.full_like(batch.labeled.mask, label)))


def padded(batch: Batch) -> Batch:
    """Return the batch with nothing but padding on its unlabelled images."""

    def blank(crops: tuple[Crop, ...]) -> tuple[Crop, ...]:
        return tuple(crop._replace(valid=torch.zeros_like(crop.valid)) for crop in crops)

    return batch._replace(unlabeled=blank(batch.unlabeled), partner=blank(batch.partner))


def _build_network(**options: Any) -> Network:
    values = {"encoder": "tiny", "output_stride": 8, "rates": (1,), "channels": 8, "low_channels": 4} | options
    return DeepLabV3Plus(DeepLabV3Plus.Config.model_validate(values), len(CLASSES))
