"""Stateless loading: a batch is a function of (data, recipe, views, seed, step), however many workers or processes share it.

Nothing is carried from one step to the next, so resuming needs only the number of the step. Counted over all steps, the
g-th image of a stream belongs to epoch ``g // n`` of a list of n ids, and every epoch has its own permutation.
"""

import signal
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache
from random import Random
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils import data

from semibench.errors import RunFailedError, SemibenchError, UsageError
from semibench.harness.cores import usable_cores
from semibench.harness.engines.base import Batches
from semibench.harness.parcels import Parcel, pack, unpack
from semibench.harness.signals import OF_THE_SYSTEM
from semibench.harness.transforms import Geometry, crop_image, crop_mask, crop_valid, draw_geometry, normalize, recolor
from semibench.hashing import derive_seed
from semibench.methods.method import Batch, Crop, Labeled, Views
from semibench.protocols.datasets.base import Dataset
from semibench.protocols.protocol import Split
from semibench.protocols.recipe import ColorOperation, Recipe

T = TypeVar("T")
AHEAD = 4  # batches that a worker prepares before they are asked for: hides an image that is slow to read


@dataclass(frozen=True)
class BatchSource:
    """All that a batch is a function of, besides its step.

    Of several processes each gets a contiguous share of the same global batch. Raises UsageError when the labelled list is
    empty, when a method wants unlabelled images and there are none, and when a batch cannot be shared evenly.
    """

    dataset: Dataset
    split: Split
    recipe: Recipe
    views: Views
    seed: int
    rank: int = 0
    world_size: int = 1

    def __post_init__(self) -> None:
        if not self.split.labeled:
            raise UsageError("the labelled list is empty", "Choose a protocol with at least one labelled image.")
        if self.views.crops and not self.split.unlabeled:
            raise UsageError(
                "this protocol has no unlabelled images, which the method learns from",
                "Choose a smaller count of labelled images.",
            )
        for stream, size in self.recipe.batch:
            if size % self.world_size:
                raise UsageError(
                    f"recipe.batch.{stream} = {size} cannot be shared evenly by {self.world_size} processes",
                    f"Make it a multiple of {self.world_size}.",
                )

    @property
    def total(self) -> int:
        """Length of the run in steps."""
        return self.recipe.total_steps(len(self.split.labeled), len(self.split.unlabeled))

    def batch(self, step: int) -> Batch:
        """Return this process's share of the batch of one step."""
        unlabeled = self._read("unlabeled", step) if self.views.crops else {}
        partner = unlabeled
        if self.views.partner == "other" and self.views.crops:
            partner = self._read("partner", step)
        return Batch(
            self._labeled(step),
            self._crops("unlabeled", unlabeled, step),
            self._crops("partner", partner, step) if self.views.partner != "none" else (),
        )

    @cached_property
    def _ids(self) -> dict[str, list[str]]:
        # Sorted: digests pin lists as sets, so the order of the lines in a file must not change a batch.
        labeled, unlabeled = sorted(self.split.labeled), sorted(self.split.unlabeled)
        return {"labeled": labeled, "unlabeled": unlabeled, "partner": unlabeled}

    def _positions(self, stream: str, step: int) -> Iterator[tuple[int, str]]:
        """Yield this process's positions in the global batch, each with its id."""
        ids = self._ids[stream]
        size = self.recipe.batch.labeled if stream == "labeled" else self.recipe.batch.unlabeled
        share = size // self.world_size
        for position in range(self.rank * share, (self.rank + 1) * share):
            epoch, place = divmod(step * size + position, len(ids))
            yield position, ids[permutation(derive_seed(self.seed, "order", stream, epoch), len(ids))[place]]

    def _read(self, stream: str, step: int) -> dict[int, Image.Image]:
        return {position: Image.fromarray(self.dataset.image(id)) for position, id in self._positions(stream, step)}

    def _labeled(self, step: int) -> Labeled:
        pairs = {position: self.dataset.pair(id) for position, id in self._positions("labeled", step)}
        images = [Image.fromarray(image) for image, _ in pairs.values()]
        seeds = [derive_seed(self.seed, "labeled", step, position) for position in pairs]
        geometries = self._geometries(images, seeds)
        masks = [
            crop_mask(Image.fromarray(mask), geometry, self.dataset.ignore_index)
            for (_, mask), geometry in zip(pairs.values(), geometries, strict=True)
        ]
        view = self._view(self._cut(images, geometries), self.recipe.augmentation.labeled, seeds, "color")
        return Labeled(view, torch.from_numpy(_stack(masks).astype(np.int64)), torch.tensor(seeds))

    def _crops(self, stream: str, images: dict[int, Image.Image], step: int) -> tuple[Crop, ...]:
        return tuple(self._crop(f"{stream} {draw}", images, step) for draw in range(self.views.crops))

    def _crop(self, purpose: str, images: dict[int, Image.Image], step: int) -> Crop:
        augmentation = self.recipe.augmentation
        seeds = [derive_seed(self.seed, purpose, step, position) for position in images]
        geometries = self._geometries(images.values(), seeds)
        cut = self._cut(images.values(), geometries)
        return Crop(
            self._view(cut, augmentation.weak, seeds, "weak"),
            tuple(self._view(cut, augmentation.strong, seeds, f"strong {number}") for number in range(self.views.strong)),
            torch.from_numpy(np.stack([crop_valid(geometry) for geometry in geometries])),
            torch.tensor(seeds),
        )

    def _geometries(self, images: Iterable[Image.Image], seeds: Sequence[int]) -> list[Geometry]:
        return [
            draw_geometry((image.height, image.width), self.recipe.crop, self.recipe.augmentation, _generator(seed, "geometry"))
            for image, seed in zip(images, seeds, strict=True)
        ]

    def _cut(self, images: Iterable[Image.Image], geometries: Sequence[Geometry]) -> list[Image.Image]:
        fill = self.recipe.augmentation.pad_value
        return [crop_image(image, geometry, fill) for image, geometry in zip(images, geometries, strict=True)]

    def _view(
        self, images: Sequence[Image.Image], operations: Sequence[ColorOperation], seeds: Sequence[int], purpose: str
    ) -> Tensor:
        colored = [recolor(image, operations, _generator(seed, purpose)) for image, seed in zip(images, seeds, strict=True)]
        return normalize(_stack(colored), self.recipe.normalization)


def batches(source: BatchSource, workers: int = 1, pin_memory: bool = False) -> Batches:
    """Return the function from a first step to the batches of that step and all later ones.

    ``workers`` processes prepare them in advance, none means in this process; more than there are cores are not started,
    since they could only slow each other down. A SemibenchError of a worker is raised here as it is, and
    RunFailedError when one dies.
    """
    count = min(workers, usable_cores())

    def stream(start: int) -> Iterator[Batch]:
        loader: data.DataLoader[Parcel | SemibenchError] = data.DataLoader(
            _Steps(source),
            batch_size=None,
            sampler=range(start, source.total),
            num_workers=count,
            collate_fn=_unchanged,
            prefetch_factor=AHEAD if count else None,
            worker_init_fn=_leave_signals_to_the_main_process,
            pin_memory=pin_memory,
            generator=torch.Generator(),  # its own: opening a loader must not advance the global random state
        )
        with worker_deaths():
            for answer in loader:
                if isinstance(answer, SemibenchError):
                    raise answer
                yield unpack(answer)

    return stream


@contextmanager
def worker_deaths() -> Iterator[None]:
    """Turn what a worker's death leads to into a RunFailedError; torch reports it wherever the main process stands."""
    try:
        yield
    except (RuntimeError, ConnectionError) as error:  # the latter when a batch that the dead one has announced is fetched
        if isinstance(error, RuntimeError) and not str(error).startswith("DataLoader worker (pid"):
            raise
        raise RunFailedError(
            f"a process that prepares batches has died: {str(error).rstrip('. ')}",
            "Memory may have run out: try fewer --workers. Give the same command again; it resumes from the last checkpoint.",
        ) from error


@lru_cache(maxsize=8)
def permutation(seed: int, length: int) -> NDArray[np.int64]:
    """Return a permutation of 0..length-1 that is a function of ``seed`` for good.

    NumPy promises the bits of PCG64 but not the results of its own ``permutation`` (NEP 19), so the bits are sorted.

    >>> sorted(permutation(7, 4).tolist())
    [0, 1, 2, 3]
    """
    return np.argsort(np.random.PCG64(seed).random_raw(length), kind="stable")


class _Steps(data.Dataset[Parcel | SemibenchError]):
    """The batches of a source as a table over steps, packed for the way from a worker.

    Errors are returned: torch would rebuild a raised one from a string that holds the traceback.
    """

    def __init__(self, source: BatchSource) -> None:
        self._source = source

    def __getitem__(self, step: int) -> Parcel | SemibenchError:
        try:
            return pack(self._source.batch(step))
        except SemibenchError as error:
            return error


def _unchanged(answer: T) -> T:
    return answer


def _leave_signals_to_the_main_process(_worker: int) -> None:
    # Ctrl-C reaches every process of a terminal, Slurm's signals every one of a job; a run that saves then needs its workers.
    for number in (signal.SIGINT, *OF_THE_SYSTEM):
        signal.signal(number, signal.SIG_IGN)


def _generator(seed: int, purpose: str) -> Random:
    return Random(derive_seed(seed, purpose))


def _stack(images: Iterable[Image.Image]) -> NDArray[np.uint8]:
    return np.stack([np.asarray(image) for image in images])
