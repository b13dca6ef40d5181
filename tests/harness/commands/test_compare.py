"""semibench compare: folders in, tables out."""

import json

import pytest
from click.testing import CliRunner

from semibench.errors import DataError, UsageError
from semibench.harness.commands.compare import command


def _run(*arguments):
    return CliRunner().invoke(command, [str(argument) for argument in arguments], catch_exceptions=True)


@pytest.fixture
def runs(make_result, save_result, tmp_path):
    for seed in (0, 1):
        save_result(make_result(seed=seed))
    save_result(make_result(method="supervised", confusion=((4, 0), (0, 4))))
    return tmp_path


def test_markdown_is_printed_by_default(runs):
    outcome = _run(runs)
    assert outcome.exit_code == 0
    assert outcome.stdout.startswith("### voc-92\n\n| Method")
    assert "**100.00**" in outcome.stdout


def test_the_default_folder_is_runs(make_result, save_result, tmp_path, monkeypatch):
    save_result(make_result(), tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    assert "fixmatch" in _run().stdout


@pytest.mark.parametrize(("name", "start"), [("latex", "\\documentclass"), ("csv", '"protocol"'), ("json", "{")])
def test_other_formats_are_found_by_name(runs, name, start):
    assert _run(runs, "--format", name).stdout.startswith(start)


def test_an_unknown_format_names_the_nearest(runs):
    error = _run(runs, "--format", "markdwn").exception
    assert isinstance(error, UsageError)
    assert "nearest: markdown" in str(error)


def test_the_table_can_go_to_a_file(runs, tmp_path):
    outcome = _run(runs, "--format", "json", "--output", tmp_path / "table.json")
    assert outcome.stdout == ""
    assert json.loads((tmp_path / "table.json").read_text())["tables"][0]["title"] == "voc-92"


def test_columns_and_order_are_the_users(runs):
    outcome = _run(runs, "--format", "csv", "--columns", "method, seeds", "--sort", "seeds")
    assert [line.split(",")[-3:] for line in outcome.stdout.splitlines()[1:]] == [
        ['"fixmatch"', "2", '"0 1"'],
        ['"supervised"', "1", '"0"'],
    ]


def test_a_missing_folder_is_a_data_error(tmp_path):
    error = _run(tmp_path / "absent").exception
    assert isinstance(error, DataError)
    assert "semibench run" in str(error)


def test_protocols_without_a_complete_run_are_named_apart_from_the_tables(runs):
    folder = runs / "voc-183" / "fixmatch" / "abc"
    folder.mkdir(parents=True)
    (folder / "status.json").write_text('{"status": "failed"}')
    outcome = _run(runs)
    assert "voc-183" not in outcome.stdout
    assert "1 run: voc-183/fixmatch/abc (failed)" in outcome.stderr


@pytest.mark.parametrize("tolerance", ["nan", "inf", "-1"])
def test_a_tolerance_that_nothing_or_everything_exceeds_is_refused(runs, tmp_path, tolerance):
    outcome = _run(runs, "--against", tmp_path / "then.json", "--tolerance", tolerance)
    assert outcome.exit_code == 2
    assert "--tolerance" in outcome.stderr


@pytest.mark.parametrize("format_name", ["markdown", "latex", "csv", "json"])
def test_every_format_shows_differences_to_a_baseline(make_result, save_result, tmp_path, format_name):
    for seed in range(3):
        save_result(make_result(seed=seed, confusion=((4, 0), (seed, 4))))
        save_result(make_result(seed=seed, method="supervised"))
    text = _run(tmp_path, "--baseline", "supervised", "--format", format_name).stdout
    shown = {"markdown": " vs supervised (points) |", "latex": "& vs supervised (points) &"}
    assert shown.get(format_name, '"difference_low"') in text
    assert ("+22.22" if format_name in shown else "0.2222") in text  # mIoU 1, 0.8 and 0.67 less 0.6


def test_names_in_what_is_said_beside_a_table_begin_no_line(runs, tmp_path):
    earlier = tmp_path / "earlier.json"
    earlier.write_text(_run(runs, "--format", "json").stdout.replace('"fixmatch"', r'"a\n::error::b"'))
    (runs / "begun").mkdir()
    (runs / "begun" / "status.json").write_text(r'{"protocol": "c\n::error::d", "method": "e", "status": "failed"}')
    said = _run(runs, "--against", earlier).stderr
    assert "missing: voc-92 a ::error::b resnet18" in said
    assert "Left out, not complete: 1 run: c ::error::d/e/begun (failed)." in said
