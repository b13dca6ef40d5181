"""What a run is: a digest of everything that decides its numbers, and of nothing else."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from semibench.hashing import digest_json
from semibench.protocols.protocol import EvaluationRule
from semibench.protocols.recipe import Options
from semibench.reports.result import Result, Teacher

NUMERICS = 3  # raised whenever the heading Results of CHANGELOG.md grows: older runs are then other runs


class Files(NamedTuple):
    """Digests of the weight files of a run: of the one that was named by hand, and of all that were read."""

    named: str | None
    read: frozenset[str]


def run_id(
    protocol: str,
    seed: int,
    files: Files,
    numerics: int,
    teachers: Sequence[Teacher],
    deciding: Mapping[str, Options],
    processes: int = 1,
) -> str:
    """Return the id of a run from the digest of its protocol, those of its weight files, and the sections that decide.

    ``processes`` is their number where that decides, else 1.
    """
    identities = {teacher.role: [teacher.run_id, teacher.step, teacher.tensors] for teacher in teachers}
    own = sorted(files.read - {files.named})  # that nobody named: a CLIP's usual weights
    return digest_json(
        {
            "protocol": protocol,
            "seed": seed,
            "weights": files.named,
            "numerics": numerics,
            **({"own weights": own} if own else {}),
            **({"teachers": identities} if identities else {}),
            **({"processes": processes} if processes > 1 else {}),
            **deciding,
        }
    )


def external_id(protocol: str, method: str, seed: int, evaluation: EvaluationRule, labels: str, numerics: int) -> str:
    """Return the id of label maps that another program made, from their digest and that of the protocol."""
    return digest_json(
        {
            "protocol": protocol,
            "external": method,
            "seed": seed,
            "evaluation": evaluation.model_dump(mode="json"),
            "labels": labels,
            "numerics": numerics,
        }
    )


def possible_ids(result: Result) -> set[str]:
    """Return the ids that follow from a result; several where it does not say which of its weight files was named by hand."""
    numerics = result.provenance.numerics
    if result.kind == "external":
        labels = result.digests.tensors
        return {external_id(result.digest, result.method, result.seed, result.evaluation, labels, numerics)}
    deciding = {
        "method": {"name": result.method, **result.config},
        "network": result.network,
        "recipe": result.recipe,
        "evaluation": result.evaluation.model_dump(mode="json"),
    }
    read = frozenset(weights.sha256 for weights in result.weights)
    numerics = result.provenance.numerics
    known = (numerics, result.teachers, deciding, result.statistics_over)
    return {run_id(result.digest, result.seed, Files(named, read), *known) for named in (None, *read)}
