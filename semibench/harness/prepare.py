"""A run before its first step: everything is looked up, built and checked, nothing is written."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from semibench import plugins
from semibench.errors import UsageError
from semibench.harness import environment, processes, sharing
from semibench.harness.build import build_method
from semibench.harness.configure import Configuration, Request, Resolved, resolve
from semibench.harness.engines.base import Engine
from semibench.harness.folder import RunFolder
from semibench.harness.loading import BatchSource
from semibench.harness.optimizers import build_optimizer
from semibench.harness.references import deciding_training, read_references
from semibench.harness.rehearsal import rehearse
from semibench.harness.teachers import Teachers
from semibench.hashing import digest_file
from semibench.methods.method import Method
from semibench.methods.networks._weights import WeightReport
from semibench.protocols.datasets.base import Dataset
from semibench.protocols.protocol import Protocol, Split
from semibench.reports import identity
from semibench.reports.identity import NUMERICS, Files
from semibench.reports.trajectory import Trajectory


@dataclass(frozen=True)
class Order:
    """A request and the places that it reads from and writes to."""

    request: Request
    data_root: Path | None
    output: Path
    weights: Mapping[str, Path] = field(default_factory=dict)  # files by part of the network; "": the whole of it, or its CLIP
    references: tuple[Path, ...] = ()  # earlier runs to compare the beginning with


@dataclass(frozen=True)
class Prepared:
    """What a run will be."""

    protocol: Protocol
    resolved: Resolved
    dataset: Dataset
    split: Split
    total: int  # optimizer steps
    statistics_over: int  # processes; see ``sharing.statistics_over``
    protocol_digest: str
    run_id: str
    folder: RunFolder
    weights: Mapping[str, Path]
    teachers: Teachers
    references: tuple[Trajectory, ...] = ()

    @property
    def configuration(self) -> Configuration:
        """The resolved configuration."""
        return self.resolved.configuration


def prepare(order: Order) -> Prepared:
    """Resolve and check a run; raise a SemibenchError for whatever would stop it."""
    protocol = order.request.protocol
    resolved = resolve(order.request)
    configuration = resolved.configuration
    dataset = protocol.open(order.data_root)
    partial = configuration.run.partial
    split = protocol.split(dataset, partial=partial)
    for path in order.weights.values():
        if not path.is_file():
            raise UsageError(f"weight file {path} not found", "Give the path of a file to --weights.")
    teachers = Teachers(configuration, protocol, dataset, split)
    read, over = _check_parts(configuration, dataset, split, order.weights, teachers)
    scored = [protocol.evaluated(dataset, subset, partial=partial) for subset in _scored(configuration)]
    for id in (id for ids in (split.labeled, *scored) for id in ids[:1]):
        dataset.pair(id)  # masks that are all of another kind, or not prepared, are found now
    digest = protocol.digest(dataset, partial=partial)
    named = order.weights.get("")
    files = Files(digest_file(named) if named else None, frozenset(report.sha256 for report in read))
    deciding = resolved.deciding()
    run_id = identity.run_id(digest, configuration.seed, files, NUMERICS, teachers.records, deciding, over)
    expected = deciding_training(digest, NUMERICS, files.read, teachers.records, deciding, over)
    references = read_references(order.references, expected)
    name = plugins.real_name(plugins.METHOD, order.request.method)
    folder = RunFolder(order.output / protocol.name / name / run_id[:12])
    trains = plugins.find_class(plugins.METHOD, name, Method).trains
    total = configuration.recipe.total_steps(len(split.labeled), len(split.unlabeled)) if trains else 0
    return Prepared(
        protocol, resolved, dataset, split, total, over, digest, run_id, folder, order.weights, teachers, references
    )


def device_of(configuration: Configuration) -> str:
    """Return the device on which this process carries out its part of the run; raise UsageError where there is none."""
    options = configuration.run
    return processes.own_device(environment.choose_device(options.device), options.devices)


def check_precision(precision: str, device: str) -> None:
    """Raise UsageError when the device cannot compute in this precision."""
    if precision in ("fp16", "tf32") and not device.startswith("cuda"):
        raise UsageError(
            f"precision {precision} needs a CUDA device, this run is on '{device}'", "Use --precision bf16 or fp32."
        )


def check_compiler(device: str) -> None:
    """Raise UsageError when torch.compile finds nothing here that makes code for the device."""
    compiler = os.environ.get("CXX", "g++")
    if device == "cpu" and shutil.which(compiler) is None:
        raise UsageError(
            f"run.compile needs a C++ compiler, and '{compiler}' is not found",
            "Install one, name it in the environment variable CXX, or leave out --compile.",
        )
    if device.startswith("cuda") and find_spec("triton") is None:
        raise UsageError("run.compile needs the package triton on a GPU", "Install it, or leave out --compile.")


def _scored(configuration: Configuration) -> tuple[str, str]:
    return configuration.evaluation.select_on, configuration.evaluation.report_on


def _check_parts(
    configuration: Configuration, dataset: Dataset, split: Split, weights: Mapping[str, Path], teachers: Teachers
) -> tuple[list[WeightReport], int]:
    """Build each part of a run once: what cannot be built says so now, not after a wait in a queue.

    Return what was read of weight files, and the number of processes where it decides numbers.
    """
    recipe, count = configuration.recipe, configuration.run.devices
    plugins.find_class(plugins.ENGINE, configuration.run.engine, Engine)()
    device = device_of(configuration)
    check_precision(recipe.precision, device)
    if configuration.run.compile:
        check_compiler(device)
    method, reports = build_method(configuration, dataset, weights, teachers.load)
    BatchSource(dataset, split, recipe, method.views, configuration.seed)
    if not method.trains:
        return reports, 1
    sharing.check_norm(recipe, device, count)
    build_optimizer(method, recipe.optimizer)
    over = sharing.statistics_over(method, recipe, count)
    rehearse(method, recipe, count)
    return reports, over
