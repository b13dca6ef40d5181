"""TorchScript archives, read without their code."""

import pickle
import warnings
import zipfile
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from semibench.errors import DataError
from semibench.methods.networks import _torchscript
from semibench.methods.networks._weights import read_tensors


class Tower(nn.Module):
    scale: float

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2))
        self.table = nn.Parameter(torch.arange(6.0).reshape(2, 3).mT)  # not contiguous
        self.register_buffer("size", torch.tensor(224))
        self.scale, self.sizes = 2.0, [1, 2]

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x) * self.scale + self.sizes[0]


@pytest.fixture
def archive(tmp_path: Path) -> tuple[Tower, Path]:
    torch.manual_seed(0)
    tower = Tower().half()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer versions of torch call TorchScript old
        torch.jit.save(torch.jit.script(tower), tmp_path / "tower.pt")
    return tower, tmp_path / "tower.pt"


def test_its_tensors_are_those_of_the_module(archive):
    tower, path = archive
    found, expected = read_tensors(path), tower.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], tensor) and found[name].dtype == tensor.dtype for name, tensor in expected.items())


def test_a_file_of_torch_save_is_none(tmp_path):
    torch.save({"a": torch.zeros(1)}, tmp_path / "plain.pt")
    assert not _torchscript.is_archive(tmp_path / "plain.pt")
    assert not _torchscript.is_archive(tmp_path / "missing.pt")


def test_what_is_neither_module_nor_tensor_is_refused_and_not_run(tmp_path):
    class Touch:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (tmp_path / "run",)

    with zipfile.ZipFile(tmp_path / "evil.pt", "w") as file:
        file.writestr("evil/constants.pkl", pickle.dumps(()))
        file.writestr("evil/data.pkl", pickle.dumps(Touch()))
    with pytest.raises(DataError, match="holds more than tensors"):
        read_tensors(tmp_path / "evil.pt")
    assert not (tmp_path / "run").exists()
