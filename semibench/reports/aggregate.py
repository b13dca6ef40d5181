"""Results -> groups: the runs that differ in nothing but their seed."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from statistics import fmean, stdev
from typing import Any, NamedTuple  # JSON values have no narrower type

import numpy as np
from numpy.typing import NDArray

from semibench.errors import NotConformantError
from semibench.hashing import digest_json
from semibench.records import flatten
from semibench.reports.result import Provenance, Result

UNKNOWN = "unknown"  # backbone of label maps whose scorer named none
_LOADED = 1.5  # seeds that are further apart had unlike shares of their machine
AGREEMENT = f"no seeds disagree by more than a factor of {_LOADED}, as on a loaded machine"
DISPUTED = (
    f"disagree by more than a factor of {_LOADED}, as on a loaded machine, though they are of one network, measured alike"
)
_MAX_LABEL = 60  # characters
_MAX_NAMES = 3

_DIGESTS: Mapping[str, Callable[[Result], str]] = {
    "protocol (lists, class table, metric convention)": lambda result: result.digest,
    "evaluation rule": lambda result: result.digests.evaluation,
    "truth masks": lambda result: result.digests.truth,
}


class Spread(NamedTuple):
    """Mean and sample standard deviation (n - 1); None for a single value."""

    mean: float
    std: float | None


@dataclass(frozen=True)
class Group:
    """Runs of one protocol, method and configuration, one for each seed, sorted by seed: a row of a table."""

    results: tuple[Result, ...]
    config: str = ""  # what tells the group from others with the same label
    is_disputed: bool = False  # a row with a network of the same size, measured alike, says that it is faster or slower

    @property
    def first(self) -> Result:
        """The run of the lowest seed, for what seeds do not change."""
        return self.results[0]

    @property
    def label(self) -> tuple[str, str, str, str]:
        """Protocol, method, backbone, division: what a table shows of a configuration."""
        first = self.first
        return first.protocol, first.method, first.backbone, first.division

    @cached_property
    def identity(self) -> str:
        """Digest of what decides its numbers, apart from the label and the seeds; unlike ``config``, of no other group."""
        return digest_json(_identity(self.first))

    @property
    def weights(self) -> tuple[str, ...]:
        """Digests of the weight files that it started from, sorted."""
        return tuple(sorted(weights.sha256 for weights in self.first.weights))

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds, ascending."""
        return tuple(result.seed for result in self.results)

    @cached_property
    def miou(self) -> Spread:
        """Over seeds, in [0, 1], of the checkpoint that ranks."""
        return spread([result.miou for result in self.results])

    @property
    def devices(self) -> tuple[str, ...]:
        """On which the runs were made, sorted; none where that was not seen."""
        return tuple(sorted({result.provenance.device for result in self.results if result.kind == "run"}))

    @property
    def images_per_second(self) -> float | None:
        """Mean over seeds; None when it was not measured for all of them alike, or they or other rows disagree."""
        return None if self.is_disputed else self.measured_speed

    @property
    def measured_speed(self) -> float | None:
        """Images per second, whatever other rows say."""
        timed = [(result.cost.latency, result.provenance) for result in self.results if result.cost]
        measured = [(latency, by) for latency, by in timed if latency is not None]
        alike = {(cost.batch, cost.size, *conditions(by)) for cost, by in measured}
        if len(measured) < len(self.results) or len(alike) > 1:
            return None
        speeds = [cost.images_per_second for cost, _ in measured]
        return fmean(speeds) if agree(speeds) else None


def conditions(provenance: Provenance) -> tuple[str, str, int, int, bool]:
    """Return what must be equal wherever costs are averaged or compared."""
    return provenance.device, provenance.machine, provenance.threads, provenance.processes, provenance.compiled


def training_conditions(one: Group) -> tuple[str, ...]:
    """Return what must be equal wherever scores are compared: backbone, division, weights, recipes that were set by hand."""
    first = one.first
    recipe = first.digests.recipe if first.division == "custom" else ""
    return first.backbone, first.division, recipe, *one.weights


def agree(speeds: Sequence[float]) -> bool:
    """Return whether repeated measurements of a speed lie near enough to each other for a mean of them to say something."""
    return not speeds or max(speeds) <= _LOADED * min(speeds)


def spread(values: Sequence[float]) -> Spread:
    """Return mean and sample standard deviation of at least one value.

    >>> spread([0.5, 0.75])
    Spread(mean=0.625, std=0.1767766952966369)
    """
    return Spread(fmean(values), stdev(values) if len(values) > 1 else None)


def group(results: Iterable[Result]) -> list[Group]:
    """Return the groups, sorted by label; their order and content do not depend on the order of ``results``.

    Raises NotConformantError when results of one protocol were not measured alike, a group has a seed twice, or the same
    label maps of another program under two seeds.
    """
    ordered = sorted(results, key=lambda result: (result.protocol, result.method, result.seed, result.run_id))
    _refuse_mixed(ordered)
    buckets: dict[tuple[str, ...], list[Result]] = {}
    for result in ordered:
        one = Group((result,))
        buckets.setdefault((*one.label, one.identity), []).append(result)
    groups = [Group(tuple(bucket)) for _, bucket in sorted(buckets.items())]
    for one in groups:
        _refuse_repeated_seeds(one)
        _refuse_repeated_labels(one)
    return _disputed(_told_apart(groups))


def scores_by_seed(groups: Sequence[Group]) -> NDArray[np.float64]:
    """Return the mIoU in [0, 1] of each group and seed, (groups, seeds), nan where a group lacks a seed of another."""
    places = {seed: place for place, seed in enumerate(sorted({seed for one in groups for seed in one.seeds}))}
    scores = np.full((len(groups), len(places)), np.nan)
    for row, one in zip(scores, groups, strict=True):
        row[[places[seed] for seed in one.seeds]] = [result.miou for result in one.results]
    return scores


def names(groups: Sequence[Group]) -> list[str]:
    """Return for each group its method, and in brackets the rest of its label where several share the method."""
    methods = Counter(one.first.method for one in groups)
    return [
        one.first.method if methods[one.first.method] == 1 else f"{one.first.method} ({', '.join(_rest(one))})"
        for one in groups
    ]


def _rest(one: Group) -> list[str]:
    return [part for part in (one.first.backbone, one.first.division, one.config) if part]


def _identity(result: Result) -> dict[str, Any]:
    """Return what decides the numbers, apart from protocol and seed; keys as ``--set`` takes them."""
    return {
        "method": result.config,
        "network": result.network,
        "recipe": result.recipe,
        "evaluation": result.evaluation.model_dump(mode="json"),
        "weights": [weights.sha256[:12] for weights in result.weights],
        "numerics": result.provenance.numerics,
        **({"processes": result.statistics_over} if result.statistics_over > 1 else {}),
        "teachers": {by.role: f"{by.method} {by.backbone} {by.configuration[:7]}" for by in result.teachers},
    }


def _told_apart(groups: Sequence[Group]) -> list[Group]:
    labels: dict[tuple[str, ...], list[Group]] = {}
    for one in groups:
        labels.setdefault(one.label, []).append(one)
    return [Group(one.results, config) for alike in labels.values() for one, config in zip(alike, _configs(alike), strict=True)]


def _disputed(groups: Sequence[Group]) -> list[Group]:
    """Mark the groups of one protocol and network, measured alike, whose speeds are too far apart to be its own."""
    alike: dict[tuple[object, ...], list[float]] = {}
    for one in groups:
        if one.measured_speed is not None:
            alike.setdefault(_clock(one), []).append(one.measured_speed)
    return [replace(one, is_disputed=not agree(alike.get(_clock(one), ()))) for one in groups]


def _clock(one: Group) -> tuple[object, ...]:
    cost = one.first.cost
    if cost is None or cost.latency is None:
        return ()
    return (
        one.first.protocol,
        *(cost.macs, cost.parameters, cost.latency.batch, cost.latency.size),
        *conditions(one.first.provenance),
    )


def _configs(alike: Sequence[Group]) -> list[str]:
    """Return for each group the settings in which it differs from the others, or a digest when they are too many to show."""
    identities = [_identity(one.first) for one in alike]
    flat = [{key: _shown(value) for key, value in flatten(identity)} for identity in identities]
    keys = sorted({key for settings in flat for key in settings})
    differing = [key for key in keys if len({settings.get(key) for settings in flat}) > 1]
    configs = [", ".join(f"{key}={settings.get(key, 'unset')}" for key in differing) for settings in flat]
    if all(len(config) <= _MAX_LABEL for config in configs):
        return configs
    return [f"config {digest_json(identity)[:12]}" for identity in identities]


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _refuse_mixed(results: Sequence[Result]) -> None:
    """Raise NotConformantError when ``results``, sorted by protocol, were not measured alike."""
    for protocol, alike in groupby(results, lambda result: result.protocol):
        of_protocol = list(alike)
        for what, digest_of in _DIGESTS.items():
            if len(set(map(digest_of, of_protocol))) > 1:
                names: dict[str, list[str]] = {}
                for result in of_protocol:
                    names.setdefault(digest_of(result), []).append(f"{result.method}/{result.run_id[:12]}")
                kinds = "; ".join(f"{digest[:12]} in {_enumerate(runs)}" for digest, runs in sorted(names.items()))
                raise NotConformantError(
                    f"runs of protocol '{protocol}' have different digests of the {what}: {kinds}",
                    "They measure different things and share no table. Keep each kind in a folder of its own and name one "
                    "('semibench compare FOLDER'), or choose other protocols with --protocol.",
                )


def _refuse_repeated_seeds(one: Group) -> None:
    for before, after in zip(one.results, one.results[1:], strict=False):
        if before.seed == after.seed:
            raise NotConformantError(
                f"runs {before.run_id[:12]} and {after.run_id[:12]} of {'/'.join(one.label)} have the same configuration "
                f"and seed {before.seed} under two names",
                "A mean would count the seed twice: remove one of the two folders.",
            )


def _refuse_repeated_labels(one: Group) -> None:
    """Refuse the same label maps of another program under several seeds: they would pass for repetitions of a training."""
    seen: dict[str, Result] = {}
    for result in one.results:
        first = seen.setdefault(result.digests.tensors, result)
        if result.kind == "external" and first is not result:
            raise NotConformantError(
                f"results {first.run_id[:12]} and {result.run_id[:12]} of {'/'.join(one.label)} are of the same label maps, "
                f"under the seeds {first.seed} and {result.seed}",
                "One training counts once: remove one of the two folders.",
            )


def _enumerate(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
    return ", ".join(names[:_MAX_NAMES]) + more
