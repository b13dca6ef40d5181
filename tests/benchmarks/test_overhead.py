"""What the harness costs besides the method itself, as ratios: times of one machine say little about another.

``make bench`` runs these and prints the ratios; they assert nothing about time, since a busy machine would fail them.
"""

import itertools
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torch.utils._pytree import tree_map

from semibench.harness import callbacks
from semibench.harness.build import build_method
from semibench.harness.configure import Request, RunOptions, resolve
from semibench.harness.engines.base import Callback, FitSummary, Plan, TrainState
from semibench.harness.engines.native import NativeEngine
from semibench.harness.folder import Events
from semibench.harness.loading import BatchSource, batches
from semibench.harness.optimizers import build_optimizer
from semibench.methods.method import Batch, Method, Progress
from semibench.protocols.datasets.base import Dataset
from semibench.protocols.protocol import load

STEPS = 100
ROUNDS = 9
PROTOCOL = load("shapes-48")
CONFIGURATION = resolve(Request("fixmatch", PROTOCOL)).configuration
RECIPE = CONFIGURATION.recipe
PLAN = Plan(RECIPE, STEPS, 0, "cpu")
OPTIONS = RunOptions()


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return PROTOCOL.open(None)


@pytest.fixture(scope="module")
def source(dataset: Dataset) -> BatchSource:
    recipe = RECIPE.model_copy(update={"steps": STEPS})
    return BatchSource(dataset, PROTOCOL.split(dataset), recipe, new_method(dataset).views, seed=0)


@pytest.fixture(scope="module")
def in_memory(source: BatchSource) -> list[Batch]:
    return [source.batch(step) for step in range(8)]


def new_method(dataset: Dataset) -> Method:
    method, _ = build_method(CONFIGURATION, dataset, weights={})
    return method.train()


def run_bare(method: Method, pool: list[Batch]) -> None:
    """Train as one would without a harness: no callback, no check, the learning rate left as it is."""
    method.to(memory_format=torch.channels_last)
    optimizer = build_optimizer(method, RECIPE.optimizer)
    for step, batch in zip(range(STEPS), itertools.cycle(pool), strict=False):
        placed = tree_map(lambda x: x.to(memory_format=torch.channels_last) if x.ndim == 4 else x, batch)
        with torch.autocast("cpu", torch.bfloat16, enabled=RECIPE.precision == "bf16"):
            losses = method(placed, Progress(step, STEPS)).losses
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()


def run_engine(method: Method, pool: list[Batch], folder: Path) -> FitSummary:
    """Train with what ``semibench run`` watches a run with, every so many steps as it does by default."""

    def cycle(start: int) -> Iterator[Batch]:
        return itertools.islice(itertools.cycle(pool), start, None)

    watchers: list[Callback] = [
        callbacks.Log(Events(folder / "events.jsonl"), OPTIONS.log_every, tensorboard=None),
        callbacks.Checkpoint(folder / "last.pt", OPTIONS.checkpoint_every, on_saved=lambda step: None),
    ]
    return NativeEngine().fit(method, cycle, PLAN, watchers, resume_from=None)


def test_engine_log_and_checkpoints_against_a_bare_loop(
    benchmark: BenchmarkFixture, dataset: Dataset, in_memory: list[Batch], tmp_path: Path
) -> None:
    bare: list[float] = []
    full: list[float] = []

    def prepare() -> tuple[tuple[Method], dict[str, object]]:
        """Time the bare loop, right before the engine's turn: a slower minute slows both."""
        method = new_method(dataset)
        began = time.perf_counter()
        run_bare(method, in_memory)
        bare.append(time.perf_counter() - began)
        return (new_method(dataset),), {}

    def measured(method: Method) -> None:
        began = time.perf_counter()
        assert run_engine(method, in_memory, tmp_path).steps == STEPS
        full.append(time.perf_counter() - began)

    benchmark.pedantic(measured, setup=prepare, rounds=ROUNDS, warmup_rounds=1)
    ratio = statistics.median(one / other for one, other in zip(full[1:], bare[1:], strict=True))
    benchmark.extra_info |= {"ratio": ratio, "steps": STEPS, "bare_seconds_per_step": statistics.median(bare) / STEPS}
    report(f"engine, log and checkpoints / bare loop: {ratio:.3f} (aim: at most 1.05)")


class Shares(Callback):
    """Keeps the share of each step that was spent waiting for data."""

    def __init__(self) -> None:
        self.shares: list[float] = []

    def on_step(self, state: TrainState) -> None:
        self.shares.append(state.data_seconds / state.seconds)


def test_waiting_for_data_with_one_worker(benchmark: BenchmarkFixture, dataset: Dataset, source: BatchSource) -> None:
    watcher = Shares()

    def measured() -> FitSummary:
        return NativeEngine().fit(new_method(dataset), batches(source, workers=1), PLAN, [watcher], resume_from=None)

    summary = benchmark.pedantic(measured, rounds=1)
    share, later = summary.data_seconds / summary.seconds, statistics.fmean(watcher.shares[STEPS // 10 :])
    benchmark.extra_info |= {"share": share, "share_after_start": later, "steps": STEPS}
    report(f"waiting for data with one worker: {share:.3f} of {STEPS} steps, {later:.3f} after the start (aim: at most 0.05)")


def report(line: str) -> None:
    print(f"\n{line}")  # noqa: T201  # what `make bench` is run for
