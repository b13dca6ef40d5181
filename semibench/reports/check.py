"""Whether results are what runs wrote: every score is derived again, and nothing contradicts anything else."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from semibench.errors import DataError, NotConformantError, SemibenchError
from semibench.hashing import digest_ids, digest_json
from semibench.protocols import names
from semibench.reports import beside, declared, per_image
from semibench.reports import result as record
from semibench.reports.aggregate import group
from semibench.reports.figures import derive_counts, is_close
from semibench.reports.identity import possible_ids
from semibench.reports.listing import CONFIG, COUNTS, RESULT, STATUS, find, summarize
from semibench.reports.result import Result, Status


@dataclass(frozen=True)
class Finding:
    """One check of one result, or of several together; ``problem`` is empty where all is well."""

    path: Path
    check: str
    problem: str = ""


class Run(NamedTuple):
    """A result and the folder that it was read from."""

    folder: Path
    result: Result


Check = Callable[[Run], Iterator[str]]  # yields problems


def check(folders: Sequence[Path], *, needs_counts: bool = True, further: Mapping[str, Check] | None = None) -> list[Finding]:
    """Check every result in and below ``folders``; without ``needs_counts``, counts per image may be missing.

    ``further`` are checks by name that need more than reports know.
    """
    checks = {**_CHECKS, **(further or {})}
    findings, runs = [], []
    for folder in find(folders):
        if not (folder / RESULT).exists():
            if summarize(folder).status == "complete":
                findings.append(Finding(folder / STATUS, "record", f"says that the run is complete; {RESULT} is missing"))
            continue
        try:
            runs.append(Run(folder, record.read(folder / RESULT)))
        except DataError as error:
            findings.append(Finding(folder / RESULT, "record", str(error)))
            continue
        findings.append(Finding(folder / RESULT, "record"))
        findings.extend(_findings(runs[-1], checks, needs_counts))
    return [*findings, *_together(runs)]


def _findings(run: Run, checks: Mapping[str, Check], needs_counts: bool) -> Iterator[Finding]:
    for name, problems in checks.items():
        found = [Finding(run.folder / RESULT, name, problem) for problem in problems(run)]
        yield from found or [Finding(run.folder / RESULT, name)]
    if needs_counts or (run.folder / COUNTS).exists():
        found = [Finding(run.folder / COUNTS, "counts", problem) for problem in _counts(run)]
        yield from found or [Finding(run.folder / COUNTS, "counts")]


def _place(run: Run) -> Iterator[str]:
    """Yield what the path says and the result does not."""
    result = run.result
    for said, is_so in zip(
        run.folder.parts[-3:], (result.protocol, result.method, result.run_id[: len(run.folder.name)]), strict=False
    ):
        if said != is_so:
            yield f"lies in a folder '{said}' and holds '{is_so}'"
    config = run.folder / CONFIG
    if config.is_file() and config.read_text(encoding="utf-8", errors="replace").partition("\n")[0] != f"# run {result.run_id}":
        yield f"{CONFIG} beside it is that of another run"


def _identity(run: Run) -> Iterator[str]:
    """Yield where digests do not follow from what they are of."""
    result = run.result
    if result.run_id not in possible_ids(result):
        yield "run_id does not follow from protocol, seed, weights, method, network, recipe and evaluation: one was edited"
    if result.digests.recipe != digest_json(result.recipe):
        yield "digests.recipe is not that of the recipe"
    if result.digests.evaluation != result.evaluation.digest():
        yield "digests.evaluation is not that of the evaluation rule"


def _steps(run: Run) -> Iterator[str]:
    """Yield where planned and done steps differ."""
    result = run.result
    trains = result.steps > 0 or (result.cost and result.cost.trainable_parameters)  # what has nothing to train takes no step
    planned = result.recipe.get("steps")
    if trains and planned is not None and planned != result.steps:
        yield f"{result.steps} steps were done, the recipe plans {planned}"
    if result.last.step != result.steps:
        yield f"the last checkpoint is of step {result.last.step} of {result.steps}"
    if result.best.step > result.steps:
        yield f"the best checkpoint is of step {result.best.step}, after the end at {result.steps}"
    if result.best.step == result.last.step and result.best != result.last:
        yield f"last and best are both of step {result.last.step} and have different scores"
    path = run.folder / STATUS
    if path.is_file():
        yield from _status(result, path)


def _status(result: Result, path: Path) -> Iterator[str]:
    try:
        status = Status.model_validate_json(path.read_bytes())
    except ValueError as error:
        yield f"{STATUS} beside it cannot be read: {str(error).splitlines()[0]}"
        return
    if (status.status, status.step, status.total) != ("complete", result.steps, result.steps):
        yield f"{STATUS} beside it says {status.status} at step {status.step} of {status.total}, not complete at {result.steps}"


def _images(run: Run) -> Iterator[str]:
    """Yield where the images scored are not those of the catalogue; a custom run may have scored a part."""
    result = run.result
    truths = [[sum(row) for row in scores.confusion] for scores in (result.last, result.best)]
    if truths[0] != truths[1]:
        yield "last and best were scored on different pixels of the truth"
    subset = names.documents().get(result.dataset, {}).get("subsets", {}).get(result.ranked.subset, {})
    n_images, count = result.ranked.n_images, subset.get("count")
    if count is not None and (n_images > count or (n_images < count and result.division != "custom")):
        yield f"{n_images} images were scored, subset {result.ranked.subset} has {count}"


def _catalog(run: Run) -> Iterator[str]:
    """Yield what the catalogue says otherwise."""
    yield from declared.contradictions(run.result)


def _cost(run: Run) -> Iterator[str]:
    """Yield where measured costs contradict each other."""
    cost = run.result.cost
    if cost and cost.flops != 2 * cost.macs:
        yield f"flops is {cost.flops}, twice macs is {2 * cost.macs}"
    if cost and cost.latency and not cost.latency.p50 <= cost.latency.p90 <= cost.latency.p99:
        yield "the percentiles of latency do not rise"


def _settings(run: Run) -> Iterator[str]:
    """Yield where the configuration beside it has other settings."""
    yield from beside.settings(run.result, run.folder)


def _evaluations(run: Run) -> Iterator[str]:
    """Yield where the log beside it has other evaluations."""
    yield from beside.evaluations(run.result, run.folder)


_CHECKS: Mapping[str, Check] = {
    "place": _place,
    "identity": _identity,
    "catalogue": _catalog,
    "settings": _settings,
    "steps": _steps,
    "evaluations": _evaluations,
    "images": _images,
    "cost": _cost,
}


def _counts(run: Run) -> Iterator[str]:
    """Yield what does not follow from the counts per image."""
    result, scores = run.result, run.result.ranked
    try:
        counts = per_image.load(run.folder / COUNTS, scores.n_images, len(result.class_names))
    except DataError as error:
        yield str(error)
        return
    matrix = np.asarray(scores.confusion, dtype=np.int64)
    for name, total in (("intersection", matrix.diagonal()), ("truth", matrix.sum(axis=1)), ("prediction", matrix.sum(axis=0))):
        if not np.array_equal(getattr(counts, name).sum(axis=0), total):
            yield f"{name} does not add up to the confusion matrix"
    binned = (matrix.sum(), matrix.trace()) if result.kind == "run" else (0, 0)  # of label maps no confidence is known
    if (counts.bin_count.sum(), counts.bin_correct.sum()) != binned:
        yield "the bins of confidence do not add up to the confusion matrix"
    for key, expected in derive_counts(counts, result.evaluation.classes)._asdict().items():
        if not is_close(getattr(scores, key), expected):
            yield f"{key} is {getattr(scores, key)}, the counts give {expected}"
    subset = names.documents().get(result.dataset, {}).get("subsets", {}).get(scores.subset, {})
    if result.division != "custom" and subset and subset["sha256"] != digest_ids(counts.ids.tolist()):
        yield f"its images are not those of subset {scores.subset}"


def _together(runs: Sequence[Run]) -> Iterator[Finding]:
    """Yield findings for each protocol: whether its results are of its lists, measured alike on one truth, no seed twice."""
    by_protocol: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        by_protocol[run.result.protocol].append(run)
    for protocol, alike in sorted(by_protocol.items()):
        folder = alike[0].folder.parent.parent
        yield Finding(folder, f"lists of {protocol}", "; ".join(_strangers(protocol, alike)))
        yield Finding(folder, f"seeds of {protocol}", "; ".join(_disagreements(alike)))


def _strangers(name: str, runs: Sequence[Run]) -> Iterator[str]:
    """Yield the runs whose digest is not that of the protocol's lists, where these are at hand."""
    protocol = declared.find(name)
    try:
        official = declared.official_digest(protocol) if protocol else None
    except SemibenchError as error:
        yield error.what
        return
    for run in runs:
        is_whole = run.result.division != "custom" and declared.is_of_this_catalog(run.result)
        if official and is_whole and run.result.digest != official:
            yield f"{run.folder} has another digest than the lists, classes and metric convention of {name} give"


def _disagreements(runs: Sequence[Run]) -> Iterator[str]:
    by_id: dict[str, Run] = {}
    for run in runs:
        first = by_id.setdefault(run.result.run_id, run)
        if first.result.confusion != run.result.confusion:
            yield f"{first.folder} and {run.folder} are one run with two scores"
    try:
        group(run.result for run in by_id.values())
    except NotConformantError as error:
        yield str(error)
    truths: dict[str, list[int]] = {}
    for run in runs:
        pixels = [sum(row) for row in run.result.confusion]
        if truths.setdefault(run.result.digests.truth, pixels) != pixels:
            yield f"{run.folder} has other pixels of truth than results with the same digest of it"
