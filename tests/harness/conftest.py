"""Runs and batches that several tests of the harness share."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from semibench.errors import DataError
from semibench.harness.cli import main
from semibench.harness.loading import BatchSource
from semibench.methods.method import Views
from semibench.protocols.datasets.base import Dataset
from semibench.protocols.protocol import Split
from semibench.protocols.recipe import Recipe

SMALL = ["--set", "recipe.batch.labeled=4", "--set", "recipe.batch.unlabeled=4", "--set", "evaluation.every=5"]
SMALL += ["--set", "run.checkpoint_every=4", "--set", "run.log_every=1", "--set", "run.tensorboard=false"]
SMALL += ["--set", "network.channels=8", "--set", "network.low_channels=4", "--workers", "0", "--quiet"]

RECIPE = {
    "optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.9, "weight_decay": 0.0},
    "schedule": {"name": "poly"},
    "steps": 6,
    "batch": {"labeled": 2, "unlabeled": 4},
    "crop": (8, 8),
    "augmentation": {},
    "normalization": {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)},
}
STRONG_AUGMENTATION = {
    "scale": {"side": "long", "low": 0.5, "high": 2.0},
    "flip": 0.5,
    "labeled": [{"name": "grayscale", "probability": 0.5}],
    "weak": [{"name": "blur", "probability": 0.5, "radius": (0.1, 2.0)}],
    "strong": [{"name": "jitter", "probability": 0.8, "brightness": 0.5, "contrast": 0.5, "saturation": 0.5, "hue": 0.25}],
}


def _train(output: Path, *more: str, method: str = "fixmatch", protocol: str = "shapes-16", steps: int = 10) -> list[str]:
    wanted = ["run", "--method", method, "--protocol", protocol, "--output", str(output), "--set", f"recipe.steps={steps}"]
    return [*wanted, *SMALL, *more]


def _folder_of(output: Path) -> Path:
    (found,) = output.glob("*/*/*/config.toml")
    return found.parent


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run of ten steps."""
    output = tmp_path_factory.mktemp("runs")
    with pytest.raises(SystemExit) as done:
        main(_train(output))
    assert not done.value.code
    return _folder_of(output)


@pytest.fixture(scope="session")
def train() -> Callable[..., list[str]]:
    """Return the arguments of a small run."""
    return _train


@pytest.fixture(scope="session")
def folder_of() -> Callable[[Path], Path]:
    """Return the folder of the only run below an output folder."""
    return _folder_of


class Numbered(Dataset):
    """Image ``id`` is filled with the number ``id``; or with noise drawn from it."""

    class_names = ("one", "two")
    palette = ((0, 0, 0), (255, 0, 0))

    def __init__(self, unlabeled=(), noisy=False, broken=()):
        super().__init__(None)
        self.unlabeled, self.noisy, self.broken = set(unlabeled), noisy, set(broken)

    @classmethod
    def locate(cls, root):
        return None

    def ids(self, subset):
        raise AssertionError("a batch is made of the split alone")

    def image(self, id):
        if id in self.broken:
            raise DataError(f"file {id}.png cannot be decoded", "It is truncated or damaged; download it again.")
        if self.noisy:
            return np.random.default_rng(int(id)).integers(0, 256, (12, 10, 3), np.uint8)
        return np.full((8, 8, 3), int(id), np.uint8)

    def decode_mask(self, id):
        assert id not in self.unlabeled, "the mask of an unlabelled image was opened"
        return np.ones(self.image(id).shape[:2], np.uint8)


def _source(labeled=4, unlabeled=10, *, views=Views(crops=1, strong=1), seed=0, noisy=False, broken=(), **changes):  # noqa: B008
    split = Split([str(n) for n in range(labeled)], [str(n) for n in range(100, 100 + unlabeled)])
    dataset = Numbered(split.unlabeled, noisy, broken)
    ranks = {key: changes.pop(key) for key in ("rank", "world_size") if key in changes}
    return BatchSource(dataset, split, Recipe.parse({**RECIPE, **changes}, "the test"), views, seed, **ranks)


def _noisy(**changes):
    return _source(noisy=True, **{"augmentation": STRONG_AUGMENTATION, "views": Views(2, 2, "other")} | changes)


def _tensors(value):
    return [value] if isinstance(value, torch.Tensor) else [tensor for part in value for tensor in _tensors(part)]


def _are_equal(one, other):
    one, other = _tensors(one), _tensors(other)
    return len(one) == len(other) and all(torch.equal(a, b) and a.dtype == b.dtype for a, b in zip(one, other, strict=True))


@pytest.fixture(scope="session")
def source() -> Callable[..., BatchSource]:
    """Return a source of batches of ``Numbered`` images."""
    return _source


@pytest.fixture(scope="session")
def noisy() -> Callable[..., BatchSource]:
    """Return a source that uses every kind of draw."""
    return _noisy


@pytest.fixture(scope="session")
def tensors() -> Callable[..., list[torch.Tensor]]:
    """Return the tensors of a nested structure."""
    return _tensors


@pytest.fixture(scope="session")
def are_equal() -> Callable[..., bool]:
    """Return whether the tensors of two structures are equal to the bit."""
    return _are_equal
