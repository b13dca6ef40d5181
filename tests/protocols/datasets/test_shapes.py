"""Shapes: the same pictures everywhere, and only the outline tells a class."""

from hashlib import sha256

import numpy as np
import pytest

from semibench.errors import DataError
from semibench.protocols.datasets.shapes import COLORS, GROUNDS, STREAMS, Shapes, draw


@pytest.fixture(scope="module")
def shapes() -> Shapes:
    """Return one instance, so that each picture is drawn once for the whole file."""
    return Shapes()


@pytest.fixture(scope="module")
def labeled(shapes: Shapes) -> list[str]:
    """Return the 48 labeled ids of shapes-48: the smallest SHA-256 of "seed/id"."""
    return sorted(shapes.ids("train"), key=lambda id: sha256(f"0/{id}".encode()).hexdigest())[:48]


@pytest.mark.parametrize(
    ("id", "digest"),
    [
        ("train_0000", "c5647fe33c6e6adf"),
        ("train_0999", "808fc38d063f8796"),
        ("val_000", "06fabeceef7b589a"),
    ],
)
def test_pixels_are_the_same_on_every_machine(shapes: Shapes, id: str, digest: str) -> None:
    """A changed digest changes every recorded score."""
    assert sha256(shapes.image(id).tobytes() + shapes.mask(id).tobytes()).hexdigest()[:16] == digest


def test_drawing_does_not_depend_on_what_was_drawn_before() -> None:
    first, _, again = draw(1, 5), draw(1, 6), draw(1, 5)
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.mask, again.mask)
    assert first.caption == again.caption


def test_subsets_have_their_sizes_and_ids_sort_in_index_order(shapes: Shapes) -> None:
    assert len(shapes.ids("train")) == 1000
    assert len(shapes.ids("val")) == 300
    assert list(shapes.ids("train")) == sorted(shapes.ids("train"))


def test_no_picture_is_in_two_subsets(shapes: Shapes) -> None:
    drawings = [draw(stream, index).image.tobytes() for stream in STREAMS.values() for index in range(100)]
    assert len(set(drawings)) == len(drawings)


def test_images_are_64_pixels_wide_and_masks_hold_class_indices(shapes: Shapes) -> None:
    image, mask = shapes.pair("val_007")
    assert (image.shape, image.dtype) == ((64, 64, 3), np.uint8)
    assert (mask.shape, mask.dtype) == ((64, 64), np.uint8)
    assert mask.max() < len(shapes.class_names) == len(shapes.palette)


def test_a_caption_names_exactly_the_classes_in_the_mask(shapes: Shapes) -> None:
    for id in shapes.ids("val")[:50]:
        present = {shapes.class_names[value] for value in np.unique(shapes.mask(id))} - {"background"}
        assert {name for name in shapes.class_names if name in shapes.caption(id).split()} == present


def test_every_class_occurs_in_the_48_labeled_images(shapes: Shapes, labeled: list[str]) -> None:
    assert {int(value) for id in labeled for value in np.unique(shapes.mask(id))} == set(range(len(shapes.class_names)))


def test_every_class_comes_in_every_color_on_every_ground(shapes: Shapes) -> None:
    captions = [shapes.caption(id) for id in shapes.ids("train")]
    assert all(any(f"{color} {name}" in text for text in captions) for color in COLORS for name in shapes.class_names[1:])
    assert all(
        any(name in text and text.endswith(ground) for text in captions)
        for ground in GROUNDS
        for name in shapes.class_names[1:]
    )


@pytest.mark.parametrize("id", ["train", "test_0001", "train_x", ""])
def test_an_unknown_image_is_an_error_that_shows_what_ids_look_like(shapes: Shapes, id: str) -> None:
    with pytest.raises(DataError, match="train_0007"):
        shapes.image(id)


def test_an_unknown_subset_is_an_error_that_names_the_known_ones(shapes: Shapes) -> None:
    with pytest.raises(DataError, match="train, val"):
        shapes.ids("test")
