"""The contract of a method, on one page.

A method is a module that returns its losses, as in Detectron2. It therefore trains unchanged under a plain loop, under
Detectron2's ``SimpleTrainer`` and inside DistributedDataParallel. It never steps an optimizer, logs, moves devices,
evaluates, or asks which engine runs it.

Shapes: N labelled images, M unlabelled images, K classes, H x W pixels.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple, Self

from torch import Tensor, nn

from semibench.methods.networks._clips import Clip, stand_in
from semibench.methods.networks.base import Network, ParameterGroup
from semibench.protocols.recipe import Published
from semibench.records import Record


class Progress(NamedTuple):
    """Where a run stands: ``step`` of ``total``, counted from 0."""

    step: int
    total: int

    @property
    def fraction(self) -> float:
        """Share of the run that is done, in [0, 1)."""
        return self.step / self.total


class Views(NamedTuple):
    """What a method wants to see of each unlabelled image."""

    crops: int = 0  # independent geometric draws of the image
    strong: int = 0  # strongly colored views of each draw
    partner: Literal["none", "same", "other"] = "none"  # a second stream of M draws: of the same images or of others


class Labeled(NamedTuple):
    """Labelled images of one step."""

    image: Tensor  # (N, 3, H, W) float32, normalized
    mask: Tensor  # (N, H, W) int64, void and padding = ignore_index
    seeds: Tensor  # (N,) int64, one per sample: the source of whatever a method draws for it


class Crop(NamedTuple):
    """One geometric draw of each unlabelled image."""

    weak: Tensor  # (M, 3, H, W) float32, normalized
    strong: tuple[Tensor, ...]  # Views.strong of the same shape
    valid: Tensor  # (M, H, W) bool, False = padding
    seeds: Tensor  # (M,) int64


class Batch(NamedTuple):
    """All images of one step."""

    labeled: Labeled
    unlabeled: tuple[Crop, ...] = ()  # Views.crops draws
    partner: tuple[Crop, ...] = ()  # as many draws of the second stream


class StepOutput(NamedTuple):
    """What a step yields: weighted losses, whose sum is minimized, and figures that are only logged."""

    losses: Mapping[str, Tensor]
    scalars: Mapping[str, Tensor] = {}


@dataclass(frozen=True)
class Task:
    """What a method is told about the data and the networks of its run."""

    dataset: str
    class_names: tuple[str, ...]
    ignore_index: int
    crop: tuple[int, int]  # (H, W) of training images
    build_network: Callable[..., Network]  # keyword options depart from the run's network
    load_teacher: Callable[[str], nn.Module] = nn.Identity  # the headline predictor of another run, by the path of that run
    load_clip: Callable[[str], Clip] = stand_in  # a CLIP by its name; alone, an untrained one

    @property
    def n_classes(self) -> int:
        """K."""
        return len(self.class_names)


class Method(nn.Module, ABC):
    """A training procedure under test. Subclasses stand one per file, named as the file."""

    Config: ClassVar[type[Record]]
    views: Views = Views()
    network_name: ClassVar[str | None] = None  # the network that the method is about; None: takes the run's
    usual_division: ClassVar[Literal["controlled", "published"]] = (
        "controlled"  # where the user names none and data set has one
    )
    trains: ClassVar[bool] = True  # False: a run takes no steps, whatever its recipe says; there are neither losses nor groups
    published: ClassVar[Mapping[str, Published]] = {}  # data set -> the authors' own settings
    provenance: ClassVar[Literal["official code", "other code", "paper", "reconstruction"]] = (
        "reconstruction"  # what it follows
    )

    @abstractmethod
    def __init__(self, config: Any, task: Task) -> None:
        """Build networks from ``task``; ``config`` is a ``Config``."""
        super().__init__()

    @abstractmethod
    def forward(self, batch: Batch, progress: Progress) -> StepOutput:
        """Return the weighted losses of one step."""

    def after_step(self, progress: Progress) -> None:  # most methods need nothing here
        """Do what follows the optimizer's step, such as moving an average."""

    @abstractmethod
    def parameter_groups(self) -> list[ParameterGroup]:
        """Return the parameters that are trained, by name."""

    @abstractmethod
    def predictors(self) -> Mapping[str, nn.Module]:
        """Return what can be evaluated, (N, 3, H, W) -> logits (N, K, H, W); the first is the headline."""

    @classmethod
    def example(cls, task: Task) -> Self:
        """Return a tiny instance for conformance checks."""
        return cls(cls.Config(), task)
