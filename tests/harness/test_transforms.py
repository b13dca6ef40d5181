from itertools import permutations
from random import Random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFilter, ImageOps
from torchvision.transforms.v2 import functional

from semibench.harness import transforms
from semibench.harness.transforms import (
    Geometry,
    crop_image,
    crop_mask,
    crop_valid,
    draw_geometry,
    draw_size,
    normalize,
    recolor,
)
from semibench.protocols.recipe import Augmentation, Blur, Grayscale, Jitter, Normalization, Scale

DOUBLE_OR_HALF = Scale(side="long", low=0.5, high=2.0)
sides = st.integers(2, 90)
sizes = st.tuples(sides, sides)
seeds = st.integers(0, 2**63 - 1)


def random_image(size=(20, 30), seed=0):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8))


@given(size=sizes, crop=sizes, seed=seeds)
def test_a_pixel_keeps_its_label_through_every_geometry(size, crop, seed):
    rows, columns = np.mgrid[: size[0], : size[1]].astype(np.uint8)
    image = Image.fromarray(np.stack([rows, columns, columns], axis=-1))  # a pixel's color is its own place
    geometry = draw_geometry(size, crop, Augmentation(scale=DOUBLE_OR_HALF, flip=0.5), Random(seed))
    colors = np.asarray(crop_image(image, geometry, (255, 255, 255)), np.int64)
    for channel, plane in enumerate((rows, columns)):
        labels = np.asarray(crop_mask(Image.fromarray(plane), geometry, 255), np.int64)
        # Nearest and bilinear differ by at most one pixel of the source, and one more at the picture's edge.
        assert np.abs(colors[..., channel] - labels).max() <= 2


@given(size=sizes, crop=sizes, seed=seeds)
def test_what_is_not_valid_is_the_padding_of_the_mask(size, crop, seed):
    geometry = draw_geometry(size, crop, Augmentation(scale=DOUBLE_OR_HALF, flip=0.5), Random(seed))
    mask = np.asarray(crop_mask(Image.new("L", size[::-1], 7), geometry, 255))
    assert mask.shape == crop
    assert np.array_equal(crop_valid(geometry), mask == 7)


@given(size=sizes, crop=sizes, seed=seeds)
def test_a_crop_is_the_reference_of_resizing_padding_cropping_and_flipping(size, crop, seed):
    image, gray = random_image(size, 1), (124, 116, 104)
    geometry = draw_geometry(size, crop, Augmentation(scale=DOUBLE_OR_HALF, flip=0.5), Random(seed))
    (height, width), top, left, _, is_flipped = geometry
    expected = image.resize((width, height), Image.Resampling.BILINEAR)
    expected = ImageOps.expand(expected, (0, 0, max(crop[1] - width, 0), max(crop[0] - height, 0)), gray)
    expected = expected.crop((left, top, left + crop[1], top + crop[0]))
    expected = ImageOps.mirror(expected) if is_flipped else expected
    assert crop_image(image, geometry, gray) == expected


def test_padding_stands_at_the_right_and_bottom():
    geometry = Geometry(size=(2, 1), top=0, left=0, crop=(3, 2), is_flipped=False)
    assert np.asarray(crop_mask(Image.new("L", (1, 2), 1), geometry, 255)).tolist() == [[1, 255], [1, 255], [255, 255]]


def test_every_position_and_both_directions_are_drawn():
    drawn = {draw_geometry((3, 4), (2, 2), Augmentation(flip=0.5), Random(seed))[1:] for seed in range(500)}
    assert drawn == {(top, left, (2, 2), flip) for top in range(2) for left in range(3) for flip in (False, True)}


@pytest.mark.parametrize(
    ("scale", "expected"),
    [
        pytest.param(
            Scale(side="long", low=0.5, high=2.0), set(range(5, 21)), id="factors of the image's own side, ends included"
        ),
        pytest.param(Scale(side="long", low=0.5, high=1.0, base=8), {4, 5, 6, 7, 8}, id="factors of a fixed base"),
        pytest.param(Scale(side="long", choices=(3, 9)), {3, 9}, id="choices"),
        pytest.param(Scale(side="long"), {10}, id="no change"),
    ],
)
def test_the_long_side_is_drawn_from_the_rule(scale, expected):
    assert {draw_size((10, 6), scale, Random(seed))[0] for seed in range(1000)} == expected


@given(size=sizes, seed=seeds, side=st.sampled_from(["long", "short"]))
def test_the_other_side_keeps_the_aspect_ratio_to_half_a_pixel(size, seed, side):
    height, width = draw_size(size, Scale(side=side, low=0.5, high=2.0), Random(seed))
    own = (max if side == "long" else min)(size)
    factor = (height if size[0] == own else width) / own
    assert abs(height - size[0] * factor) <= 0.5 or height == 1
    assert abs(width - size[1] * factor) <= 0.5 or width == 1


def test_the_short_side_decides_where_the_rule_says_so():
    assert draw_size((100, 50), Scale(side="short", choices=(25,)), Random(0)) == (50, 25)


def test_sizes_are_those_of_the_reference() -> None:
    assert draw_size((375, 500), Scale(side="long", choices=(731,)), Random(0)) == (548, 731)
    drawn = [draw_size((1024, 2048), DOUBLE_OR_HALF, Random(seed)) for seed in range(2000)]
    assert 1024 <= min(drawn)[1] < 1040
    assert 4080 < max(drawn)[1] <= 4096


def test_an_operation_of_probability_zero_leaves_the_image_alone():
    image = random_image()
    assert recolor(image, [Grayscale(name="grayscale", probability=0.0)], Random(0)) is image


def test_operations_are_applied_about_as_often_as_their_probability():
    image, operation = random_image((2, 2)), Grayscale(name="grayscale", probability=0.2)
    count = sum(recolor(image, [operation], Random(seed)) is not image for seed in range(2000))
    assert 340 < count < 460


def test_grayscale_is_luminance_in_three_channels():
    image = random_image()
    gray = recolor(image, [Grayscale(name="grayscale", probability=1.0)], Random(0))
    assert gray == Image.merge("RGB", [image.convert("L")] * 3)


def test_blur_is_pillows():
    image = random_image()
    blurred = recolor(image, [Blur(name="blur", probability=1.0, radius=(1.5, 1.5))], Random(0))
    assert blurred == image.filter(ImageFilter.GaussianBlur(1.5))


def test_a_jitter_that_reaches_nowhere_changes_nothing():
    image = random_image()
    jitter = Jitter(name="jitter", probability=1.0, brightness=0, contrast=0, saturation=0, hue=0)
    assert recolor(image, [jitter], Random(0)) == image


def test_jitter_draws_every_order_and_the_whole_range_of_each_change(monkeypatch):
    names = ("brightness", "contrast", "saturation", "hue")
    calls = []
    recorders = {f"adjust_{name}": lambda image, amount, name=name: calls.append((name, amount)) or image for name in names}
    monkeypatch.setattr(transforms, "functional", SimpleNamespace(**recorders))
    jitter = Jitter(name="jitter", probability=1.0, brightness=0.5, contrast=2.0, saturation=0.5, hue=0.25)
    for seed in range(1000):
        recolor(random_image((1, 1)), [jitter], Random(seed))
    orders = {tuple(name for name, _ in calls[start : start + 4]) for start in range(0, len(calls), 4)}
    assert orders == set(permutations(names))
    ranges = {name: [f([a for n, a in calls if n == name]) for f in (min, max)] for name in names}
    expected = {"brightness": [0.5, 1.5], "contrast": [0, 3], "saturation": [0.5, 1.5], "hue": [-0.25, 0.25]}
    for name in names:
        assert ranges[name] == pytest.approx(expected[name], abs=0.02)


def test_jitter_changes_the_image_as_torchvision_does():
    image = random_image()
    jitter = Jitter(name="jitter", probability=1.0, brightness=0, contrast=0, saturation=0, hue=0.25)
    generator = Random(3)
    assert generator.random() < 1.0  # the test of the probability comes first
    assert recolor(image, [jitter], Random(3)) == functional.adjust_hue(image, generator.uniform(-0.25, 0.25))


def test_padding_is_recolored_with_the_image():
    geometry = Geometry(size=(2, 2), top=0, left=0, crop=(4, 4), is_flipped=False)
    padded = crop_image(Image.new("RGB", (2, 2), (200, 200, 200)), geometry, (100, 0, 0))
    gray = recolor(padded, [Grayscale(name="grayscale", probability=1.0)], Random(0))
    assert gray.getpixel((3, 3)) == (30, 30, 30)


@given(seed=seeds)
def test_equal_generators_draw_equal_views(seed):
    image = random_image()
    operations = [
        Jitter(name="jitter", probability=0.8, brightness=0.5, contrast=0.5, saturation=0.5, hue=0.25),
        Blur(name="blur", probability=0.5, radius=(0.1, 2.0)),
    ]
    assert recolor(image, operations, Random(seed)) == recolor(image, operations, Random(seed))


def test_normalization_is_torchvisions_up_to_rounding():
    image = random_image()
    values = Normalization(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    expected = functional.normalize(
        functional.to_dtype(functional.to_image(image), torch.float32, scale=True), values.mean, values.std
    )
    torch.testing.assert_close(normalize(np.asarray(image), values), expected.as_subclass(torch.Tensor), rtol=0, atol=1e-6)


def test_a_stack_of_images_is_normalized_like_each_of_them():
    values = Normalization(mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))
    images = [np.asarray(random_image(seed=seed)) for seed in range(3)]
    stacked = normalize(np.stack(images), values)
    assert stacked.shape == (3, 3, 20, 30)
    assert stacked.is_contiguous()
    assert all(torch.equal(one, normalize(image, values)) for one, image in zip(stacked, images, strict=True))
