"""How a training went: means of losses, scalars and rate over equal parts of its steps, and the band of several trainings.

A band is, at each part, the smallest and the largest mean of the earlier runs, widened on both sides by half of the
largest magnitude that they had of this quantity in the parts that are compared. It holds no more than that: of one run it is
the run give or take a half, of several seeds it grows with their spread.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from semibench.records import Positive, Record

PARTS = 200  # of a training; fewer where it has fewer steps
EARLY = 0.05  # share of a training that is compared
MARGIN = 0.5  # of the largest magnitude; measured in docs/reference-bands.md

Sums = dict[str, tuple[float, int]]  # quantity -> sum over all steps so far, and over how many of them


class Trajectory(Record):
    """Means over consecutive parts of a training, each named by its last step."""

    steps: tuple[Positive, ...]
    quantities: dict[str, tuple[float | None, ...]]  # losses.<name>, scalars.<name>, learning_rate; None: not reported there


class Deviation(NamedTuple):
    """A mean that is outside of the band of earlier runs."""

    quantity: str
    step: int  # the last of the part
    value: float
    low: float
    high: float

    def __str__(self) -> str:
        band = f"{self.low:.4g} to {self.high:.4g}"
        return f"{self.quantity} is {self.value:.4g} at step {self.step}, the band of the earlier runs is {band}"


def part_ends(total: int) -> tuple[int, ...]:
    """Return the last step of each part.

    >>> part_ends(3), part_ends(1000)[:3]
    ((1, 2, 3), (5, 10, 15))
    """
    parts = min(PARTS, total)
    return tuple((part + 1) * total // parts for part in range(parts))


def early_ends(total: int) -> tuple[int, ...]:
    """Return the parts that are compared: those that end within the first twentieth of the steps, and at least one."""
    ends = part_ends(total)
    return tuple(end for end in ends if end <= EARLY * total) or ends[:1]


def means(before: Sums, after: Sums) -> dict[str, float]:
    """Return the mean of each quantity between two moments, of those that were reported in between.

    >>> means({"loss": (2.0, 2)}, {"loss": (5.0, 4)})
    {'loss': 1.5}
    """
    found = {}
    for name, (total, count) in after.items():
        former, seen = before.get(name, (0.0, 0))
        if count > seen:
            found[name] = (total - former) / (count - seen)
    return found


def build_trajectory(sums: Mapping[int, Sums], total: int) -> Trajectory | None:
    """Return the trajectory from the sums at the end of each part; None where one is missing."""
    ends = part_ends(total)
    if not ends or not sums.keys() >= set(ends):
        return None
    parts = [means(sums[start] if start else {}, sums[end]) for start, end in zip((0, *ends), ends, strict=False)]
    names = sorted(set().union(*parts))
    return Trajectory(steps=ends, quantities={name: tuple(_rounded(part.get(name)) for part in parts) for name in names})


class Bands:
    """The bands of earlier runs of one configuration, over the first parts of a training."""

    def __init__(self, references: Sequence[Trajectory]) -> None:
        self.bands: dict[tuple[str, int], tuple[float, float]] = {}
        early = early_ends(references[0].steps[-1])
        for name in sorted(set().union(*(reference.quantities for reference in references))):
            runs = [reference.quantities[name][: len(early)] for reference in references if name in reference.quantities]
            margin = MARGIN * max((abs(value) for run in runs for value in run if value is not None), default=0.0)
            for step, values in zip(early, zip(*runs, strict=True), strict=True):
                if known := [value for value in values if value is not None]:
                    self.bands[name, step] = (min(known) - margin, max(known) + margin)

    def deviations(self, step: int, found: Mapping[str, float]) -> list[Deviation]:
        """Return the means ``found`` over the part that ends with ``step`` that are outside."""
        banded = [(name, value, self.bands[name, step]) for name, value in found.items() if (name, step) in self.bands]
        return [Deviation(name, step, value, *band) for name, value, band in banded if not band[0] <= value <= band[1]]


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")
