"""A protocol: data set + partition + evaluation rule + seeds + a controlled recipe."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field, PositiveInt, model_validator

from semibench import plugins
from semibench.errors import DataError, unknown
from semibench.hashing import digest_ids, digest_json
from semibench.protocols import names
from semibench.protocols.datasets.base import Dataset
from semibench.protocols.partition import hashed
from semibench.protocols.recipe import Options, Recipe
from semibench.records import Record

Size = tuple[PositiveInt, PositiveInt]  # (H, W) pixels


class EvaluationRule(Record):
    """How a predictor is scored: part of a protocol, since each of these choices moves the number."""

    mode: Literal["whole", "sliding"]
    window: Size | None = None  # sliding only
    stride: Size | None = None  # sliding only
    border: Literal["shift", "cut"] = "shift"  # last windows moved inside the image, or cut off at its edge
    average: Literal["probabilities", "logits"] = "probabilities"  # what overlapping windows are summed in
    short_side: PositiveInt | None = None  # images with a smaller short side are enlarged to it first
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


class Subset(Record):
    """A list of ids, pinned."""

    count: PositiveInt
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]  # of the sorted ids joined by line feeds


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
    subsets: dict[str, Subset]  # `train` is the pool that labelled and unlabelled images come from
    evaluation: EvaluationRule
    seeds: tuple[int, ...]
    network: Options
    recipe: Recipe

    def split(self, dataset: Dataset) -> "Split":
        """Return the lists of this protocol, checked against their digests.

        Raises DataError when a list on disk is another one than the protocol's.
        """
        pool = self._checked(dataset, "train")
        seed = names.hash_seed(self.family)
        if self.labeled == "all":
            labeled = pool
        elif seed is not None:
            labeled = hashed(pool, self.labeled, seed)
        else:
            raise DataError(
                f"protocol '{self.name}' has no list for the family '{self.family}'", "Run 'semibench list protocols'."
            )
        return Split(labeled, tuple(sorted(set(pool) - set(labeled))))

    def evaluated(self, dataset: Dataset, subset: str) -> tuple[str, ...]:
        """Return the ids of a subset that the evaluation rule names, checked against their digest.

        Raises UsageError when the protocol has no such subset.
        """
        return self._checked(dataset, subset)

    def digest(self, dataset: Dataset) -> str:
        """Return what results must share to stand in one table: version, lists, class table, metric convention."""
        split = self.split(dataset)
        return digest_json(
            {
                "version": self.version,
                "labeled": digest_ids(split.labeled),
                "unlabeled": digest_ids(split.unlabeled),
                "select": digest_ids(self.evaluated(dataset, self.evaluation.select_on)),
                "report": digest_ids(self.evaluated(dataset, self.evaluation.report_on)),
                "classes": dataset.class_names,
                "ignore_index": dataset.ignore_index,
                "mean": self.evaluation.classes,
            }
        )

    def dataset_class(self) -> type[Dataset]:
        """Return the data set's class, found by its name."""
        return plugins.find_class(plugins.DATASET, self.dataset, Dataset)

    def open(self, root: Path | None) -> Dataset:
        """Return the data set below ``root``; raise DataError when it is not there."""
        return self.dataset_class()(root)

    def _checked(self, dataset: Dataset, subset: str) -> tuple[str, ...]:
        if subset not in self.subsets:
            raise unknown("subset", subset, self.subsets, f"{self.name} has {', '.join(sorted(self.subsets))}.")
        ids = tuple(dataset.ids(subset))
        expected = self.subsets[subset]
        found = digest_ids(ids)
        if found != expected.sha256:
            raise DataError(
                f"the list '{subset}' of {self.dataset} has {len(ids)} ids with the digest {found[:12]}, "
                f"protocol {self.name} means {expected.count} with {expected.sha256[:12]}",
                "Use the official list; a benchmark on another one needs another protocol.",
            )
        return ids


class Split(NamedTuple):
    """Ids of labelled and unlabelled training images: disjoint, together the whole pool."""

    labeled: Sequence[str]
    unlabeled: Sequence[str]


def load(name: str) -> Protocol:
    """Return the protocol called ``name``.

    Raises UsageError with the nearest names, or with the families of an ambiguous bare name.
    """
    entry = names.resolve(name)
    document: dict[str, Any] = {key: entry.document[key] for key in entry.document.keys() - {"protocols", "archives"}}
    return Protocol.parse({**document, **entry.table, "name": entry.name}, f"the catalogue entry '{entry.name}'")
