"""A protocol: data set + partition + evaluation rules + seeds + a controlled recipe."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import PositiveInt, model_validator

from semibench import plugins
from semibench.errors import DataError, unknown
from semibench.hashing import digest_ids, digest_json
from semibench.protocols import lists, names
from semibench.protocols.datasets.base import Dataset
from semibench.protocols.partition import LabeledList, Subset, UnlabeledList, hashed, numbered, shuffle_seed, shuffled
from semibench.protocols.recipe import Options, Recipe
from semibench.records import Record

_NEXT_STEP = "Run 'semibench list protocols'."
Size = tuple[PositiveInt, PositiveInt]  # (H, W) pixels


class EvaluationRule(Record):
    """How a predictor is scored: part of a protocol, since each of these choices moves the number."""

    mode: Literal["whole", "sliding"]
    window: Size | None = None  # sliding only
    stride: Size | None = None  # sliding only
    border: Literal["shift", "cut"] = "shift"  # last windows moved inside the image, or cut off at its edge
    average: Literal["probabilities", "logits"] = "probabilities"  # what overlapping windows are summed in
    short_side: PositiveInt | None = None  # pixels to which images are resized first, the other side in proportion
    multiple_of: PositiveInt | None = None  # sides are resized to the nearest multiple first
    classes: Literal["present", "all"] = "present"  # in the mean: those in truth or predictions, or all with absent ones as 0
    checkpoint: Literal["last", "best"] = "last"  # which one ranks
    every: PositiveInt | None = None  # steps between evaluations, among which `best` is chosen; None = a tenth of the run
    select_on: str  # subset on which `best` is chosen
    report_on: str  # subset of the reported number

    @model_validator(mode="after")
    def _has_windows_when_sliding(self) -> "EvaluationRule":
        given = self.window is not None, self.stride is not None
        if self.mode == "sliding" and not all(given):
            raise ValueError("mode = 'sliding' needs window and stride")
        if self.mode == "whole" and any(given):
            raise ValueError("mode = 'whole' has neither window nor stride; set both to none")
        if self.window and self.stride and any(step > side for step, side in zip(self.stride, self.window, strict=True)):
            raise ValueError("stride is larger than window, so pixels would be left out")
        return self

    def digest(self) -> str:
        """Return what results must share to stand in one table; how often was evaluated decides only about `best`."""
        return digest_json(self.model_dump(mode="json", exclude={"every"} if self.checkpoint == "last" else None))


class NamedRule(EvaluationRule):
    """An evaluation rule of the catalogue, with where it comes from."""

    source: str


class Split(NamedTuple):
    """Ids of labelled and unlabelled training images: disjoint, and together the pool, unless a published list is not so."""

    labeled: Sequence[str]
    unlabeled: Sequence[str]


class Protocol(Record):
    """A benchmark definition, complete in itself."""

    name: str
    version: PositiveInt
    dataset: str
    title: str  # of the data set
    source: str  # where the lists and the evaluation rule come from
    about: str
    labeled: PositiveInt | Literal["all"]
    family: str
    canonical: bool = False  # what the bare name of the count means
    aliases: tuple[str, ...] = ()  # what papers call it, without the data set
    used_by: tuple[str, ...] = ()  # papers
    defects: tuple[str, ...] = ()  # known ones, of its lists
    subsets: dict[str, Subset]
    pool: str = "train"  # subset that labelled and unlabelled images come from
    fine: str | None = None  # subset with better masks than the rest of the pool
    list: LabeledList | None = None  # None: all, or computed from the family's name
    unlabeled: UnlabeledList | None = None  # None: the pool without the labelled images
    rules: dict[str, NamedRule]
    evaluation: str  # the rule that is meant where none is named
    seeds: tuple[int, ...]
    network: Options
    recipe: Recipe

    def rule(self, name: str | None = None) -> EvaluationRule:
        """Return an evaluation rule by name, the protocol's own without one; raise UsageError naming those that exist."""
        name = name or self.evaluation
        if name not in self.rules:
            raise unknown("evaluation rule", name, self.rules, f"{self.dataset} has {', '.join(sorted(self.rules))}.")
        return EvaluationRule.model_validate(self.rules[name].model_dump(exclude={"source"}))

    @property
    def sizes(self) -> tuple[int, int]:
        """How many labelled and how many unlabelled images it has, which is known without any list."""
        pool = self.subsets[self.pool].count
        labeled = pool if self.labeled == "all" else self.labeled
        return labeled, self.unlabeled.count if self.unlabeled else pool - labeled

    def split(self, dataset: Dataset, *, partial: bool = False) -> Split:
        """Return the lists of this protocol, checked against their digests; ``partial`` keeps what is on disk of them.

        Raises DataError when a list on disk is another one than the protocol's, or a published list is not at hand.
        """
        pool = self.evaluated(dataset, self.pool, partial=partial)
        split = self.divide(pool, self._find, partial=partial)
        if self.unlabeled is None:
            return split
        others = pool if self.unlabeled.pool is None else dataset.ids(self.unlabeled.pool)
        return Split(split.labeled, self._present(split.unlabeled, others, "unlabelled", partial))

    def divide(self, pool: Sequence[str], find: Callable[[str], Sequence[str]], *, partial: bool = False) -> Split:
        """Return labelled and unlabelled ids, sorted; ``find`` returns the ids of the list with a digest."""
        labeled = self._present(self._labeled(pool, find), pool, "labelled", partial)
        own = self.unlabeled
        unlabeled = find(own.sha256) if own else set(pool).difference(labeled)
        return Split(labeled, tuple(sorted(unlabeled)))

    def computed(self) -> tuple[str, ...] | None:
        """Return the labelled ids where a rule gives them without any file, None where they are a published list."""
        pool, seed = self.subsets[self.pool], shuffle_seed(self.list.source) if self.list else None
        everything = numbered(pool.source, pool.count)
        if self.labeled == "all" or seed is None or everything is None:
            return None
        return shuffled(everything, self.labeled, seed)

    def evaluated(self, dataset: Dataset, subset: str, *, partial: bool = False) -> tuple[str, ...]:
        """Return the ids of a subset, checked against their digest unless ``partial``.

        Raises UsageError when the protocol has no such subset, DataError when the list on disk is another one.
        """
        if subset not in self.subsets:
            raise unknown("subset", subset, self.subsets, f"{self.name} has {', '.join(sorted(self.subsets))}.")
        ids = tuple(dataset.ids(subset))
        expected = self.subsets[subset]
        found = digest_ids(ids)
        if found != expected.sha256 and not partial:
            raise DataError(
                f"the list '{subset}' of {self.dataset} has {len(ids)} ids with the digest {found[:12]}, "
                f"protocol {self.name} means {expected.count} with {expected.sha256[:12]}{_missing(expected, ids)}",
                "Use the official list; give --partial to try things on a part of the data set.",
            )
        return ids

    def digest(self, dataset: Dataset, *, partial: bool = False) -> str:
        """Return what results must share to stand in one table: version, lists, class table, metric convention."""
        rule = self.rule()
        scored = {
            key: digest_ids(self.evaluated(dataset, subset, partial=partial))
            for key, subset in (("select", rule.select_on), ("report", rule.report_on))
        }
        return self._digest(dataset, self.split(dataset, partial=partial), scored)

    def official_digest(self, split: Split) -> str:
        """Return the digest from its lists alone, without the data set: that of every complete and official copy."""
        rule = self.rule()
        scored = {"select": self.subsets[rule.select_on].sha256, "report": self.subsets[rule.report_on].sha256}
        return self._digest(self.dataset_class(), split, scored)

    def dataset_class(self) -> type[Dataset]:
        """Return the data set's class, found by its name."""
        return plugins.find_class(plugins.DATASET, self.dataset, Dataset)

    def open(self, root: Path | None) -> Dataset:
        """Return the data set below ``root``; raise DataError when it is not there."""
        return self.dataset_class()(root)

    def _digest(self, dataset: Dataset | type[Dataset], split: Split, scored: dict[str, str]) -> str:
        return digest_json(
            {
                "version": self.version,
                "labeled": digest_ids(split.labeled),
                "unlabeled": digest_ids(split.unlabeled),
                **scored,
                "classes": dataset.class_names,
                "ignore_index": dataset.ignore_index,
                "mean": self.rule().classes,
            }
        )

    def _labeled(self, pool: Sequence[str], find: Callable[[str], Sequence[str]]) -> Sequence[str]:
        if self.labeled == "all":
            return pool
        if (seed := names.hash_seed(self.family)) is not None:
            return hashed(pool, self.labeled, seed)
        if self.list is None:
            raise DataError(f"protocol '{self.name}' has no list for the family '{self.family}'", _NEXT_STEP)
        return self.computed() or find(self.list.sha256)

    def _present(self, ids: Sequence[str], pool: Sequence[str], kind: str, partial: bool) -> tuple[str, ...]:
        """Return the ids, sorted, after checking that the pool has them; with ``partial`` those that it has."""
        if not partial:
            lists.check(ids, f"the {kind} list of {self.name}", pool)
        present = tuple(sorted(set(ids).intersection(pool)))
        if not present and ids:
            raise DataError(
                f"none of the {len(ids)} {kind} images of {self.name} is on disk",
                f"Use {self.dataset}-<n>@hash0, or more data.",
            )
        return present

    def _find(self, sha256: str) -> Sequence[str]:
        ids = lists.kept(sha256)
        if ids is None:
            raise DataError(
                f"the list of protocol {self.name} is not at hand (digest {sha256[:12]})",
                f"Run 'semibench protocol fetch {self.name}', or 'semibench protocol import' with a copy of it.",
            )
        return ids


def _missing(subset: Subset, ids: Sequence[str]) -> str:
    """Say which ids are missing on disk, where the official list is at hand to know."""
    official = lists.kept(subset.sha256) or numbered(subset.source, subset.count) or ()
    missing = sorted(set(official).difference(ids))
    return f"; {len(missing)} are missing on disk, such as '{missing[0]}'" if missing else ""


def load(name: str) -> Protocol:
    """Return the protocol called ``name``.

    Raises UsageError with the nearest names, or with those that an ambiguous one may mean.
    """
    entry = names.resolve(name)
    document: dict[str, Any] = {key: value for key, value in entry.document.items() if key not in ("protocols", "archives")}
    return Protocol.parse({**document, **entry.table, "name": entry.name}, f"the catalogue entry '{entry.name}'")
