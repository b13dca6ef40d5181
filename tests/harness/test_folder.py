"""Run folders: lock, configuration, events."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from semibench.errors import DataError, RunFailedError, UsageError
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


def test_what_a_killed_process_left_half_written_is_removed_under_the_lock(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.last.parent.mkdir()
    drafts = [tmp_path / ".result.json.123.part", folder.last.with_name(".last.pt.123.part")]
    for draft in drafts:
        draft.touch()
    with folder.lock():
        assert not any(draft.exists() for draft in drafts)


def test_a_folder_that_cannot_be_made_is_refused_with_the_next_step(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunFailedError, match=r"cannot be made or written.*choose another --output"):  # noqa: SIM117
        with RunFolder(tmp_path / "file" / "run").lock():
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


@pytest.mark.parametrize("content", [None, "", "{}", '{"status": "running", "step": 3'], ids=["none", "empty", "bare", "cut"])
def test_a_status_that_cannot_be_read_is_none(tmp_path: Path, content: str | None) -> None:
    folder = RunFolder(tmp_path)
    if content is not None:
        folder.status.write_text(content)
    assert folder.read_status() is None


def test_an_attempt_without_a_checkpoint_is_forgotten_whole(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.forget_attempt()
    folder.best.parent.mkdir()
    folder.best.touch()
    folder.events.append("started", 0)
    folder.forget_attempt()
    assert folder.events.read() == []
    assert not folder.best.exists()


@pytest.mark.parametrize(
    "line", ['{"event": "log", "st', "[1]", '{"event": "log"}', "\xff"], ids=["cut", "list", "key", "bytes"]
)
def test_a_damaged_whole_line_is_refused_with_the_name_of_the_file(tmp_path: Path, line: str) -> None:
    events = Events(tmp_path / "events.jsonl")
    events.append("log", 1)
    with events.path.open("a", encoding="latin-1") as file:
        file.write(line + "\n")
    with pytest.raises(DataError, match=r"line 2 of .*events\.jsonl is not an event"):
        events.read()


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
