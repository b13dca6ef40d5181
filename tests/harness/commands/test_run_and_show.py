"""semibench run and show: which seeds, and what scripts read."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from semibench.errors import RunFailedError
from semibench.harness.prepare import Prepared
from semibench.protocols.protocol import load
from semibench.reports.result import Result

Call = Callable[..., tuple[int, str, str]]
WANTED = ["--method", "supervised", "--protocol", "shapes-48"]


def test_all_seeds_are_those_of_the_protocol(call: Call) -> None:
    shown = json.loads(call("show", *WANTED, "--seed", "all", "--json")[1])
    assert [document["configuration"]["seed"] for document in shown] == list(load("shapes-48").seeds)


@pytest.mark.parametrize("seeds", ["4-2", "3-", "-1", "", "1,,2"])
def test_what_is_not_a_list_of_seeds_is_refused(call: Call, seeds: str) -> None:
    code, _, errors = call("show", *WANTED, "--seed", seeds)
    assert code == 2
    assert "is not a list of seeds" in errors


def test_show_gives_scripts_every_value_with_its_origin(call: Call) -> None:
    shown = json.loads(call("show", *WANTED, "--set", "recipe.steps=7", "--json")[1])
    assert shown["configuration"]["recipe"]["steps"] == 7
    assert shown["origins"]["recipe.steps"] == "--set"
    assert shown["origins"]["run.workers"] == "default"


def test_a_dry_run_gives_scripts_what_would_run(call: Call, tmp_path: Path) -> None:
    code, output, _ = call("run", *WANTED, "--seed", "3,4", "--dry-run", "--json", "--output", tmp_path)
    first, second = json.loads(output)
    assert code == 0
    assert (first["state"], first["labeled"], first["steps"]) == ("new", 48, 1000)
    assert second["configuration"]["seed"] == 4
    assert first["folder"].endswith(first["run_id"][:12])


def test_compiling_and_earlier_runs_have_options_of_their_own(call: Call, tmp_path: Path) -> None:
    code, output, _ = call("run", *WANTED, "--compile", "--dry-run", "--json", "--output", tmp_path)
    assert (code, json.loads(output)[0]["configuration"]["run"]["compile"]) == (0, True)
    code, _, errors = call("run", *WANTED, "--reference", tmp_path / "result.json", "--dry-run", "--output", tmp_path)
    assert (code, "result.json cannot be read" in errors) == (4, True)


def test_a_dry_run_refuses_what_would_fail_in_the_first_step(call: Call, tmp_path: Path) -> None:
    code, _, errors = call("run", *WANTED, "--set", "recipe.batch.labeled=1", "--dry-run", "--output", tmp_path)
    assert code == 2
    assert "cannot normalize a pass of one image in training mode" in errors
    assert not list(tmp_path.iterdir())


def test_a_seed_that_fails_does_not_take_finished_results_along(
    call: Call, tmp_path: Path, make_result: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(prepared: Prepared, **_: object) -> Result:
        seed = prepared.configuration.seed
        if seed == 2:
            raise RunFailedError("the loss is not finite", "Lower the rate.")
        return make_result(seed=seed)

    monkeypatch.setattr("semibench.harness.launch.run", run)
    code, output, errors = call("run", *WANTED, "--seed", "0-3", "--json", "--output", tmp_path)
    assert code == 1
    assert "the loss is not finite" in errors
    assert [result["seed"] for result in json.loads(output)] == [0, 1]
