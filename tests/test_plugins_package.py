"""A method of another package: found by its entry point, listed, trained and compared like semibench's own.

The package is ``tests/plugin_package``; it is installed into a folder as pip would, and that folder is put on the path.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent / "plugin_package" / "semibench_entropy"
METADATA = "Metadata-Version: 2.1\nName: semibench-entropy\nVersion: 0.1\n"
ENTRY_POINTS = "[semibench.methods]\nentropy = semibench_entropy.entropy\n"
SMALL = ["recipe.steps=2", "recipe.batch.labeled=2", "recipe.batch.unlabeled=2", "evaluation.every=2", "run.log_every=1"]
SMALL += ["run.tensorboard=false", "run.workers=0", "network.channels=8", "network.low_channels=4"]
PROGRAM = "import sys; from semibench.harness.cli import main; main(sys.argv[1:])"

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the package is installed."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(SOURCE, folder / SOURCE.name, ignore=shutil.ignore_patterns("__pycache__"))
    information = folder / "semibench_entropy-0.1.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(METADATA)
    (information / "entry_points.txt").write_text(ENTRY_POINTS)
    return folder


@pytest.fixture
def call(site: Path, monkeypatch: pytest.MonkeyPatch, call: Call) -> Iterator[Call]:
    """Run the command line in this process, with the package on its path until the test ends."""
    monkeypatch.syspath_prepend(str(site))
    yield call
    for name in [name for name in sys.modules if name.partition(".")[0] == SOURCE.name]:
        del sys.modules[name]


def process(*arguments: str, path: Path | None) -> "subprocess.CompletedProcess[str]":
    """Run the command line in a process of its own, with ``path`` on its path."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment |= {"PYTHONPATH": str(path)} if path else {}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def runs(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of runs after two steps of training."""
    output = tmp_path_factory.mktemp("runs")
    settings = [word for setting in SMALL for word in ("--set", setting)]
    wanted = ["run", "--method", "entropy", "--protocol", "shapes-16", "--set", "method.weight=0.5", "--output", str(output)]
    done = process(*wanted, *settings, "--quiet", path=site)
    assert done.returncode == 0, done.stderr
    assert "entropy on shapes-16, seed 0" in done.stdout
    return output


def test_a_process_that_sees_the_package_lists_its_method_beside_the_others(site: Path) -> None:
    listed = json.loads(process("list", "methods", "--json", path=site).stdout)
    assert listed["entropy"] == "from semibench_entropy.entropy"
    assert {"fixmatch", "supervised"} <= listed.keys()


def test_a_process_that_does_not_see_it_has_no_such_method() -> None:
    listed = json.loads(process("list", "methods", "--json", path=None).stdout)
    assert "entropy" not in listed
    assert "fixmatch" in listed


def test_it_is_offered_when_its_name_is_misspelt(call: Call) -> None:
    code, _, errors = call("show", "--method", "entrpy", "--protocol", "shapes-16")
    assert code == 2
    assert "method 'entrpy' not found; nearest: entropy" in errors


def test_its_own_values_are_shown_and_checked_like_any_other(call: Call) -> None:
    wanted = ("show", "--method", "entropy", "--protocol", "shapes-16", "--set")
    assert "method.weight = 0.25 # --set" in call(*wanted, "method.weight=0.25")[1]
    assert "unknown key 'method.wieght' in --set. Nearest: weight" in call(*wanted, "method.wieght=1")[2]


def test_it_is_held_to_the_contract_like_any_other(call: Call) -> None:
    code, shown, _ = call("check", "entropy", "--quick")
    assert code == 0
    assert "\n\nConformant.\n\n" in shown


def test_it_trains_and_is_recorded_unchanged(runs: Path) -> None:
    (path,) = runs.glob("shapes-16/entropy/*/result.json")
    content = json.loads(path.read_text())
    assert (content["method"], content["config"], content["steps"]) == ("entropy", {"weight": 0.5}, 2)
    assert sum(map(sum, content["confusion"])) == 300 * 64 * 64


def test_its_losses_are_in_the_log(runs: Path) -> None:
    (path,) = runs.glob("shapes-16/entropy/*/events.jsonl")
    events = [json.loads(line) for line in path.read_text().splitlines()]
    logged = [event for event in events if event["event"] == "log"]
    assert [event["step"] for event in logged] == [1, 2]
    assert all(event["losses"]["supervised"] > 0 and event["losses"]["entropy"] > 0 for event in logged)


def test_it_stands_in_the_tables(call: Call, runs: Path) -> None:
    assert "| entropy" in call("compare", runs)[1]


def test_its_checkpoint_can_be_scored_again(call: Call, runs: Path) -> None:
    (folder,) = runs.glob("shapes-16/entropy/*")
    scores = json.loads(call("evaluate", folder, "--json")[1])
    assert scores["confusion"] == json.loads((folder / "result.json").read_text())["confusion"]
