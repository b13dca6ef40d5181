"""What a step of each method costs, relative to ``supervised``: time without waiting for data, and memory of the process.

``make bench`` runs it and prints the table; each method is a run of its own process, on one configuration.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from semibench import plugins

STEPS = 60
TEACHERS = ("deep", "wide")
METHODS = [name for name in plugins.summaries(plugins.METHOD) if plugins.real_name(plugins.METHOD, name) == name]
BASELINE = "supervised"
COMMAND = [sys.executable, "-c", "from semibench.harness.cli import main; main()"]


@pytest.fixture(scope="module")
def measured() -> Iterator[dict[str, dict[str, Any]]]:
    """Method -> cost of its run, filled by the tests; printed when all are done."""
    costs: dict[str, dict[str, Any]] = {}
    yield costs
    if BASELINE in costs:
        base = costs[BASELINE]
        print("\n\n| method | steps/s | time of a step | peak memory (MB) |\n|---|---|---|---|")  # noqa: T201
        for name, cost in costs.items():
            ratio = _seconds(cost) / _seconds(base)
            print(f"| {name} | {1 / _seconds(cost):.1f} | {ratio:.2f} | {cost['peak_memory'] / 1e6:.0f} |")  # noqa: T201


@pytest.mark.parametrize("name", sorted(METHODS, key=lambda name: (name != BASELINE, name == "mgd", name)))
def test_a_step_of_each_method(
    benchmark: BenchmarkFixture, name: str, measured: dict[str, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    if name == "d2_deeplab":
        pytest.importorskip("detectron2", reason="Detectron2 is not installed")
    folder = tmp_path_factory.mktemp(name)
    arguments = [argument for role in TEACHERS for argument in _teacher(role, folder)] if name == "mgd" else []
    cost = benchmark.pedantic(_run, (name, folder, *arguments), rounds=1)["cost"]
    assert cost["training_seconds"] > 0
    benchmark.extra_info |= {"seconds_per_step": _seconds(cost), "peak_memory": cost["peak_memory"]}
    measured[name] = cost


def _teacher(role: str, folder: Path) -> list[str]:
    """Train a teacher for two steps; return the option that names it."""
    _run("cps", folder / role, "--set", "recipe.steps=2")
    (result,) = (folder / role).rglob("result.json")
    return ["--set", f"method.teachers.{role}={result.parent}"]


def _run(name: str, folder: Path, *arguments: str) -> dict[str, Any]:
    options = ["--set", f"recipe.steps={STEPS}", "--set", "run.threads=1", "--workers", "0", "--output", str(folder / "runs")]
    command = [*COMMAND, "run", "--method", name, "--protocol", "shapes-48", *options, *arguments]
    subprocess.run(command, check=True, capture_output=True)
    (result,) = (folder / "runs").rglob("result.json")
    content: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
    return content


def _seconds(cost: dict[str, Any]) -> float:
    return float(cost["training_seconds"] * (1 - cost["data_wait"]) / STEPS)
