"""A step before the first: shapes without numbers, to see whether a method takes batches of a recipe's sizes."""

from contextlib import suppress

import torch
from torch import Tensor

from semibench.errors import UsageError
from semibench.methods.method import Batch, Crop, Labeled, Method, Progress, Views
from semibench.protocols.recipe import Recipe


def rehearse(method: Method, recipe: Recipe, processes: int = 1) -> None:
    """Let a method do the forward pass of a step on the meta device, which computes nothing; it stays there.

    Where layers are synchronized the pass holds the images of all processes, as if they had met: before that a layer
    normalizes alone, after it torch refuses to synchronize what has no numbers. So rehearse before.

    Whatever SemibenchError the pass raises, such as that of a network that cannot normalize one image, is raised here, and
    torch's and timm's own refusals of sizes as a UsageError. A method that reads numbers off its tensors gets no further than
    there: what it refuses later shows in its first step.
    """
    together = processes if recipe.norm == "syncbn" else 1
    batch = blank(method.views, recipe.crop, part_seeds(recipe, together), "meta")
    try:
        with suppress(RuntimeError, TypeError):  # of numbers that do not exist
            method.to("meta").train()(batch, Progress(0, 1))
    except (ValueError, AssertionError) as error:
        raise UsageError(
            f"a pass of {len(batch.labeled.image)} labelled images of {recipe.crop[0]} x {recipe.crop[1]} pixels, and of the "
            f"unlabelled ones with them, is not possible: {error}",
            "Change recipe.crop, recipe.batch or recipe.accumulation.",
        ) from error


def part_seeds(recipe: Recipe, parts: int = 1) -> tuple[Tensor, Tensor]:
    """Return seeds (N,) and (M,) for some of the parts that a batch is accumulated from: real ones, of which methods draw."""
    n, m = (size // recipe.accumulation * parts for size in (recipe.batch.labeled, recipe.batch.unlabeled))
    return torch.arange(n), torch.arange(m)


def blank(views: Views, size: tuple[int, int], seeds: tuple[Tensor, Tensor], device: str) -> Batch:
    """Return a batch as a method sees it, without numbers, of as many images (H, W) of each kind as there are seeds."""
    of_labeled, of_unlabeled = seeds

    def pixels(count: int, *channels: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.empty(count, *channels, *size, dtype=dtype, device=device)

    def crops() -> tuple[Crop, ...]:
        m = len(of_unlabeled)
        strong = tuple(pixels(m, 3) for _ in range(views.strong))
        return tuple(Crop(pixels(m, 3), strong, pixels(m, dtype=torch.bool), of_unlabeled) for _ in range(views.crops))

    n = len(of_labeled)
    labeled = Labeled(pixels(n, 3), pixels(n, dtype=torch.int64), of_labeled)
    return Batch(labeled, crops(), crops() if views.partner != "none" else ())
