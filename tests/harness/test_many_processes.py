"""Two processes on one machine, started as ``--devices 2`` starts them, against one process alone."""

import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from semibench.errors import DataError, RunFailedError
from semibench.harness import launch, processes
from semibench.harness.callbacks import Checkpoint
from semibench.harness.engines.base import Callback, FitSummary, Plan, TrainState
from semibench.harness.engines.native import NativeEngine
from semibench.harness.evaluate import evaluate
from semibench.harness.loading import BatchSource
from semibench.methods.method import Batch, Labeled, Method, Task
from semibench.methods.networks.base import Features, Network
from semibench.methods.supervised import Supervised
from semibench.protocols.datasets.base import Dataset
from semibench.protocols.protocol import EvaluationRule, Split
from semibench.protocols.recipe import Recipe

STEPS, HALF = 20, 8
COUNT = 301  # images to evaluate
RULE = EvaluationRule(mode="whole", select_on="val", report_on="val")


class Sizes(Dataset):
    """Noise in three sizes, without void."""

    class_names = ("one", "two", "three")
    palette = ((0, 0, 0), (255, 0, 0), (0, 255, 0))

    @classmethod
    def locate(cls, root):
        return None

    def ids(self, subset):
        return [f"{subset}_{n:03d}" for n in range(COUNT)]

    def image(self, id):
        number = int(id[-3:])
        return np.random.default_rng(number).integers(0, 256, (16 + 8 * (number % 3), 24, 3), np.uint8)

    def decode_mask(self, id):
        return self.image(id).argmax(axis=-1).astype(np.uint8)


class Grouped(Network):
    """Group normalization: no statistics of the batch, but a buffer that follows what the process sees."""

    def __init__(self, n_classes: int, dropout: float) -> None:
        nn.Module.__init__(self)
        self.encoder = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.GroupNorm(2, 8), nn.ReLU(), nn.Dropout(dropout))
        self.classifier = nn.Conv2d(8, n_classes, 1)
        self.register_buffer("seen", torch.zeros(()))

    def encode(self, image: Tensor) -> Features:
        if self.training:
            self.seen += image.mean()
        return (self.encoder(image),)

    def decode(self, features: Features, size: tuple[int, int]) -> Tensor:
        return self.classifier(features[0])


class Watch(Callback):
    def __init__(self) -> None:
        self.losses: list[float] = []
        self.images = 0

    def on_step(self, state: TrainState) -> None:
        self.losses.append(state.loss)
        self.images = state.images


def recipe(**changes: object) -> Recipe:
    values: dict[str, object] = {
        "optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.9, "weight_decay": 1e-4},
        "schedule": {"name": "poly"},
        "steps": STEPS,
        "batch": {"labeled": 4, "unlabeled": 4},
        "accumulation": 2,
        "crop": (16, 16),
        "augmentation": {"flip": 0.5},
        "normalization": {"mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)},
    }
    return Recipe.model_validate(values | changes)


def build(dropout: float = 0.1) -> Method:
    torch.manual_seed(0)
    return Supervised(Supervised.Config(), Task("sizes", Sizes.class_names, 255, (16, 16), lambda: Grouped(3, dropout)))


def fit(
    method: Method,
    seen: list[Labeled],
    callbacks: Sequence[Callback] = (),
    resume_from: Path | None = None,
    accumulation: int = 2,
) -> FitSummary:
    """Train in however many processes have met, with one thread each; note what this one has ``seen``."""
    torch.set_num_threads(1)
    settings = recipe(accumulation=accumulation)
    split = Split([f"train_{n:03d}" for n in range(10)], ["train_099"])
    source = BatchSource(Sizes(None), split, settings, Supervised.views, 0, processes.rank(), processes.count())

    def batches(start: int) -> Iterator[Batch]:
        for step in range(start, STEPS):
            batch = source.batch(step)
            seen.append(batch.labeled)
            yield batch

    return NativeEngine().fit(method, batches, Plan(settings, STEPS, 0, "cpu"), callbacks, resume_from=resume_from)


def score(method: Method) -> dict[str, Any]:
    dataset = Sizes(None)
    scores = evaluate(method.predictors()["network"], dataset, dataset.ids("val"), RULE, recipe().normalization)
    return {
        "confusion": torch.from_numpy(scores.confusion),
        "rows": {name: value.tolist() for name, value in vars(scores.per_image).items()},
        "truth": scores.truth_digest,
    }


def train_and_score() -> dict[str, Any]:
    """Train and score in however many processes have met; return what this one knows."""
    method, watch, seen = build(), Watch(), []
    scored = score(method)
    summary, plain = fit(method, seen, [watch]), build(dropout=0)
    fit(plain, [], accumulation=processes.count())  # what each does of a batch, it does at once
    return {
        "plain": plain.state_dict(),
        "state": method.state_dict(),
        "losses": watch.losses,
        "images": (watch.images, summary.images),
        "seen": [[labeled.seeds, labeled.image, labeled.mask] for labeled in seen],
        **scored,
        "threads": torch.get_num_threads(),
    }


def work(meeting: str, output: Path) -> None:
    with processes.joined("cpu", meeting):
        torch.save(train_and_score(), output / f"{processes.rank()}.pt")


def score_alone(meeting: str, output: Path) -> None:
    with processes.joined("cpu", meeting):
        torch.set_num_threads(1)
        torch.save(score(build()), output / f"{processes.rank()}.pt")


class Leave(Callback):
    """Ends a training at a step, as if its process had died."""

    def on_step(self, state: TrainState) -> None:
        if state.step == HALF:
            raise InterruptedError


def train_in_two_sittings(meeting: str, output: Path) -> None:
    path = output / "half.pt"
    with processes.joined("cpu", meeting):
        with suppress(InterruptedError):
            fit(build(), [], [Checkpoint(path, HALF, lambda step: None), Leave()])
        processes.gather(None)  # the main one has saved
        method = build()
        fit(method, [], resume_from=path)
        torch.save(method.state_dict(), output / f"{processes.rank()}.pt")


def fail(meeting: str, how: str) -> None:
    """End process 1 while process 0 waits for it."""
    with processes.contact(), processes.joined("cpu", meeting):
        processes.gather(None)
        if processes.is_main():
            while True:
                processes.largest(0)
        if how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        raise DataError("file 7.png cannot be decoded", "Mend it.")


@pytest.fixture(scope="module")
def alone() -> dict[str, Any]:
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    try:
        return train_and_score()
    finally:
        torch.set_rng_state(state)
        torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    output = tmp_path_factory.mktemp("two")
    launch.start(work, (output,), 2)
    return [torch.load(output / f"{rank}.pt") for rank in range(2)]


def test_they_see_the_samples_that_one_sees(alone: Mapping[str, Any], together: list[dict[str, Any]]) -> None:
    for step, whole in enumerate(alone["seen"]):
        shares = [one["seen"][step] for one in together]
        assert all(torch.equal(tensor, torch.cat(parts)) for tensor, *parts in zip(whole, *shares, strict=True))


@pytest.mark.parametrize("kind", ["state", "plain"], ids=["of equal parts", "of a batch of four at once, without dropout"])
def test_they_end_with_the_weights_of_one(alone: Mapping[str, Any], together: list[dict[str, Any]], kind: str) -> None:
    for name, tensor in alone[kind].items():
        if not name.endswith("seen"):
            difference = (together[0][kind][name] - tensor).abs().max()
            assert difference <= 1e-5 * tensor.abs().max(), name
    assert together[0]["losses"] == pytest.approx(alone["losses"], rel=1e-5)


def test_they_end_alike_buffers_included(together: list[dict[str, Any]]) -> None:
    one, other = (each["state"] for each in together)
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert together[0]["losses"] == together[1]["losses"]


def test_what_two_began_two_end_to_the_bit_and_one_ends_nearly_so(
    alone: Mapping[str, Any], together: list[dict[str, Any]], tmp_path: Path
) -> None:
    launch.start(train_in_two_sittings, (tmp_path,), 2)
    for rank, whole in enumerate(together):
        resumed = torch.load(tmp_path / f"{rank}.pt")
        assert all(torch.equal(resumed[name], tensor) for name, tensor in whole["state"].items())
    with torch.random.fork_rng(devices=[]):
        method = build()
        fit(method, seen := [], resume_from=tmp_path / "half.pt")
    assert len(seen) == STEPS - HALF
    for name, tensor in alone["state"].items():
        if not name.endswith("seen"):
            assert (method.state_dict()[name] - tensor).abs().max() <= 1e-5 * tensor.abs().max(), name


def test_images_are_counted_over_all(alone: Mapping[str, Any], together: list[dict[str, Any]]) -> None:
    assert alone["images"] == together[0]["images"] == together[1]["images"] == (4, 4 * STEPS)


def test_each_returns_the_scores_that_one_returns(
    alone: Mapping[str, Any], together: list[dict[str, Any]], tmp_path: Path
) -> None:
    launch.start(score_alone, (tmp_path,), 3)
    for one in [*together, *(torch.load(tmp_path / f"{rank}.pt") for rank in range(3))]:
        assert torch.equal(one["confusion"], alone["confusion"])
        assert (one["rows"], one["truth"]) == (alone["rows"], alone["truth"])


@pytest.mark.parametrize(
    ("how", "kind", "message"),
    [
        ("data", DataError, r"file 7\.png cannot be decoded\. Mend it\."),
        ("killed", RunFailedError, "process 1 of 2 was ended by SIGKILL"),
    ],
    ids=["data", "killed"],
)
def test_what_ends_one_ends_all_and_is_what_the_user_hears(how: str, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        launch.start(fail, (how,), 2)
