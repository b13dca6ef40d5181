"""The command line as a whole: what it offers, what it prints where, and how it ends."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from semibench.reports import result
from semibench.reports.result import Result

COMMAND = [sys.executable, "-c", "import sys; from semibench.harness.cli import main; main(sys.argv[1:])"]
PLAIN = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}

Call = Callable[..., tuple[int, str, str]]


def process(*arguments: str, **changes: Any) -> "subprocess.CompletedProcess[str]":
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "check": False} | changes
    return subprocess.run([*COMMAND, *arguments], **options)


# What it offers.


def test_help_lists_every_command(call: Call) -> None:
    code, output, _ = call("--help")
    assert code == 0
    listed = [line.split()[0] for line in output.partition("Commands:")[2].splitlines() if line.strip()]
    names = "check check-results compare data doctor evaluate gallery list picture predict protocol run schema score show"
    assert listed == names.split()


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"]], ids=" ".join)
def test_the_examples_in_the_help_stand_on_lines_of_their_own(call: Call, arguments: list[str]) -> None:
    _, output, _ = call(*arguments)
    assert "\\b" not in output
    example = "semibench run --method fixmatch --protocol shapes-48"
    assert any(line.strip().startswith(example) and line.count("semibench") == 1 for line in output.splitlines())


def test_the_version_is_that_of_the_package(call: Call) -> None:
    assert call("--version")[:2] == (0, f"semibench, version {version('semibench')}\n")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_can_be_had(shell: str) -> None:
    done = process(env=os.environ | {"_SEMIBENCH_COMPLETE": f"{shell}_source"})
    assert done.returncode == 0
    assert f"_SEMIBENCH_COMPLETE={shell}_complete" in done.stdout


@pytest.mark.parametrize(
    ("line", "offered"),
    [("semibench com", "plain,compare\n"), ("semibench list m", "plain,methods\n"), ("semibench compere --for", "\n")],
    ids=["command", "part", "after a wrong command"],
)
def test_completion_offers_what_fits_and_says_nothing_else(line: str, offered: str) -> None:
    words = {"COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
    done = process(env=os.environ | words | {"_SEMIBENCH_COMPLETE": "bash_complete"})
    assert (done.stdout, done.stderr) == (offered, "")


# How it ends.


def test_what_succeeds_ends_with_0(call: Call) -> None:
    assert call("list", "methods")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rnu"], "command 'rnu' not found; nearest: run. Run 'semibench --help'."),
        (["list", "methds"], "Did you mean 'methods'?"),
        (["run", "--methd", "fixmatch"], "--method"),
        (["run", "--method", "fixmatch"], "Missing option '--protocol'"),
        (["show", "--method", "fixmatch", "--protocol", "shapes-48", "--seed", "3-x"], "is not a list of seeds"),
    ],
    ids=["command", "subcommand", "option", "missing", "value"],
)
def test_a_wrong_command_ends_with_2_and_says_what_was_meant(call: Call, arguments: list[str], message: str) -> None:
    code, output, errors = call(*arguments)
    assert (code, output) == (2, "")
    assert message in errors


def test_what_would_break_comparability_ends_with_3(
    call: Call, make_result: Callable[..., Result], save_result: Callable[..., Path], tmp_path: Path
) -> None:
    save_result(make_result(), tmp_path / "mine")
    save_result(make_result(confusion=((4, 0), (0, 4))), tmp_path / "yours")
    code, _, errors = call("compare", tmp_path)
    assert code == 3
    assert "One run has one score" in errors


def test_invalid_data_ends_with_4(call: Call, tmp_path: Path) -> None:
    code, _, errors = call("list", "runs", tmp_path / "absent")
    assert code == 4
    assert "absent' not found" in errors


def test_a_name_in_an_error_begins_no_line_of_its_own(call: Call) -> None:
    code, _, errors = call("list", "runs", "a\n::error::b\x1b[2J")
    assert code == 4
    assert errors.startswith("Error: folder 'a ::error::b\N{REPLACEMENT CHARACTER}[2J' not found.")


def test_a_reader_that_goes_away_is_told_nothing_more() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as closed:
        done = process("list", "protocols", stdout=closed)
    assert (done.returncode, done.stderr) == (1, "")


# Colors.


def on_a_terminal(arguments: list[str], environment: Mapping[str, str]) -> str:
    """Return what a command prints when output and errors are a terminal."""
    ours, theirs = pty.openpty()
    process(*arguments, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        return terminal.read(10_000).decode()


def test_a_terminal_gets_colors() -> None:
    assert "\x1b[" in on_a_terminal(["rnu"], PLAIN)


def test_no_color_means_no_escape_codes_on_a_terminal() -> None:
    shown = on_a_terminal(["rnu"], PLAIN | {"NO_COLOR": "1"})
    assert "command 'rnu' not found" in shown
    assert "\x1b[" not in shown


def test_a_file_gets_no_escape_codes() -> None:
    errors = process("rnu", env=PLAIN).stderr
    assert errors.startswith("Error: command 'rnu' not found")


# What scripts read.


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        (["list", "methods", "--json"], "fixmatch"),
        (["list", "protocols", "--json"], "camvid-37@hash0"),
        (["list", "datasets", "--json"], "shapes"),
        (["show", "--method", "fixmatch", "--protocol", "shapes-48", "--json"], "configuration"),
        (["doctor", "--json"], "environment"),
    ],
    ids=["methods", "protocols", "datasets", "show", "doctor"],
)
def test_json_is_an_object_with_the_names_of_things(call: Call, arguments: list[str], key: str) -> None:
    code, output, errors = call(*arguments)
    assert (code, errors) == (0, "")
    assert json.loads(output)[key]


def test_the_json_of_runs_is_a_list_of_them(
    call: Call, make_result: Callable[..., Result], save_result: Callable[[Result], Path], tmp_path: Path
) -> None:
    save_result(make_result())
    (run,) = json.loads(call("list", "runs", tmp_path, "--json")[1])
    assert (run["protocol"], run["method"], run["miou"]) == ("voc-92", "fixmatch", 0.6)


def test_a_result_file_is_what_the_schema_says(
    call: Call, make_result: Callable[..., Result], save_result: Callable[[Result], Path]
) -> None:
    schema = json.loads(call("schema")[1])
    content = json.loads((save_result(make_result()) / "result.json").read_text())
    assert departures(content, schema, schema["$defs"]) == []
    del content["cost"]["macs"]
    content["seeed"] = 0
    assert departures(content, schema, schema["$defs"]) == ["result.cost lacks macs", "result has seeed"]


def departures(value: Any, schema: Mapping[str, Any], models: Mapping[str, Any], name: str = "result") -> list[str]:
    """Return which keys an object lacks or has besides those of its schema, and so below it."""
    schema = schema.get("anyOf", [schema])[0]  # the other one is null
    schema = models[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    if not isinstance(value, dict) or "properties" not in schema:
        return []
    inner = [
        line for key, part in schema["properties"].items() for line in departures(value.get(key), part, models, f"{name}.{key}")
    ]
    lacking = [f"{name} lacks {key}" for key in schema["required"] if key not in value]
    return [*inner, *lacking, *(f"{name} has {key}" for key in value if key not in schema["properties"])]


def test_the_schema_names_itself(call: Call) -> None:
    schema = json.loads(call("schema")[1])
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert schema["properties"]["schema"]["maximum"] == result.SCHEMA


# What is there.


@pytest.fixture
def camvid(tmp_path: Path) -> Path:
    """A folder that looks like CamVid's."""
    folder = tmp_path / "data" / "camvid"
    folder.mkdir(parents=True)
    for subset in ("train", "val", "test"):
        (folder / f"{subset}.txt").write_text(f"{subset}_1\n")
    return folder


def test_doctor_finds_a_data_set_below_the_data_root(call: Call, camvid: Path) -> None:
    found = json.loads(call("doctor", "--data-root", camvid.parent, "--json")[1])["data sets"]
    assert found["camvid"] == f"found in {camvid}"
    assert found["shapes"] == "built in"


def test_doctor_takes_the_data_root_from_the_environment(call: Call, camvid: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEMIBENCH_DATA", str(camvid))
    assert f"found in {camvid}" in call("doctor")[1]


def test_doctor_says_what_it_looked_for(call: Call, tmp_path: Path) -> None:
    code, output, _ = call("doctor", "--data-root", tmp_path)
    assert code == 0
    assert "a folder with train.txt, val.txt, test.txt was looked for" in output
