from collections import Counter
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from semibench.errors import UsageError
from semibench.harness.loading import BatchSource, batches, permutation
from semibench.methods.method import Views
from semibench.protocols.protocol import Split


def ids_in(images):
    return [round(value) for value in (images[:, 0, 0, 0] * 255).tolist()]


def seen(source, read):
    return [id for step in range(source.total) for id in ids_in(read(source.batch(step)))]


def test_a_batch_has_the_shapes_of_the_contract(noisy):
    batch = noisy().batch(0)
    assert batch.labeled.image.shape == (2, 3, 8, 8)
    assert (batch.labeled.mask.shape, batch.labeled.mask.dtype) == ((2, 8, 8), torch.int64)
    assert len(batch.unlabeled) == len(batch.partner) == 2
    for crop in (*batch.unlabeled, *batch.partner):
        assert [view.shape for view in (crop.weak, *crop.strong)] == [(4, 3, 8, 8)] * 3
        assert (crop.valid.shape, crop.valid.dtype) == ((4, 8, 8), torch.bool)
        assert (crop.seeds.shape, crop.seeds.dtype) == ((4,), torch.int64)


def test_a_batch_is_a_function_of_its_step(noisy, are_equal):
    assert are_equal(noisy().batch(3), noisy().batch(3))


def test_another_seed_gives_other_batches(noisy, are_equal):
    assert not are_equal(noisy().batch(0), noisy(seed=1).batch(0))


@pytest.mark.parametrize("workers", [0, 1])
def test_starting_at_a_later_step_gives_the_tail_of_the_run(workers, noisy, are_equal):
    assert are_equal(list(batches(noisy(), workers)(4)), list(batches(noisy(), 0)(0))[4:])


def test_the_last_step_is_followed_by_nothing(noisy):
    assert list(batches(noisy(), 0)(6)) == []


@given(world_size=st.sampled_from([1, 2]), step=st.integers(0, 5))
def test_processes_share_the_very_batch_of_a_single_one(world_size, step, noisy, are_equal, tensors):
    shares = [tensors(noisy(rank=rank, world_size=world_size).batch(step)) for rank in range(world_size)]
    assert are_equal([torch.cat(parts) for parts in zip(*shares, strict=True)], noisy().batch(step))


@given(length=st.integers(1, 12), size=st.integers(1, 5))
def test_every_epoch_shows_every_image_once_wherever_a_batch_ends(length, size, source):
    order = seen(source(labeled=length, batch={"labeled": size, "unlabeled": 1}, steps=12), lambda batch: batch.labeled.image)
    for start in range(0, len(order) - length + 1, length):
        assert sorted(order[start : start + length]) == list(range(length))


def test_epochs_differ_in_their_order(source):
    order = seen(source(labeled=8, batch={"labeled": 8, "unlabeled": 1}), lambda batch: batch.labeled.image)
    assert len({tuple(order[start : start + 8]) for start in range(0, 48, 8)}) > 1


def test_a_list_shorter_than_a_batch_repeats(source):
    batch = source(labeled=2, batch={"labeled": 6, "unlabeled": 1}).batch(0)
    assert Counter(ids_in(batch.labeled.image)) == {0: 3, 1: 3}
    assert len(set(batch.labeled.seeds.tolist())) == 6


@given(st.integers(0, 2**63 - 1), st.integers(1, 300))
def test_a_permutation_holds_every_place_once(seed, length):
    assert sorted(permutation(seed, length).tolist()) == list(range(length))


def test_permutations_are_the_same_in_every_version():
    assert permutation(0, 8).tolist() == [3, 2, 1, 6, 0, 7, 4, 5]


def test_the_order_of_the_lists_is_of_no_consequence(noisy, are_equal):
    one = noisy()
    split = Split(one.split.labeled[::-1], one.split.unlabeled[::-1])
    assert are_equal(one.batch(2), BatchSource(one.dataset, split, one.recipe, one.views, one.seed).batch(2))


def test_masks_of_unlabelled_images_are_never_opened(source):
    unlabelled = source(views=Views(2, 1, "other"))
    for batch in batches(unlabelled, 0)(0):
        assert batch.labeled.mask.eq(1).all()
    with pytest.raises(AssertionError, match="was opened"):
        unlabelled.dataset.mask("100")


def test_a_method_without_unlabelled_views_gets_none(source):
    batch = source(unlabeled=0, views=Views()).batch(0)
    assert batch.unlabeled == batch.partner == ()


def test_two_crops_are_two_draws_of_the_same_images(source):
    first, second = source(views=Views(crops=2)).batch(0).unlabeled
    assert ids_in(first.weak) == ids_in(second.weak)
    assert not set(first.seeds.tolist()) & set(second.seeds.tolist())


def test_a_partner_of_the_same_images_is_another_draw_of_them(source):
    batch = source(views=Views(1, 0, "same")).batch(0)
    assert ids_in(batch.unlabeled[0].weak) == ids_in(batch.partner[0].weak)
    assert not set(batch.unlabeled[0].seeds.tolist()) & set(batch.partner[0].seeds.tolist())


def test_a_partner_of_other_images_follows_its_own_permutation(source):
    pairs = source(views=Views(1, 0, "other"), batch={"labeled": 1, "unlabeled": 10}, steps=1)
    assert seen(pairs, lambda batch: batch.unlabeled[0].weak) != seen(pairs, lambda batch: batch.partner[0].weak)
    assert sorted(seen(pairs, lambda batch: batch.partner[0].weak)) == list(range(100, 110))


def test_asking_for_more_views_changes_none_of_the_others(noisy, are_equal):
    few = noisy(views=Views(1, 1)).batch(1)
    more = noisy().batch(1)
    assert are_equal(few.labeled, more.labeled)
    assert torch.equal(few.unlabeled[0].weak, more.unlabeled[0].weak)
    assert torch.equal(few.unlabeled[0].strong[0], more.unlabeled[0].strong[0])


def test_strong_views_are_independent_and_show_the_same_pixels_as_the_weak_one(source, noisy):
    blur = {"strong": [{"name": "blur", "probability": 1.0, "radius": (0.5, 2.0)}]}
    crop = noisy(views=Views(1, 2), augmentation=blur).batch(0).unlabeled[0]
    assert not torch.equal(crop.strong[0], crop.strong[1])
    unchanged = source(noisy=True, views=Views(1, 2)).batch(0).unlabeled[0]
    assert torch.equal(unchanged.strong[0], unchanged.weak)


def test_labelled_padding_is_void_and_unlabelled_padding_is_not_valid(source):
    batch = source(crop=(8, 11)).batch(0)
    assert batch.labeled.mask[..., 8:].eq(255).all()
    assert batch.labeled.mask[..., :8].eq(1).all()
    assert not batch.unlabeled[0].valid[..., 8:].any()
    assert batch.unlabeled[0].valid[..., :8].all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"labeled": 0}, "labelled list is empty", id="no labels"),
        pytest.param({"unlabeled": 0}, "no unlabelled images.*smaller count", id="no unlabelled images"),
        pytest.param({"world_size": 3}, "batch.labeled = 2 cannot be shared evenly by 3", id="uneven share"),
    ],
)
def test_what_cannot_be_loaded_is_refused_at_once(changes, message, source):
    with pytest.raises(UsageError, match=message):
        source(**changes)


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
