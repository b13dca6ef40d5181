"""The record of one run: everything a table shows, and what is needed to derive it again."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal, Self  # JSON values have no narrower type

from pydantic import AfterValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from semibench.errors import DataError
from semibench.files import write_text
from semibench.protocols.protocol import EvaluationRule
from semibench.protocols.recipe import Options
from semibench.records import Count, Positive, Record
from semibench.reports.figures import derive, is_close
from semibench.reports.trajectory import Trajectory

SCHEMA = 1
LEAST = 1e-9  # of what is measured and not 0: no clock sees less, and figures can take logarithms of it


def _measurable(value: float) -> float:
    if 0 < value < LEAST:
        raise ValueError(f"it is neither 0 nor at least {LEAST}")
    return value


Fraction = Annotated[float, Field(ge=0, le=1)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Pixels = Annotated[int, Field(ge=0, le=2**48)]  # sums over a matrix of 181 classes stay within int64
Confusion = tuple[tuple[Pixels, ...], ...]  # (K, K): row = truth, column = prediction; void is not counted
RunState = Literal["running", "complete", "failed"]
Seconds = Annotated[float, Field(ge=0, le=1e10), AfterValidator(_measurable)]  # three centuries
Joules = Annotated[float, Field(ge=0, le=1e15), AfterValidator(_measurable)]
Rate = Annotated[float, Field(ge=LEAST, le=1e12)]  # a second
Size = tuple[Positive, Positive]  # (H, W) pixels


class Scores(Record):
    """Scores of one checkpoint on one subset; every figure follows from ``confusion`` and ``scores.npz``."""

    subset: str
    step: Count
    n_images: Positive
    miou: Fraction
    class_iou: tuple[Fraction | None, ...]  # None: the class is neither in truth nor in predictions
    pixel_accuracy: Fraction
    frequency_weighted_iou: Fraction
    boundary_iou: Fraction
    calibration_error: Fraction | None  # expected calibration error, 15 equal bins; None: confidences are not known
    confusion: Confusion


class Latency(Record):
    """Time of one forward pass of the predictor, after warm-up."""

    batch: Positive
    size: Size
    repeats: Positive
    p50: Seconds
    p90: Seconds
    p99: Seconds
    images_per_second: Rate


class Cost(Record):
    """What the network and its training cost; measured in this run, on the machine of ``Provenance``."""

    parameters: Count  # of the headline predictor
    trainable_parameters: Count  # of the method
    macs: Count  # multiply-accumulates of one image at ``input_size``
    flops: Count  # 2 per multiply-accumulate
    uncounted: dict[str, Count]  # operations that the counter has no rule for -> calls
    input_size: Size
    latency: Latency | None
    training_images_per_second: Rate | None  # of all streams and processes, waiting for data included
    data_wait: Fraction | None  # share of the training time
    training_seconds: Seconds | None  # of the process that finished the run
    energy: Joules | None = None  # of the GPU in that time; None: nothing measures it
    peak_memory: Count | None  # bytes, of the process that took the most
    peak_memory_of: Literal["gpu", "process"]


class Weights(Record):
    """A weight file that a network or a method started from."""

    name: Annotated[str, Field(pattern=r"^[^/\\]+$")]  # file name without folder
    sha256: Sha256
    matched: Count
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    trained_on: str | None = None  # external data that it learnt from, where that is known


class Teacher(Record):
    """A network of another run that the method learnt from."""

    role: str  # as the method's configuration names it
    run_id: Sha256
    step: Count  # of its checkpoint
    tensors: Sha256  # of its weights
    method: str
    backbone: str
    configuration: Sha256  # of what decides its numbers besides protocol and seed
    seed: Count
    miou: Fraction | None  # of its run; None when that has no result


class Digests(Record):
    """Digests of what must agree, or be told apart, in a table; ``Result.digest`` is the protocol's."""

    evaluation: Sha256
    recipe: Sha256
    truth: Sha256  # of the decoded masks that were scored against
    tensors: Sha256  # of the final weights; of the label maps of an external result


class Provenance(Record):
    """Where numbers come from; holds no path, user or host name."""

    semibench: str
    numerics: Count
    engine: str
    device: str
    machine: str  # processor or GPU model
    threads: Count  # of each process
    processes: Positive = 1
    compiled: bool = False  # by torch.compile
    resumed: Count  # times
    versions: dict[str, str]


class Status(Record):
    """How a run stands; ``status.json`` in its folder."""

    status: RunState
    step: Count
    total: Count
    seed: Count | None = None
    error: str | None = None


class Result(Record):
    """One finished run, or label maps of another program. Fractions in [0, 1], seconds, bytes, images per second.

    A run that is under way or failed has a ``Status`` and no result.
    """

    model_config = ConfigDict(validate_by_name=True, serialize_by_alias=True, json_schema_serialization_defaults_required=True)

    schema_version: Annotated[int, Field(alias="schema", ge=1, le=SCHEMA, strict=True)] = SCHEMA
    kind: Literal["run", "external"] = "run"  # external: only the label maps were seen, nothing of how they came about
    status: Literal["complete"] = "complete"
    run_id: str
    protocol: str
    dataset: str
    synthetic: bool  # drawn by the program: for trying, testing and teaching
    class_names: Annotated[tuple[str, ...], Field(min_length=1)]
    digest: Sha256  # of the protocol: lists, class table, metric convention
    digests: Digests
    method: str
    config: Options  # of the method
    network: Options
    backbone: str
    division: Literal["controlled", "published", "custom", "external"]
    recipe: Options
    seed: Count
    statistics_over: Positive = 1  # processes, where layers take statistics of the batch and their number decides them
    steps: Count
    evaluation: EvaluationRule
    miou: Fraction  # of the checkpoint that ranks
    confusion: Confusion  # of the same
    last: Scores
    best: Scores
    macs: Count | None  # as in ``cost``
    cost: Cost | None  # None: external
    weights: tuple[Weights, ...]
    teachers: tuple[Teacher, ...] = ()
    trajectory: Trajectory | None = None  # of the training; None: begun by an earlier version, or nothing was trained
    coverage: Fraction | None = None  # of unlabelled pixels by pseudo-labels while training, mean over the logged steps
    about: str = ""  # external: what whoever scored it says of it
    provenance: Provenance

    @property
    def ranked(self) -> Scores:
        """The scores of the checkpoint that ranks."""
        return self.last if self.evaluation.checkpoint == "last" else self.best

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        for name, scores in (("last", self.last), ("best", self.best)):
            if name == "last" or scores != self.last:  # a best that is the last need not be derived twice
                _check_matrix(name, scores.confusion, len(self.class_names))
                _check_figures(name, scores, self.evaluation)
        _require(self.last.n_images == self.best.n_images, "last and best were scored on different numbers of images")
        _require(self.confusion == self.ranked.confusion, "confusion is not that of the checkpoint that ranks")
        _require(self.miou == self.ranked.miou, f"miou is {self.miou}, that of the checkpoint that ranks is {self.ranked.miou}")
        macs = self.cost.macs if self.cost else None
        _require(self.macs == macs, f"macs is {self.macs}, cost.macs is {macs}")
        is_external = (self.kind == "external", self.division == "external", self.cost is None)
        _require(len(set(is_external)) == 1, f"kind is {self.kind}, division {self.division}, and cost is given or not")
        self._share()
        return self

    def _share(self) -> None:
        """Keep one copy of equal matrices: they are nearly all that a thousand results hold."""
        if self.best == self.last:
            self.__dict__["best"] = self.last
        self.__dict__["confusion"] = self.ranked.confusion


def write(result: Result, path: Path) -> None:
    """Replace ``path`` by the result as JSON, one row of a confusion matrix a line."""
    write_text(path, _layout(result.model_dump(mode="json")) + "\n")


def read(path: Path) -> Result:
    """Return the result in ``path``.

    Raises DataError when it is not a whole result of a schema that this version knows, or contradicts itself.
    """
    content = _content(path)
    try:
        result = Result.model_validate_json(content, by_alias=True, by_name=False)
    except ValidationError as invalid:
        for error in invalid.errors():
            if error["type"] == _CONTRADICTION:
                raise DataError(f"{path} contradicts itself: {error['msg']}", _RESTORE) from None
    else:
        if "schema_version" in result.model_fields_set:
            return result
    return _explained(content, path)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a result file."""
    schema = Result.model_json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema


_CONTRADICTION = "contradiction"
_RESTORE = "It was edited or damaged: restore it, or remove its folder and give the command of the run again."


def _require(is_met: bool, otherwise: str) -> None:
    if not is_met:
        raise PydanticCustomError(_CONTRADICTION, "{otherwise}", {"otherwise": otherwise})


def _check_matrix(name: str, confusion: Confusion, n_classes: int) -> None:
    is_square = len(confusion) == n_classes and all(len(row) == n_classes for row in confusion)
    _require(is_square, f"{name}.confusion is not {n_classes} x {n_classes}, one row and one column a class")


def _check_figures(name: str, scores: Scores, rule: EvaluationRule) -> None:
    _require(scores.subset == rule.report_on, f"{name} was scored on '{scores.subset}', the rule reports on '{rule.report_on}'")
    derived = derive(scores.confusion, rule.classes)
    for key in ("miou", "pixel_accuracy", "frequency_weighted_iou"):
        stored, expected = getattr(scores, key), getattr(derived, key)
        _require(is_close(stored, expected), f"{name}.{key} is {stored}, its confusion matrix gives {expected}")
    is_same = scores.class_iou == derived.class_iou or (
        len(scores.class_iou) == len(derived.class_iou) and all(map(is_close, scores.class_iou, derived.class_iou))
    )
    _require(is_same, f"{name}.class_iou is not what its confusion matrix gives")


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}", "Check the path.") from error


def _explained(content: bytes, path: Path) -> Result:
    """Say what is wrong with what could not be read straight; a slower reading, which knows more."""
    try:
        data = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not whole JSON: {error}", _RESTORE) from error
    if not isinstance(data, dict):
        raise DataError(f"{path} holds no JSON object", _RESTORE)
    version = data.get("schema")
    if not isinstance(version, int):
        raise DataError(f"{path} names no schema", "It is not a result of semibench: move it out of the folder of runs.")
    if version > SCHEMA:
        raise DataError(f"{path} has schema {version}, this semibench reads up to {SCHEMA}", "Upgrade semibench to read it.")
    return Result.parse(data, str(path), DataError)


def _layout(value: Any, indent: str = "") -> str:
    """Return ``value`` as JSON with one key or nested list a line and flat lists on one line."""
    deeper = indent + "  "
    if isinstance(value, dict) and value:
        parts = [f"{json.dumps(key, ensure_ascii=False)}: {_layout(item, deeper)}" for key, item in value.items()]
    elif isinstance(value, list) and any(isinstance(item, (dict, list)) for item in value):
        parts = [_layout(item, deeper) for item in value]
    else:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return f"{opening}\n{deeper}" + f",\n{deeper}".join(parts) + f"\n{indent}{closing}"
