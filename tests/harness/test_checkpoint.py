"""Checkpoints are whole or not there, and carry no code."""

import errno
import os
import pickle
from pathlib import Path

import pytest
import torch

from semibench.errors import DataError, RunFailedError
from semibench.harness import checkpoint


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "last.pt", {"step": 3, "method": {"w": torch.arange(3.0)}})
    content = checkpoint.load(tmp_path / "last.pt")
    assert content["step"] == 3
    assert content["method"]["w"].tolist() == [0, 1, 2]


def test_a_truncated_checkpoint_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    checkpoint.save(path, {"w": torch.randn(1000)})
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DataError, match=r"last\.pt"):
        checkpoint.load(path)


def test_a_single_flipped_bit_is_found(tmp_path: Path) -> None:
    path, numbers = tmp_path / "last.pt", torch.randn(1000)
    checkpoint.save(path, {"w": numbers})
    content = bytearray(path.read_bytes())
    content[content.index(numbers.numpy().tobytes()) + 1234] ^= 1
    path.write_bytes(content)
    assert not torch.equal(torch.load(path, weights_only=True)["w"], numbers)  # torch itself takes it
    with pytest.raises(DataError, match=r"last\.pt cannot be read"):
        checkpoint.load(path)


def test_the_previous_checkpoint_stays_until_the_new_one_has_been_read_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "last.pt"
    checkpoint.save(path, {"step": 1})
    write = torch.save

    def write_badly(content: object, draft: Path) -> None:
        write(content, draft)
        draft.write_bytes(draft.read_bytes()[:-100])

    monkeypatch.setattr(torch, "save", write_badly)
    with pytest.raises(RunFailedError, match=r"it was not written whole.*the previous file is kept"):
        checkpoint.save(path, {"step": 2})
    assert checkpoint.load(path)["step"] == 1


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x05\x06" + bytes(18), b"\x80\x02]q\x00.", bytes(100)])
def test_a_file_that_is_none_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "last.pt").write_bytes(content)
    with pytest.raises(DataError, match=r"last\.pt"):
        checkpoint.load(tmp_path / "last.pt")


def test_whatever_torch_stumbles_over_is_an_error_for_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stumble(*_: object, **__: object) -> None:
        raise KeyError("storages")

    checkpoint.save(tmp_path / "last.pt", {"step": 1})
    monkeypatch.setattr(torch, "load", stumble)
    with pytest.raises(DataError, match=r"last\.pt cannot be read"):
        checkpoint.load(tmp_path / "last.pt")


class _Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("false",)


@pytest.mark.parametrize("content", [_Bomb(), {"w": _Bomb()}], ids=["alone", "inside"])
def test_a_checkpoint_with_code_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "evil.pt")
    with pytest.raises(DataError, match="cannot be read"):
        checkpoint.load(tmp_path / "evil.pt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(content, protocol=2))
    with pytest.raises(DataError, match="cannot be read"):
        checkpoint.load(tmp_path / "plain.pt")


def test_a_full_disk_keeps_the_previous_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "last.pt"
    checkpoint.save(path, {"step": 1})

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(RunFailedError, match="No space left"):
        checkpoint.save(path, {"step": 2})
    assert checkpoint.load(path)["step"] == 1
    assert [file.name for file in tmp_path.iterdir()] == ["last.pt"]


def test_a_torch_writer_s_own_failure_is_reported_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(RunFailedError, match="could not be written"):
        checkpoint.save(tmp_path / "last.pt", {"step": 2})


def test_the_digest_of_tensors_depends_on_names_values_types_and_shapes() -> None:
    base = {"w": torch.arange(4.0)}
    others = [{"v": base["w"]}, {"w": base["w"] + 1}, {"w": base["w"].int()}, {"w": base["w"].reshape(2, 2)}]
    digests = {checkpoint.digest_tensors(state) for state in [base, *others]}
    assert len(digests) == 5


def test_the_digest_of_tensors_does_not_depend_on_memory_layout_or_order() -> None:
    image = torch.randn(1, 3, 4, 4)
    first = {"a": image, "b": torch.ones(1)}
    second = {"b": torch.ones(1), "a": image.to(memory_format=torch.channels_last)}
    assert checkpoint.digest_tensors(first) == checkpoint.digest_tensors(second)
