"""The record of one run: everything a table shows, and what is needed to derive it again."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from semibench.protocols.recipe import Options
from semibench.records import Record

SCHEMA = 1
Fraction = Annotated[float, Field(ge=0, le=1)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0)]


class Scores(Record):
    """Scores of one checkpoint on one subset; every figure follows from ``confusion`` and ``scores.npz``."""

    subset: str
    step: Count
    n_images: Count
    miou: Fraction
    class_iou: tuple[Fraction | None, ...]  # None: the class is neither in truth nor in predictions
    pixel_accuracy: Fraction
    frequency_weighted_iou: Fraction
    boundary_iou: Fraction
    calibration_error: Fraction  # expected calibration error, 15 equal bins
    confusion: tuple[tuple[Count, ...], ...]  # (K, K) pixels: row = truth, column = prediction; void is not counted


class Latency(Record):
    """Time of one forward pass of the predictor, after warm-up."""

    batch: int
    size: tuple[int, int]  # (H, W) pixels
    repeats: int
    p50: float  # seconds
    p90: float
    p99: float
    images_per_second: float


class Cost(Record):
    """What the network and its training cost; measured in this run, on the machine of ``Provenance``."""

    parameters: Count  # of the headline predictor
    trainable_parameters: Count  # of the method
    macs: Count  # multiply-accumulates of one image at ``input_size``
    flops: Count  # 2 per multiply-accumulate
    uncounted: dict[str, Count]  # operations that the counter has no rule for -> calls
    input_size: tuple[int, int]  # (H, W) pixels
    latency: Latency | None
    training_images_per_second: float | None  # labelled and unlabelled, waiting for data included
    data_wait: Fraction | None  # share of the training time
    training_seconds: float | None  # of the process that finished the run
    peak_memory: Count | None  # bytes
    peak_memory_of: Literal["gpu", "process"]


class Weights(Record):
    """A weight file that a network started from."""

    name: str  # file name without folder
    sha256: Sha256
    matched: Count
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]


class Digests(Record):
    """Digests of what must agree, or be told apart, in a table; ``Result.digest`` is the protocol's."""

    evaluation: Sha256
    recipe: Sha256
    truth: Sha256  # of the decoded masks that were scored against
    tensors: Sha256  # of the final weights


class Provenance(Record):
    """Where numbers come from; holds no path, user or host name."""

    semibench: str
    numerics: int
    engine: str
    device: str
    threads: int
    resumed: int  # times
    versions: dict[str, str]


class Status(Record):
    """How a run stands; ``status.json`` in its folder."""

    status: Literal["running", "complete", "failed"]
    step: Count
    total: Count
    error: str | None = None


class Result(Record):
    """One finished run. Fractions in [0, 1], seconds, bytes, images per second.

    A run that is under way or failed has a ``Status`` and no result.
    """

    model_config = ConfigDict(validate_by_name=True, serialize_by_alias=True)

    schema_version: Annotated[int, Field(alias="schema")] = SCHEMA
    kind: Literal["run"] = "run"
    status: Literal["complete"] = "complete"
    run_id: str
    protocol: str
    dataset: str
    synthetic: bool  # drawn by the program: for trying, testing and teaching
    class_names: tuple[str, ...]
    digest: Sha256  # of the protocol: lists, class table, metric convention
    digests: Digests
    method: str
    config: Options  # of the method
    network: Options
    backbone: str
    division: Literal["controlled", "published", "custom"]
    recipe: Options
    seed: int
    steps: int
    checkpoint: Literal["last", "best"]  # which one ranks
    miou: Fraction  # of that checkpoint
    confusion: tuple[tuple[Count, ...], ...]
    last: Scores
    best: Scores
    macs: Count
    cost: Cost
    weights: tuple[Weights, ...]
    provenance: Provenance
