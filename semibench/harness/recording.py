"""From a finished training to its record."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any  # JSON values have no narrower type

import torch

from semibench import plugins
from semibench.harness import cost, environment, processes
from semibench.harness.configure import backbone
from semibench.harness.counting import Evaluation, to_scores
from semibench.harness.engines.base import FitSummary
from semibench.harness.prepare import Prepared
from semibench.harness.trajectory import read_trajectory
from semibench.hashing import digest_json
from semibench.methods.method import Method
from semibench.methods.networks._weights import WeightReport
from semibench.protocols.recipe import Recipe
from semibench.reports import result as record
from semibench.reports.identity import NUMERICS

_REPEATS = 20  # timed forward passes


@dataclass(frozen=True)
class Finished:
    """What a run knows when its training and its evaluations are over."""

    fit: FitSummary
    cost: record.Cost
    tensors: str  # SHA-256 of the final weights
    last: Evaluation
    best: Evaluation
    best_step: int
    weights: list[WeightReport]


def measure_cost(method: Method, recipe: Recipe, fit: FitSummary, device: str) -> record.Cost:
    """Count the headline predictor's parameters and operations and time it, at the size of the training crop."""
    predictor = next(iter(method.predictors().values()))
    operations = cost.count_operations(predictor, recipe.crop)
    return record.Cost(
        parameters=cost.parameters(predictor),
        trainable_parameters=sum(p.numel() for group in method.parameter_groups() for p in group.parameters),
        macs=operations.macs,
        flops=operations.flops,
        uncounted=operations.uncounted,
        input_size=recipe.crop,
        latency=cost.measure_latency(predictor, recipe.crop, batch=1, device=device, repeats=_REPEATS),
        training_images_per_second=fit.images / fit.seconds if fit.images else None,
        data_wait=fit.data_seconds / fit.seconds if fit.images else None,
        training_seconds=fit.seconds,
        energy=fit.energy,
        peak_memory=fit.peak_memory,
        peak_memory_of="gpu" if device.startswith("cuda") else "process",
    )


def build_result(prepared: Prepared, finished: Finished) -> record.Result:
    """Put the record of a run together."""
    configuration, rule = prepared.configuration, prepared.configuration.evaluation
    events = prepared.folder.events.read()
    deciding = prepared.resolved.deciding()
    last = to_scores(finished.last, rule.report_on, finished.fit.steps, rule)
    best = to_scores(finished.best, rule.report_on, finished.best_step, rule)
    ranked = last if rule.checkpoint == "last" else best
    method, network = deciding["method"], deciding["network"]
    return record.Result(
        run_id=prepared.run_id,
        protocol=prepared.protocol.name,
        dataset=prepared.protocol.dataset,
        synthetic=prepared.dataset.synthetic,
        class_names=prepared.dataset.class_names,
        digest=prepared.protocol_digest,
        digests=record.Digests(
            evaluation=rule.digest(),
            recipe=digest_json(deciding["recipe"]),
            truth=finished.last.truth_digest,
            tensors=finished.tensors,
        ),
        method=method.pop("name"),
        config=method,
        network=network,
        backbone=backbone(network),
        division=configuration.division,
        recipe=deciding["recipe"],
        seed=configuration.seed,
        statistics_over=prepared.statistics_over,
        steps=finished.fit.steps,
        evaluation=rule,
        miou=ranked.miou,
        confusion=ranked.confusion,
        last=last,
        best=best,
        macs=finished.cost.macs,
        cost=finished.cost,
        weights=tuple(map(_weights, finished.weights)),
        teachers=prepared.teachers.records,
        coverage=_coverage(events),
        trajectory=read_trajectory(events, finished.fit.steps),
        provenance=_provenance(prepared, finished, resumed=sum(event["event"] == "resumed" for event in events)),
    )


def _coverage(events: Sequence[Mapping[str, Any]]) -> float | None:
    """Return the mean of the shares that a method logged as ``coverage``; None where it logged none, or something else so."""
    logged = [event["scalars"].get("coverage") for event in events if event["event"] == "log"]
    shares = [value for value in logged if value is not None]
    return fmean(shares) if shares and all(0 <= value <= 1 for value in shares) else None


def _weights(report: WeightReport) -> record.Weights:
    return record.Weights(
        name=report.name,
        sha256=report.sha256,
        matched=report.matched,
        missing=report.missing,
        unexpected=report.unexpected,
        trained_on=report.trained_on,
    )


def _provenance(prepared: Prepared, finished: Finished, *, resumed: int) -> record.Provenance:
    versions = environment.versions()
    return record.Provenance(
        semibench=versions.pop("semibench"),
        numerics=NUMERICS,
        engine=plugins.real_name(plugins.ENGINE, prepared.configuration.run.engine),
        device=finished.fit.device,
        machine=environment.machine(finished.fit.device),
        threads=torch.get_num_threads(),
        compiled=prepared.configuration.run.compile,
        processes=processes.count(),
        resumed=resumed,
        versions=versions,
    )
