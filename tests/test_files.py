import errno
import os

import pytest

from semibench.errors import RunFailedError
from semibench.files import remove_drafts, replacing, write_text


def refuse(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_text_is_written_with_its_folder(tmp_path):
    write_text(tmp_path / "runs" / "note.txt", "Größe\n")
    assert (tmp_path / "runs" / "note.txt").read_bytes() == "Größe\n".encode()


def test_nothing_but_the_file_stays_behind(tmp_path):
    write_text(tmp_path / "note.txt", "old")
    write_text(tmp_path / "note.txt", "new")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("note.txt", "new")]


def test_the_old_file_is_there_until_the_new_one_is_complete(tmp_path):
    write_text(tmp_path / "note.txt", "old")
    with replacing(tmp_path / "note.txt") as draft:
        draft.write_text("half")
        assert (tmp_path / "note.txt").read_text() == "old"


def test_an_interrupted_write_keeps_the_old_file_and_no_draft(tmp_path):
    write_text(tmp_path / "note.txt", "old")
    with pytest.raises(KeyboardInterrupt), replacing(tmp_path / "note.txt") as draft:
        draft.write_text("half")
        raise KeyboardInterrupt
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("note.txt", "old")]


@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_a_full_disk_keeps_the_old_file_and_says_so(tmp_path, monkeypatch, moment):
    write_text(tmp_path / "note.txt", "old")
    monkeypatch.setattr(os, moment, refuse)
    with pytest.raises(RunFailedError, match=r"note\.txt could not be written: No space left on device\. Free disk space"):
        write_text(tmp_path / "note.txt", "new")
    monkeypatch.undo()
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("note.txt", "old")]


def test_a_full_disk_while_writing_keeps_the_old_file_and_no_draft(tmp_path):
    write_text(tmp_path / "note.txt", "old")
    with pytest.raises(RunFailedError, match="No space left"), replacing(tmp_path / "note.txt") as draft:
        draft.write_text("half")
        refuse()
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("note.txt", "old")]


def test_a_folder_that_cannot_be_made_is_an_error_for_the_user(tmp_path):
    (tmp_path / "runs").touch()
    with pytest.raises(RunFailedError, match=r"note\.txt could not be written"):
        write_text(tmp_path / "runs" / "note.txt", "new")


def test_only_drafts_are_removed_wherever_they_lie(tmp_path):
    write_text(tmp_path / "checkpoints" / "last.pt", "kept")
    for draft in (tmp_path / ".note.txt.12.part", tmp_path / "checkpoints" / ".last.pt.12.part"):
        draft.touch()
    remove_drafts(tmp_path)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["last.pt"]
