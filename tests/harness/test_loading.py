import multiprocessing
import os
import signal
import time
from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from semibench.errors import DataError, RunFailedError, UsageError
from semibench.harness.loading import BatchSource, batches, permutation, usable_cores, worker_deaths
from semibench.methods.method import Views
from semibench.protocols.datasets.base import Dataset
from semibench.protocols.protocol import Split
from semibench.protocols.recipe import Recipe

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


def source(labeled=4, unlabeled=10, *, views=Views(crops=1, strong=1), seed=0, noisy=False, broken=(), **changes):  # noqa: B008
    split = Split([str(n) for n in range(labeled)], [str(n) for n in range(100, 100 + unlabeled)])
    dataset = Numbered(split.unlabeled, noisy, broken)
    ranks = {key: changes.pop(key) for key in ("rank", "world_size") if key in changes}
    return BatchSource(dataset, split, Recipe.parse({**RECIPE, **changes}, "the test"), views, seed, **ranks)


def noisy(**changes):
    return source(noisy=True, augmentation=STRONG_AUGMENTATION, views=Views(2, 2, "other"), **changes)


def tensors(value):
    return [value] if isinstance(value, torch.Tensor) else [tensor for part in value for tensor in tensors(part)]


def are_equal(one, other):
    one, other = tensors(one), tensors(other)
    return len(one) == len(other) and all(torch.equal(a, b) and a.dtype == b.dtype for a, b in zip(one, other, strict=True))


def ids_in(images):
    return [round(value) for value in (images[:, 0, 0, 0] * 255).tolist()]


def seen(source, read):
    return [id for step in range(source.total) for id in ids_in(read(source.batch(step)))]


def test_a_batch_has_the_shapes_of_the_contract():
    batch = noisy().batch(0)
    assert batch.labeled.image.shape == (2, 3, 8, 8)
    assert (batch.labeled.mask.shape, batch.labeled.mask.dtype) == ((2, 8, 8), torch.int64)
    assert len(batch.unlabeled) == len(batch.partner) == 2
    for crop in (*batch.unlabeled, *batch.partner):
        assert [view.shape for view in (crop.weak, *crop.strong)] == [(4, 3, 8, 8)] * 3
        assert (crop.valid.shape, crop.valid.dtype) == ((4, 8, 8), torch.bool)
        assert (crop.seeds.shape, crop.seeds.dtype) == ((4,), torch.int64)


def test_a_batch_is_a_function_of_its_step():
    assert are_equal(noisy().batch(3), noisy().batch(3))


def test_another_seed_gives_other_batches():
    assert not are_equal(noisy().batch(0), noisy(seed=1).batch(0))


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_the_number_of_workers_changes_no_bit(workers):
    expected = [noisy().batch(step) for step in range(6)]
    assert are_equal(list(batches(noisy(), workers)(0)), expected)


@pytest.mark.parametrize("workers", [0, 1])
def test_starting_at_a_later_step_gives_the_tail_of_the_run(workers):
    assert are_equal(list(batches(noisy(), workers)(4)), list(batches(noisy(), 0)(0))[4:])


def test_the_last_step_is_followed_by_nothing():
    assert list(batches(noisy(), 0)(6)) == []


@given(st.sampled_from([1, 2]), st.integers(0, 5))
def test_processes_share_the_very_batch_of_a_single_one(world_size, step):
    shares = [tensors(noisy(rank=rank, world_size=world_size).batch(step)) for rank in range(world_size)]
    assert are_equal([torch.cat(parts) for parts in zip(*shares, strict=True)], noisy().batch(step))


@given(st.integers(1, 12), st.integers(1, 5))
def test_every_epoch_shows_every_image_once_wherever_a_batch_ends(length, size):
    order = seen(source(labeled=length, batch={"labeled": size, "unlabeled": 1}, steps=12), lambda batch: batch.labeled.image)
    for start in range(0, len(order) - length + 1, length):
        assert sorted(order[start : start + length]) == list(range(length))


def test_epochs_differ_in_their_order():
    order = seen(source(labeled=8, batch={"labeled": 8, "unlabeled": 1}), lambda batch: batch.labeled.image)
    assert len({tuple(order[start : start + 8]) for start in range(0, 48, 8)}) > 1


def test_a_list_shorter_than_a_batch_repeats():
    batch = source(labeled=2, batch={"labeled": 6, "unlabeled": 1}).batch(0)
    assert Counter(ids_in(batch.labeled.image)) == {0: 3, 1: 3}
    assert len(set(batch.labeled.seeds.tolist())) == 6


@given(st.integers(0, 2**63 - 1), st.integers(1, 300))
def test_a_permutation_holds_every_place_once(seed, length):
    assert sorted(permutation(seed, length).tolist()) == list(range(length))


def test_permutations_are_the_same_in_every_version():
    assert permutation(0, 8).tolist() == [3, 2, 1, 6, 0, 7, 4, 5]


def test_the_order_of_the_lists_is_of_no_consequence():
    one = noisy()
    split = Split(one.split.labeled[::-1], one.split.unlabeled[::-1])
    assert are_equal(one.batch(2), BatchSource(one.dataset, split, one.recipe, one.views, one.seed).batch(2))


def test_masks_of_unlabelled_images_are_never_opened():
    unlabelled = source(views=Views(2, 1, "other"))
    for batch in batches(unlabelled, 0)(0):
        assert batch.labeled.mask.eq(1).all()
    with pytest.raises(AssertionError, match="was opened"):
        unlabelled.dataset.mask("100")


def test_a_method_without_unlabelled_views_gets_none():
    batch = source(unlabeled=0, views=Views()).batch(0)
    assert batch.unlabeled == batch.partner == ()


def test_two_crops_are_two_draws_of_the_same_images():
    first, second = source(views=Views(crops=2)).batch(0).unlabeled
    assert ids_in(first.weak) == ids_in(second.weak)
    assert not set(first.seeds.tolist()) & set(second.seeds.tolist())


def test_a_partner_of_the_same_images_is_another_draw_of_them():
    batch = source(views=Views(1, 0, "same")).batch(0)
    assert ids_in(batch.unlabeled[0].weak) == ids_in(batch.partner[0].weak)
    assert not set(batch.unlabeled[0].seeds.tolist()) & set(batch.partner[0].seeds.tolist())


def test_a_partner_of_other_images_follows_its_own_permutation():
    pairs = source(views=Views(1, 0, "other"), batch={"labeled": 1, "unlabeled": 10}, steps=1)
    assert seen(pairs, lambda batch: batch.unlabeled[0].weak) != seen(pairs, lambda batch: batch.partner[0].weak)
    assert sorted(seen(pairs, lambda batch: batch.partner[0].weak)) == list(range(100, 110))


def test_asking_for_more_views_changes_none_of_the_others():
    few = source(noisy=True, augmentation=STRONG_AUGMENTATION, views=Views(1, 1)).batch(1)
    more = noisy().batch(1)
    assert are_equal(few.labeled, more.labeled)
    assert torch.equal(few.unlabeled[0].weak, more.unlabeled[0].weak)
    assert torch.equal(few.unlabeled[0].strong[0], more.unlabeled[0].strong[0])


def test_strong_views_are_independent_and_show_the_same_pixels_as_the_weak_one():
    crop = source(noisy=True, views=Views(1, 2), augmentation={"strong": STRONG_AUGMENTATION["strong"]}).batch(0).unlabeled[0]
    assert not torch.equal(crop.strong[0], crop.strong[1])
    unchanged = source(noisy=True, views=Views(1, 2)).batch(0).unlabeled[0]
    assert torch.equal(unchanged.strong[0], unchanged.weak)


def test_labelled_padding_is_void_and_unlabelled_padding_is_not_valid():
    batch = source(crop=(8, 11)).batch(0)
    assert batch.labeled.mask[..., 8:].eq(255).all()
    assert batch.labeled.mask[..., :8].eq(1).all()
    assert not batch.unlabeled[0].valid[..., 8:].any()
    assert batch.unlabeled[0].valid[..., :8].all()


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_of_a_worker_reaches_the_user_as_it_is(workers):
    with pytest.raises(DataError) as caught:
        list(batches(source(broken=["1"]), workers)(0))
    assert str(caught.value) == "file 1.png cannot be decoded. It is truncated or damaged; download it again."
    assert multiprocessing.active_children() == []


def test_batches_before_the_broken_one_are_delivered():
    broken = source(labeled=40, broken=["7"], steps=20)
    delivered = 0
    with pytest.raises(DataError):
        for _ in batches(broken, 1)(0):
            delivered += 1
    order = [position for step in range(20) for position in broken._positions("labeled", step)]
    assert delivered == next(place for place, (_, id) in enumerate(order) if id == "7") // 2


def test_more_workers_than_cores_are_not_started():
    stream = batches(source(), workers=usable_cores() + 50)(0)
    next(stream)
    assert len(multiprocessing.active_children()) == usable_cores()
    stream.close()


def test_workers_end_with_the_loop():
    stream = batches(source(steps=50), workers=1)(0)
    list(islice(stream, 2))
    stream.close()
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["terminal", "job"])
def test_a_signal_to_every_process_does_not_end_the_workers(number):
    stream = batches(source(steps=30), workers=1)(0)
    next(stream)
    for worker in multiprocessing.active_children():
        os.kill(worker.pid, number)
    assert len(list(stream)) == 29


def test_workers_that_ignore_signals_still_end_promptly():
    stream = batches(source(steps=50), workers=1)(0)
    next(stream)
    began = time.monotonic()
    stream.close()
    assert time.monotonic() - began < 4  # torch would wait 5 s, then terminate
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "),
        RuntimeError("DataLoader worker (pid(s) 7) exited unexpectedly"),
        ConnectionResetError(104, "Connection reset by peer"),
    ],
    ids=["killed", "ended", "gone"],
)
def test_the_death_of_a_worker_is_an_error_for_the_user(error):
    with pytest.raises(RunFailedError, match=r"a process that prepares batches has died.*fewer --workers"), worker_deaths():
        raise error


def test_other_errors_than_a_worker_s_death_stay_what_they_are():
    with pytest.raises(RuntimeError, match="shapes do not match"), worker_deaths():
        raise RuntimeError("shapes do not match")


@pytest.mark.parametrize("workers", [0, 1])
def test_loading_leaves_the_global_random_state_alone(workers):
    before = torch.get_rng_state()
    list(batches(noisy(), workers)(0))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"labeled": 0}, "labelled list is empty", id="no labels"),
        pytest.param({"unlabeled": 0}, "no unlabelled images.*smaller count", id="no unlabelled images"),
        pytest.param({"world_size": 3}, "batch.labeled = 2 cannot be shared evenly by 3", id="uneven share"),
    ],
)
def test_what_cannot_be_loaded_is_refused_at_once(changes, message):
    with pytest.raises(UsageError, match=message):
        source(**changes)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_pinned_batches_keep_their_types():
    batch = next(batches(noisy(), 1, pin_memory=True)(0))
    assert all(tensor.is_pinned() for tensor in tensors(batch))
    assert are_equal(batch, noisy().batch(0))


def test_real_photographs_make_a_batch():
    from semibench.protocols.protocol import load

    root = Path(__file__).parents[3] / "shared" / "data"
    if not root.is_dir():
        pytest.skip("the shared sample of CamVid is not here")
    protocol = load("camvid-37@hash0")
    dataset = protocol.open(root)
    batch = BatchSource(dataset, protocol.split(dataset), protocol.recipe, Views(1, 1), 0).batch(0)
    assert batch.labeled.image.shape == (4, 3, 321, 321)
    assert set(batch.labeled.mask.unique().tolist()) <= {*range(11), 255}
