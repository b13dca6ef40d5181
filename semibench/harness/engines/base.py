"""The contract of an engine: it carries out the training loop, and nothing else."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from semibench.methods.method import Batch, Method
from semibench.protocols.recipe import Recipe

Batches = Callable[[int], Iterator[Batch]]  # first step -> the batches of that step and all later ones


@dataclass(frozen=True)
class Plan:
    """What an engine needs to know besides method and batches."""

    recipe: Recipe
    total: int  # optimizer steps
    seed: int
    device: str  # cpu | cuda | cuda:1 | mps
    compile: bool = False  # the method's forward pass, by torch.compile


@dataclass
class TrainState:
    """What callbacks see; engines fill it in, callbacks only read it."""

    method: Method
    total: int
    save: Callable[[Path], None]  # write a checkpoint of everything that resuming needs
    step: int = 0  # steps done
    losses: dict[str, float] = field(default_factory=dict)  # weighted, of the last step
    scalars: dict[str, float] = field(default_factory=dict)
    learning_rate: float = 0.0  # of the first parameter group, used in the last step
    seconds: float = 0.0  # of the last step, waiting for data included
    data_seconds: float = 0.0  # of the last step, waiting for data
    images: int = 0  # of the last step, labelled and unlabelled, of all processes

    @property
    def loss(self) -> float:
        """The sum that was minimized."""
        return sum(self.losses.values())


class Callback:
    """Something that watches a run; the same under every engine."""

    def on_start(self, state: TrainState) -> None:
        """Be called once, before the first step of this process; ``state.step`` > 0 when resumed."""

    def on_step(self, state: TrainState) -> None:
        """Be called after each step."""

    def close(self) -> None:
        """Give back what it holds; called once by whoever started the engine, however the training ended."""


@dataclass(frozen=True)
class FitSummary:
    """What a finished training says about itself; times are of this process only, and since it began or resumed."""

    steps: int
    seconds: float
    data_seconds: float
    images: int  # of all processes
    device: str
    peak_memory: int  # bytes of this run: the GPU allocator's, or the process's resident set on a CPU; the largest of all
    energy: float | None = None  # joules of the GPU, where somebody measured them


class Engine(ABC):
    """Runs the one order of a step: forward, sum of losses, zero_grad, backward, finite check, optimizer step,
    ``after_step``, learning rate (of the step to come), callbacks (logging, checkpoint, evaluation).

    A checkpoint is written only when every weight is finite. Where several processes have met, each carries out the loop on
    its share of every batch: gradients and what is logged are means over all, and after each step all hold the same.
    """

    @abstractmethod
    def fit(
        self, method: Method, batches: Batches, plan: Plan, callbacks: Sequence[Callback], *, resume_from: Path | None
    ) -> FitSummary:
        """Train ``method`` to ``plan.total`` steps, from a checkpoint where one is given."""
