"""A step before the first: shapes without numbers, to see whether a method takes batches of a recipe's sizes."""

from contextlib import suppress

import torch
from torch import Tensor

from semibench.errors import UsageError
from semibench.methods.method import Batch, Crop, Labeled, Method, Progress, Views
from semibench.protocols.recipe import Recipe


def rehearse(method: Method, recipe: Recipe) -> None:
    """Let a method do the forward pass of a step on the meta device, which computes nothing; it stays there.

    Whatever SemibenchError the pass raises, such as that of a network that cannot normalize one image, is raised here, and
    torch's and timm's own refusals of sizes as a UsageError. A method that reads numbers off its tensors gets no further than
    there: what it refuses later shows in its first step.
    """
    batch = _blank(method.views, recipe)
    try:
        with suppress(RuntimeError, TypeError):  # of numbers that do not exist
            method.to("meta").train()(batch, Progress(0, 1))
    except (ValueError, AssertionError) as error:
        raise UsageError(
            f"a pass of {len(batch.labeled.image)} labelled images of {recipe.crop[0]} x {recipe.crop[1]} pixels, and of the "
            f"unlabelled ones with them, is not possible: {error}",
            "Change recipe.crop, recipe.batch or recipe.accumulation.",
        ) from error


def _blank(views: Views, recipe: Recipe) -> Batch:
    """Return a batch of the size of one forward pass, on the meta device but for the seeds, of which methods draw."""
    n, m = (size // recipe.accumulation for size in (recipe.batch.labeled, recipe.batch.unlabeled))

    def pixels(count: int, *channels: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.empty(count, *channels, *recipe.crop, dtype=dtype, device="meta")

    crop = Crop(pixels(m, 3), (pixels(m, 3),) * views.strong, pixels(m, dtype=torch.bool), torch.arange(m))
    labeled = Labeled(pixels(n, 3), pixels(n, dtype=torch.int64), torch.arange(n))
    return Batch(labeled, (crop,) * views.crops, (crop,) * views.crops if views.partner != "none" else ())
