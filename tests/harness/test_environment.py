"""What a run says about its machine, and how it chooses a device."""

import getpass
import json
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch

from semibench.errors import UsageError
from semibench.harness import environment


@pytest.fixture
def set_devices(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Pretend that these devices are here."""

    def pretend(gpus: int = 0, mps: bool = False) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    return pretend


@pytest.mark.parametrize(
    ("devices", "chosen"),
    [({}, "cpu"), ({"gpus": 2}, "cuda"), ({"mps": True}, "mps"), ({"gpus": 1, "mps": True}, "cuda")],
    ids=["nothing", "cuda", "mps", "both"],
)
def test_auto_takes_a_gpu_where_there_is_one(set_devices: Callable[..., None], devices: dict[str, int], chosen: str) -> None:
    set_devices(**devices)
    assert environment.choose_device("auto") == chosen


def test_a_detectron2_that_is_a_folder_on_the_path_has_a_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "detectron2", raising=False)
    assert "detectron2" not in environment.versions()
    package = ModuleType("detectron2")
    package.__version__ = "0.6"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "detectron2", package)
    assert environment.versions()["detectron2"] == "0.6"


def test_a_device_that_is_here_is_taken_as_named(set_devices: Callable[..., None]) -> None:
    set_devices(gpus=2)
    assert [environment.choose_device(name) for name in ("cpu", "cuda", "cuda:1")] == ["cpu", "cuda", "cuda:1"]


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "mps", "tpu", ""])
def test_a_device_that_is_not_here_is_refused_with_those_that_are(set_devices: Callable[..., None], name: str) -> None:
    set_devices()
    with pytest.raises(UsageError, match=rf"device '{name}' is not available. Devices here: cpu\."):
        environment.choose_device(name)


@pytest.mark.parametrize("name", ["cuda:2", "cuda:x", "cuda:"])
def test_a_gpu_beyond_those_that_are_here_is_refused(set_devices: Callable[..., None], name: str) -> None:
    set_devices(gpus=2)
    with pytest.raises(UsageError, match=f"device '{name}' is not available"):
        environment.choose_device(name)


def test_the_machine_is_described_without_saying_whose_it_is() -> None:
    described = environment.describe()
    assert {"system", "processor", "cores", "memory", "gpus", "threads", "python", "torch", "semibench"} <= described.keys()
    values = [str(value) for value in described.values()]
    assert not {platform.node(), getpass.getuser(), str(Path.home())} & set(values)
    assert not any(value.startswith("/") for value in values)
    assert json.loads(json.dumps(described)) == described


def test_the_machine_of_a_run_is_its_gpu_or_its_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"GPU at {device}")
    assert environment.machine("cuda:1") == "GPU at cuda:1"
    assert environment.machine("cpu") == environment.describe()["processor"]


def test_a_package_that_is_not_installed_has_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "_PACKAGES", ("torch", "no-such-package"))
    monkeypatch.delitem(sys.modules, "detectron2", raising=False)  # whose version is told where another test has loaded it
    assert environment.versions().keys() == {"python", "torch"}
