"""A run's folder, opened again: the same configuration, the same network."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from semibench.errors import DataError, UsageError
from semibench.harness import checkpoint
from semibench.harness.build import build_method
from semibench.harness.configure import Request, Resolved, resolve
from semibench.harness.folder import RunFolder
from semibench.harness.reopen import reopen
from semibench.methods.method import Method
from semibench.protocols.protocol import load

SMALL = ("network.channels=8", "network.low_channels=4")
Begun = tuple[RunFolder, Resolved, Method]


@pytest.fixture
def begin(tmp_path: Path) -> Callable[..., Begun]:
    """Leave what a run leaves: a configuration, and checkpoints of step 7 and, for best, of step 3."""

    def write(*settings: str, seed: int = 5) -> Begun:
        folder = RunFolder(tmp_path / "runs" / "shapes-16" / "fixmatch" / "abc")
        resolved = resolve(Request("fixmatch", load("shapes-16"), seed, settings=SMALL + settings))
        folder.write_config(resolved.to_toml(), "0" * 64)
        method, _ = build_method(resolved.configuration, load("shapes-16").dataset_class(), weights={})
        checkpoint.save(folder.best, {"step": 3, "method": method.state_dict()})
        with torch.no_grad():
            for parameter in method.parameters():
                parameter.add_(0.125)
        checkpoint.save(folder.last, {"step": 7, "method": method.state_dict()})
        return folder, resolved, method

    return write


def weights(module: torch.nn.Module) -> str:
    return checkpoint.digest_tensors(module.state_dict())


def test_the_predictor_has_the_weights_of_the_checkpoint(begin: Callable[..., Begun]) -> None:
    folder, _, method = begin()
    last, best = reopen(folder.path, "last", "cpu"), reopen(folder.path, "best", "cpu")
    assert (last.step, best.step) == (7, 3)
    assert weights(last.scorer.predictor) == weights(next(iter(method.predictors().values())))
    assert weights(best.scorer.predictor) != weights(last.scorer.predictor)


@pytest.mark.parametrize(
    "settings",
    [
        (),
        ("recipe.steps=60", "method.threshold=0.8", "evaluation.checkpoint=best"),
        ("recipe.clip_norm=1.5",),
        ("recipe.augmentation.strong=[]",),
        ("evaluation.every=none",),
        ("recipe.steps=none", 'recipe.epochs={count = 2, over = "labeled"}'),
        ('recipe.optimizer={name = "adamw", lr = 0.001, weight_decay = 0.01}',),
    ],
    ids=["protocol's", "by hand", "added", "emptied", "nothing", "taken away", "another optimizer"],
)
def test_the_configuration_is_that_of_the_run(begin: Callable[..., Begun], settings: tuple[str, ...]) -> None:
    folder, resolved, _ = begin(*settings)
    again = reopen(folder.path, "last", "cpu").scorer.configuration
    assert again.seed == 5
    for section, values in resolved.deciding().items():
        assert again.model_dump(mode="json")[section] == values


def test_labels_have_the_size_of_the_image(begin: Callable[..., Begun]) -> None:
    folder, _, _ = begin()
    labels = reopen(folder.path, "last", "cpu").scorer.predict(np.zeros((40, 56, 3), np.uint8))
    assert (labels.shape, labels.dtype) == ((40, 56), np.uint8)


def test_a_folder_that_is_not_a_run_s_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not the folder of a run"):
        reopen(tmp_path, "last", "cpu")


def test_a_run_without_that_checkpoint_is_refused(begin: Callable[..., Begun]) -> None:
    folder, _, _ = begin()
    folder.best.unlink()
    with pytest.raises(DataError, match=r"checkpoint best\.pt not found"):
        reopen(folder.path, "best", "cpu")


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace("recipe.crop", "recipe.corp"),
        lambda text: "\n".join(line for line in text.splitlines() if not line.startswith("method")),
        lambda text: text.replace("shapes-16", "shapes-17@x"),
        lambda text: "\0",
    ],
    ids=["cut off", "unknown key", "no method", "unknown protocol", "no TOML"],
)
def test_a_damaged_configuration_is_named(begin: Callable[..., Begun], damage: Callable[[str], str]) -> None:
    folder, _, _ = begin()
    folder.config.write_text(damage(folder.config.read_text()))
    with pytest.raises(DataError, match=r"configuration .*config\.toml cannot be used"):
        reopen(folder.path, "last", "cpu")


@pytest.mark.parametrize(
    "content", [{"step": 3}, {"step": 3, "method": {"a": torch.zeros(1)}}], ids=["incomplete", "another's"]
)
def test_a_checkpoint_that_does_not_fit_the_network_is_named(begin: Callable[..., Begun], content: dict[str, object]) -> None:
    folder, _, _ = begin()
    checkpoint.save(folder.last, content)
    with pytest.raises(DataError, match=r"last\.pt does not fit the network that config\.toml describes"):
        reopen(folder.path, "last", "cpu")
