"""Runs as `semibench list runs` shows them: from plain JSON, whatever state they are in."""

import json
import subprocess
import sys

import pytest

from semibench.errors import DataError
from semibench.reports.listing import RunSummary, find, list_runs, summarize


def _status(tmp_path, run_id="abc", **status):
    folder = tmp_path / "voc-92" / "fixmatch" / run_id
    folder.mkdir(parents=True)
    (folder / "status.json").write_text(json.dumps(status))
    return folder


def test_runs_are_found_once_in_path_order_however_folders_overlap(make_result, save_result, tmp_path):
    done = save_result(make_result())
    running = _status(tmp_path, status="running", step=1, total=2)
    assert find([tmp_path, tmp_path / "voc-92", done]) == sorted([done, running])


def test_what_a_run_keeps_in_its_folder_is_not_a_run(make_result, save_result, tmp_path):
    folder = save_result(make_result())
    (folder / "pictures").mkdir()
    (folder / "pictures" / "status.json").write_text("{}")
    assert find([tmp_path]) == [folder]


def test_a_missing_folder_is_an_error_that_names_it(tmp_path):
    with pytest.raises(DataError, match="absent' not found"):
        find([tmp_path / "absent"])


def test_a_finished_run_is_told_by_its_result(make_result, save_result):
    result = make_result(seed=3)
    (folder := save_result(result)).joinpath("status.json").write_text('{"status": "running"}')
    assert summarize(folder) == RunSummary("voc-92", "fixmatch", 3, "complete", result.miou, result.run_id[:12])


def test_an_unfinished_run_is_told_by_its_folder_and_status(tmp_path):
    folder = _status(tmp_path, status="failed", step=1, total=2, seed=4)
    assert summarize(folder) == RunSummary("voc-92", "fixmatch", 4, "failed", None, "abc")
    assert summarize(folder).name == "voc-92/fixmatch/abc"


@pytest.mark.parametrize("text", ["", "[]", "{", '{"status": 3}'])
def test_a_broken_file_is_shown_as_unreadable_and_stops_nothing(tmp_path, text):
    folder = _status(tmp_path)
    (folder / "result.json").write_text(text)
    assert [run.status for run in list_runs([tmp_path])] == ["unreadable"]


def test_listing_loads_neither_numpy_nor_pydantic():
    program = "import sys, semibench.reports.listing; print(*{'numpy', 'pydantic', 'torch'} & set(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert loaded.split() == []


def test_a_name_begins_no_line_and_commands_no_terminal(tmp_path):
    folder = _status(tmp_path, protocol="a\n::error::b", method="\x1b[2J", status="failed\u202e", run_id="c\rd")
    assert summarize(folder)[:2] == ("a ::error::b", "\N{REPLACEMENT CHARACTER}[2J")
    assert summarize(folder).status == "failed\N{REPLACEMENT CHARACTER}"
