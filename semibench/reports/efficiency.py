"""Label efficiency: scores over numbers of labelled images, and the labels that a method saves against supervised training."""

from bisect import insort
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

from semibench.errors import UsageError
from semibench.hashing import digest_json
from semibench.protocols import names
from semibench.protocols.protocol import load
from semibench.reports.aggregate import Group, training_conditions

_Key = tuple[tuple[str, str, str, str], tuple[str, ...]]  # name of a curve, and the weights that its runs started from

SUPERVISED = "supervised"
Bound = Literal["exactly", "at most", "more than"]


class Point(NamedTuple):
    """A score with so many labelled images, as a fraction; the mean over seeds."""

    labels: int
    miou: float


class Equivalent(NamedTuple):
    """How many labelled images supervised training needs for a score, or the end of its curve beyond which that lies."""

    labels: float
    bound: Bound


@dataclass(frozen=True)
class Curve:
    """One configuration over several numbers of labelled images."""

    name: tuple[str, str, str, str]  # method, backbone, division, configuration
    groups: Mapping[int, Group]  # by number of labelled images, ascending

    @property
    def points(self) -> list[Point]:
        """The means over seeds, by number of labelled images."""
        return [Point(labels, group.miou.mean) for labels, group in self.groups.items()]

    @property
    def conditions(self) -> tuple[str, ...]:
        """Under which it was made; its recipe is that of the fewest labels where a protocol names one for each number."""
        return training_conditions(next(iter(self.groups.values())))


@dataclass(frozen=True)
class Family:
    """The curves over partitions of one kind, which were all scored alike."""

    dataset: str
    family: str
    curves: tuple[Curve, ...]

    @property
    def is_nested(self) -> bool:
        """Whether it is known that more labels are the same labels and others."""
        return names.hash_seed(self.family) is not None

    def supervised(self, curve: Curve) -> Curve | None:
        """Return the supervised curve made under the conditions of ``curve``; None when there is not exactly one.

        Of label maps of another program no conditions are known.
        """
        if curve.name[2] == "external":
            return None
        found = [other for other in self.curves if other.name[0] == SUPERVISED and other.conditions == curve.conditions]
        return found[0] if len(found) == 1 and found[0] is not curve else None


def equivalent_labels(supervised: Sequence[Point], miou: float) -> Equivalent:
    """Return the fewest labels with which supervised training reaches ``miou``.

    Between two points of its curve, sorted by labels, the score is taken to be linear in the logarithm of the labels.

    >>> equivalent_labels([Point(16, 0.4), Point(64, 0.6)], 0.5)
    Equivalent(labels=32.0, bound='exactly')
    """
    if miou <= supervised[0].miou:
        return Equivalent(supervised[0].labels, "exactly" if miou == supervised[0].miou else "at most")
    for low, high in pairwise(supervised):
        if low.miou < miou <= high.miou:
            share = (miou - low.miou) / (high.miou - low.miou)
            return Equivalent(low.labels * (high.labels / low.labels) ** share, "exactly")
    return Equivalent(supervised[-1].labels, "more than")


def saved(labels: int, equivalent: Equivalent) -> float:
    """Return the share of labels saved by reaching with ``labels`` what takes supervised training more; below 0 where less.

    Where supervised training needs "more than" or "at most" so many labels, this is a bound of the same kind.

    >>> saved(16, Equivalent(64.0, "exactly"))
    0.75
    """
    return 1 - labels / equivalent.labels


def families(groups: Iterable[Group]) -> list[Family]:
    """Return the families of partitions in which a configuration has scores for two or more numbers of labelled images.

    The protocol with all labels is the upper end of every family. What was scored on another number of images than its
    protocol says, and what has protocols that the catalogue does not know, is left out.
    """
    kinds: dict[tuple[str, ...], dict[_Key, list[tuple[int, Group]]]] = {}
    complete = []
    for one in groups:
        found = partition(one)
        if found is None:
            continue
        labels, family = found
        if family == "all":
            complete.append((labels, one))
        else:
            insort(kinds.setdefault((*scoring(one), family), {}).setdefault(_key(one), []), (labels, one), key=lambda at: at[0])
    for (*alike, _), named in kinds.items():
        for labels, one in complete:
            if scoring(one) == tuple(alike) and _key(one) in named:
                named[_key(one)].append((labels, one))
    every = [Family(key[0], key[-1], _curves(named)) for key, named in sorted(kinds.items())]
    return [family for family in every if family.curves]


def _curves(named: Mapping[_Key, Sequence[tuple[int, Group]]]) -> tuple[Curve, ...]:
    curves = (Curve(key[0], dict(points)) for key, points in sorted(named.items()) if len(points) == len(dict(points)))
    return tuple(curve for curve in curves if len(curve.groups) > 1)


def partition(one: Group) -> tuple[int, str] | None:
    """Return number of labels and family; None for a protocol that is unknown, or was scored on a part of its images."""
    try:
        protocol = load(one.first.protocol)
    except UsageError:
        return None
    scored = protocol.subsets.get(one.first.evaluation.report_on)
    if scored is None or scored.count != one.first.ranked.n_images:
        return None
    return protocol.sizes[0], protocol.family


def scoring(one: Group) -> tuple[str, str, str]:
    """Return what must be equal wherever scores on several protocols are compared: data set, evaluation rule, truth masks."""
    return one.first.dataset, one.first.digests.evaluation, one.first.digests.truth


def _key(one: Group) -> _Key:
    """Return what the points of a curve share; what was set by hand is no curve unless it was set alike for all of them."""
    first = one.first
    config = one.config
    if first.division == "custom":
        config = f"config {digest_json([first.config, first.network, first.recipe, first.provenance.numerics])[:12]}"
    return (first.method, first.backbone, first.division, config), one.weights
