"""semibench check-results: exit code 0 for what runs wrote, 1 for anything else."""

from xml.etree import ElementTree

import pytest

from semibench.errors import DataError, RunFailedError
from semibench.harness.cli import cli


def check_results(*arguments):
    cli.main(["check-results", *map(str, arguments)], standalone_mode=False)


@pytest.fixture
def edited(make_result, save_result, tmp_path):
    """A folder with one result, which no run wrote."""
    save_result(make_result())
    return tmp_path


def test_a_problem_is_printed_and_ends_with_one(edited, capsys):
    with pytest.raises(RunFailedError, match=r"problems in 1 result\. Restore") as error:
        check_results(edited)
    assert error.value.exit_code == 1
    assert "result.json: identity: run_id does not follow" in capsys.readouterr().out


def test_in_a_workflow_problems_are_annotations(edited, capsys, monkeypatch):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    with pytest.raises(RunFailedError):
        check_results(edited)
    assert all(line.startswith("::error file=") for line in capsys.readouterr().out.splitlines())


def test_junit_is_written_before_the_command_fails(edited, tmp_path):
    with pytest.raises(RunFailedError):
        check_results(edited, "--junit", tmp_path / "report.xml", "--without-counts")
    suite = ElementTree.fromstring((tmp_path / "report.xml").read_text())
    assert int(suite.get("failures") or 0) > 0


def test_no_result_is_a_data_error(tmp_path):
    with pytest.raises(DataError, match="no result found"):
        check_results(tmp_path)
