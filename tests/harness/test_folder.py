"""Run folders: lock, configuration, events."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from semibench.errors import UsageError
from semibench.harness.folder import Events, RunFolder


def test_two_processes_cannot_work_on_one_folder(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from semibench.harness.folder import RunFolder\n"
        "from semibench.errors import UsageError\n"
        "try:\n"
        "    with RunFolder(Path(sys.argv[1])).lock(): print('in')\n"
        "except UsageError as error: print(error)\n"
    )
    with RunFolder(tmp_path).lock():
        other = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert "another process is working on the run" in other.stdout
    alone = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert alone.stdout == "in\n"


def test_the_lock_can_be_taken_again_after_its_release(tmp_path: Path) -> None:
    for _ in range(2):
        with RunFolder(tmp_path).lock():
            pass


def test_a_folder_of_another_configuration_is_refused(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.write_config("a = 1\n", "1" * 64)
    folder.write_config("a = 1\n", "1" * 64)
    with pytest.raises(UsageError, match="another configuration"):
        folder.write_config("a = 2\n", "2" * 64)


def test_a_folder_with_checkpoints_but_no_configuration_is_refused(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.last.parent.mkdir(parents=True)
    folder.last.touch()
    with pytest.raises(UsageError, match="another configuration"):
        folder.write_config("a = 1\n", "1" * 64)


def test_cutting_events_keeps_those_up_to_the_step(tmp_path: Path) -> None:
    events = Events(tmp_path / "events.jsonl")
    for step in range(5):
        events.append("log", step, loss=step / 2)
    events.cut(2)
    assert [event["step"] for event in events.read()] == [0, 1, 2]


def test_a_half_written_last_line_is_left_out_and_cut_off(tmp_path: Path) -> None:
    events = Events(tmp_path / "events.jsonl")
    events.append("log", 1)
    with events.path.open("a") as file:
        file.write('{"event": "log", "st')
    assert [event["step"] for event in events.read()] == [1]
    events.cut(10)
    events.append("log", 2)
    assert [json.loads(line)["step"] for line in events.path.read_text().splitlines()] == [1, 2]
