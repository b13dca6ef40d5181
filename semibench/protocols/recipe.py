"""Recipes as data: everything about training that is not the method's own idea."""

from typing import Annotated, Any, Literal

from pydantic import Field, PositiveInt, model_validator

from semibench.records import Record

Probability = Annotated[float, Field(ge=0, le=1)]
NonNegative = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Decay = Annotated[float, Field(ge=0, lt=1)]  # of a moving average
Options = dict[str, Any]  # name = which part, the rest = that part's own configuration, validated where the part is known


class GroupRule(Record):
    """How one named group of a method's parameters departs from the optimizer's values."""

    lr_multiplier: NonNegative = 1.0
    weight_decay: NonNegative | None = None  # None = the optimizer's


class SGD(Record):
    """Stochastic gradient descent with momentum."""

    name: Literal["sgd"]
    lr: Positive
    momentum: Probability
    nesterov: bool = False
    weight_decay: NonNegative
    groups: dict[str, GroupRule] = {}  # parameter group of the method -> departure

    @model_validator(mode="after")
    def _has_momentum_to_look_ahead(self) -> "SGD":
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov needs a momentum above 0")
        return self


class AdamW(Record):
    """Adam with decoupled weight decay."""

    name: Literal["adamw"]
    lr: Positive
    betas: tuple[Decay, Decay] = (0.9, 0.999)
    weight_decay: NonNegative
    groups: dict[str, GroupRule] = {}


class Schedule(Record):
    """Learning-rate multiplier as a pure function of (step, horizon); see ``harness/schedules.py``."""

    name: Literal["poly", "cosine", "constant"]
    power: Positive = 0.9  # poly only
    warmup: Annotated[int, Field(ge=0)] = 0  # steps; multiplies the curve
    warmup_start: Probability = 0.0  # multiplier at step 0 of the warm-up
    floor: Probability = 0.0  # smallest multiplier after the warm-up
    lag: Annotated[int, Field(ge=0)] = 0  # steps by which the curve trails: 1 = set after the step, as UniMatch does
    every: PositiveInt = 1  # steps between two changes
    horizon: PositiveInt | None = None  # steps; None = the length of the run


class Epochs(Record):
    """Length as passes over a named list."""

    count: PositiveInt
    over: Literal["labeled", "unlabeled"]
    rounding: Literal["floor", "ceil"] = "floor"  # of the last incomplete batch of an epoch


class Scale(Record):
    """Random resize: one side drawn as a uniform integer, aspect ratio kept."""

    side: Literal["long", "short"]
    low: Positive = 1.0  # factor on the base, inclusive
    high: Positive = 1.0  # factor on the base, inclusive
    base: PositiveInt | None = None  # pixels; None = the image's own side
    choices: tuple[PositiveInt, ...] = ()  # pixels; when given, one of these instead of a factor


class Jitter(Record):
    """Brightness, contrast, saturation and hue changes in random order, as torchvision's ColorJitter."""

    name: Literal["jitter"]
    probability: Probability
    brightness: NonNegative  # factor in [1 - b, 1 + b]
    contrast: NonNegative
    saturation: NonNegative
    hue: Annotated[float, Field(ge=0, le=0.5)]  # shift in [-h, h] of a full turn


class Grayscale(Record):
    """Luminance in all three channels."""

    name: Literal["grayscale"]
    probability: Probability


class Blur(Record):
    """Gaussian blur as Pillow's, radius (pixels) drawn uniformly."""

    name: Literal["blur"]
    probability: Probability
    radius: tuple[NonNegative, NonNegative]


ColorOperation = Annotated[Jitter | Grayscale | Blur, Field(discriminator="name")]


class Augmentation(Record):
    """Geometry shared by all streams, and the color operations of each, applied in order to the cropped image."""

    scale: Scale | None = None
    flip: Probability = 0.0  # horizontal
    pad_value: tuple[int, int, int] = (0, 0, 0)  # RGB in 0..255 of pixels that a crop adds at the right and bottom
    labeled: tuple[ColorOperation, ...] = ()
    weak: tuple[ColorOperation, ...] = ()
    strong: tuple[ColorOperation, ...] = ()


class Normalization(Record):
    """Per-channel mean and standard deviation of RGB in [0, 1]."""

    mean: tuple[float, float, float]
    std: tuple[Positive, Positive, Positive]


class BatchSize(Record):
    """Images per optimizer step, over all devices."""

    labeled: PositiveInt
    unlabeled: PositiveInt


class Recipe(Record):
    """How a network is trained, whatever the method.

    The length is ``steps``, or ``epochs`` where ``steps`` is not given.
    """

    optimizer: Annotated[SGD | AdamW, Field(discriminator="name")]
    schedule: Schedule
    steps: PositiveInt | None = None
    epochs: Epochs | None = None
    batch: BatchSize
    crop: tuple[PositiveInt, PositiveInt]  # (H, W) pixels
    augmentation: Augmentation
    normalization: Normalization
    norm: Literal["bn", "syncbn", "frozen"] = "bn"  # normalization layers: plain, synchronized, or kept as loaded
    precision: Literal["fp32", "tf32", "bf16", "fp16"] = "fp32"
    accumulation: PositiveInt = 1  # parts into which a batch is cut; their gradients are averaged
    clip_norm: Positive | None = None  # of the gradient, over all parameters

    @model_validator(mode="after")
    def _has_a_length(self) -> "Recipe":
        if self.steps is None and self.epochs is None:
            raise ValueError("give steps or epochs")
        return self

    @model_validator(mode="after")
    def _has_equal_parts(self) -> "Recipe":  # the mean over unequal parts is not that over the batch
        for stream, size in self.batch:
            if size % self.accumulation:
                raise ValueError(f"accumulation = {self.accumulation} does not divide batch.{stream} = {size}")
        return self

    def total_steps(self, n_labeled: int, n_unlabeled: int) -> int:
        """Return the length of a run in optimizer steps; where nothing is unlabelled, epochs are over the labelled list."""
        if self.steps is not None or self.epochs is None:
            return self.steps or 0
        is_labeled = self.epochs.over == "labeled" or not n_unlabeled
        count = n_labeled if is_labeled else n_unlabeled
        size = self.batch.labeled if is_labeled else self.batch.unlabeled
        per_epoch = count // size if self.epochs.rounding == "floor" else -(-count // size)
        return max(per_epoch, 1) * self.epochs.count


class Published(Record):
    """A method's own settings on one data set, as its authors ran it."""

    source: str  # paper, repository and commit, or log
    recipe: Recipe
    network: Options
    method: Options = {}
    rule: str | None = None  # evaluation rule, by its name in the data set's catalogue; None = the protocol's own
