"""From label maps of another program to a result, counted as the evaluator counts."""

import platform
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from semibench.harness.cores import usable_cores
from semibench.harness.counting import Counted, Evaluation, Judged, Tally, check_list, count, to_scores
from semibench.harness.folder import RunFolder
from semibench.harness.predictions import Predictions, opened
from semibench.harness.threads import in_order
from semibench.hashing import digest_json, digest_pixels
from semibench.protocols.datasets.base import Dataset
from semibench.protocols.protocol import EvaluationRule, Protocol
from semibench.reports import result as record
from semibench.reports.identity import NUMERICS, external_id

_PACKAGES = ("semibench", "numpy", "pillow", "scipy")  # that can change numbers


@dataclass(frozen=True)
class Entry:
    """What is said of label maps, and cannot be checked."""

    name: str  # of the method
    seed: int = 0
    backbone: str = "unknown"
    about: str = ""


class Scored(NamedTuple):
    """A result, and the counts per image that belong to it."""

    result: record.Result
    evaluation: Evaluation


def score(
    path: Path, protocol: Protocol, rule: EvaluationRule, dataset: Dataset, entry: Entry, progress: Callable[[int, int], None]
) -> Scored:
    """Score the label maps in ``path``; ``progress`` is called with the number of images done and of all.

    Raises DataError when one is missing or is no label map of its image, and when a file belongs to no image.
    """
    ids = protocol.evaluated(dataset, rule.report_on)
    check_list(ids)
    tally = Tally(len(dataset.class_names))
    digests: dict[str, str] = {}
    with opened(path, ids) as predictions, ThreadPoolExecutor(usable_cores()) as pool:
        for labels, counted in in_order(pool, lambda id: _count(predictions, dataset, id), ids):
            digests[counted.id] = labels
            tally.add(counted)
            progress(len(digests), len(ids))
    evaluation = tally.evaluation(ids, detail=True)
    return Scored(_build(protocol, rule, dataset, entry, evaluation, digest_json(digests)), evaluation)


def save(scored: Scored, output: Path) -> Path:
    """Write the result into its folder below ``output`` as a run's; return the folder."""
    result = scored.result
    folder = RunFolder(output / result.protocol / result.method / result.run_id[:12])
    with folder.lock():
        folder.write_config("# Label maps of another program: there is no network to open.\n", result.run_id)
        scored.evaluation.per_image.save(folder.scores)
        record.write(result, folder.result)
        folder.write_status(record.Status(status="complete", step=0, total=0, seed=result.seed))
    return folder.path


def _count(predictions: Predictions, dataset: Dataset, id: str) -> tuple[str, Counted]:
    """Return the digest of an image's label map, and its counts."""
    truth = dataset.mask(id)
    labels: NDArray[np.uint8] = predictions.labels(id, truth.shape, len(dataset.class_names))
    judged = Judged(id, truth, labels, confidence=None)
    return digest_pixels(labels), count(judged, len(dataset.class_names), dataset.ignore_index, detail=True)


def _build(
    protocol: Protocol, rule: EvaluationRule, dataset: Dataset, entry: Entry, evaluation: Evaluation, labels: str
) -> record.Result:
    scores = to_scores(evaluation, rule.report_on, 0, rule)
    digest = protocol.digest(dataset)
    truth = evaluation.truth_digest
    return record.Result(
        kind="external",
        run_id=external_id(digest, entry.name, entry.seed, rule, labels, NUMERICS),
        protocol=protocol.name,
        dataset=protocol.dataset,
        synthetic=dataset.synthetic,
        class_names=dataset.class_names,
        digest=digest,
        digests=record.Digests(evaluation=rule.digest(), recipe=digest_json({}), truth=truth, tensors=labels),
        method=entry.name,
        config={},
        network={},
        backbone=entry.backbone,
        division="external",
        recipe={},
        seed=entry.seed,
        steps=0,
        evaluation=rule,
        miou=scores.miou,
        confusion=scores.confusion,
        last=scores,
        best=scores,
        macs=None,
        cost=None,
        weights=(),
        about=entry.about,
        provenance=_provenance(),
    )


def _provenance() -> record.Provenance:
    versions = {"python": platform.python_version(), **{package: version(package) for package in _PACKAGES}}
    return record.Provenance(
        semibench=versions.pop("semibench"),
        numerics=NUMERICS,
        engine="none",
        device="unknown",
        machine="unknown",
        threads=0,
        resumed=0,
        versions=versions,
    )
