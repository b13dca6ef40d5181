"""What a run is: a digest of everything that decides its numbers, and of nothing else."""

from collections.abc import Mapping, Sequence

from semibench.hashing import digest_json
from semibench.protocols.recipe import Options
from semibench.reports.result import Result, Teacher


def run_id(
    protocol: str, seed: int, weights: str | None, numerics: int, teachers: Sequence[Teacher], deciding: Mapping[str, Options]
) -> str:
    """Return the id of a run from the digest of its protocol, that of its weight file, and the sections that decide."""
    identities = {teacher.role: [teacher.run_id, teacher.step, teacher.tensors] for teacher in teachers}
    return digest_json(
        {
            "protocol": protocol,
            "seed": seed,
            "weights": weights,
            "numerics": numerics,
            **({"teachers": identities} if identities else {}),
            **deciding,
        }
    )


def possible_ids(result: Result) -> set[str]:
    """Return the ids that follow from a result; several where it does not say which of its weight files was named by hand."""
    deciding = {
        "method": {"name": result.method, **result.config},
        "network": result.network,
        "recipe": result.recipe,
        "evaluation": result.evaluation.model_dump(mode="json"),
    }
    files = [None, *(weights.sha256 for weights in result.weights)]
    numerics = result.provenance.numerics
    return {run_id(result.digest, result.seed, file, numerics, result.teachers, deciding) for file in files}
