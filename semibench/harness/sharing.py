"""How a recipe's batch is shared by processes so that its numbers stay the recipe's, and where that cannot be."""

from math import gcd, lcm

from torch.nn.modules.batchnorm import _BatchNorm

from semibench.errors import UsageError
from semibench.methods.method import Method
from semibench.protocols.recipe import Recipe


def parts(recipe: Recipe, processes: int) -> int:
    """Return into how many parts each batch is cut when each of the processes does as many of them.

    That is ``recipe.accumulation`` where the processes can share its parts, else the next multiple of it that they can. Means
    are over parts, so the first changes no number and the second is another recipe. Raises UsageError when there is no such
    number of equal parts.
    """
    wanted = lcm(recipe.accumulation, processes)
    common = gcd(recipe.batch.labeled, recipe.batch.unlabeled)
    if common % wanted:
        able = ", ".join(str(number) for number in range(1, common + 1) if common % number == 0)
        raise UsageError(
            f"{processes} processes cannot share batches of {recipe.batch.labeled} labelled and {recipe.batch.unlabeled} "
            "unlabelled images evenly",
            f"Use as many --devices as one of: {able}.",
        )
    return wanted


def statistics_over(method: Method, recipe: Recipe, processes: int) -> int:
    """Return the number of processes where it decides numbers, else 1.

    It does wherever layers normalize by statistics of the batch. Synchronized ones take theirs from the parts that all
    processes do at a time. Plain ones keep running averages, which are those of the main process's parts.
    """
    has_any = any(isinstance(module, _BatchNorm) and module.training for module in method.train().modules())
    return processes if has_any and recipe.norm != "frozen" else 1


def check_norm(recipe: Recipe, device: str, processes: int) -> None:
    """Raise UsageError when layers cannot be synchronized: torch does it on GPUs only."""
    if recipe.norm == "syncbn" and processes > 1 and device == "cpu":
        raise UsageError(
            f"recipe.norm = syncbn cannot be kept by {processes} processes without GPUs",
            "Use --devices 1, where it means plain layers, or --set recipe.norm=bn.",
        )
