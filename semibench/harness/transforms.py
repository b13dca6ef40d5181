"""Augmentations as functions: what is random is drawn first, from a given generator, and then applied.

Order and numbers follow UniMatch (``LiheYoung/UniMatch``, ``dataset/transform.py``): resize, pad, crop, flip, then colors on
the cropped image, so that its padding is recolored too. Pictures are PIL images until they are normalized.
"""

from collections.abc import Sequence
from random import Random
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from torch import Tensor
from torchvision.transforms.v2 import functional

from semibench.protocols.recipe import Augmentation, Blur, ColorOperation, Grayscale, Jitter, Normalization, Scale

Size = tuple[int, int]  # (H, W) pixels
Fill = int | tuple[int, int, int]


class Geometry(NamedTuple):
    """Where the pixels of a crop come from; the same for an image, its mask and its validity."""

    size: Size  # of the resized image
    top: int  # pixels
    left: int
    crop: Size
    is_flipped: bool  # horizontally, after cropping


def draw_geometry(size: Size, crop: Size, augmentation: Augmentation, generator: Random) -> Geometry:
    """Draw how a picture of ``size`` becomes a crop; every position inside the padded picture is equally likely."""
    height, width = size if augmentation.scale is None else draw_size(size, augmentation.scale, generator)
    top = generator.randint(0, max(height - crop[0], 0))
    left = generator.randint(0, max(width - crop[1], 0))
    return Geometry((height, width), top, left, crop, generator.random() < augmentation.flip)


def draw_size(size: Size, scale: Scale, generator: Random) -> Size:
    """Draw the size (H, W) to which a picture of ``size`` is resized.

    >>> draw_size((50, 100), Scale(side="long", choices=(75,)), Random(0))
    (38, 75)
    """
    own = (max if scale.side == "long" else min)(size)
    base = scale.base or own
    drawn = (
        generator.choice(scale.choices) if scale.choices else generator.randint(int(scale.low * base), int(scale.high * base))
    )
    # Halves are rounded up, as in the reference; round() would take them to the even neighbor.
    height, width = (drawn if side == own else max(int(side * drawn / own + 0.5), 1) for side in size)
    return height, width


def crop_image(image: Image.Image, geometry: Geometry, fill: Fill) -> Image.Image:
    """Return the crop of an image, resized bilinearly (antialiased, as Pillow does) and padded with ``fill``."""
    return _crop(image, geometry, Image.Resampling.BILINEAR, fill)


def crop_mask(mask: Image.Image, geometry: Geometry, fill: int) -> Image.Image:
    """Return the crop of a mask, resized to the nearest pixel and padded with ``fill``."""
    return _crop(mask, geometry, Image.Resampling.NEAREST, fill)


def crop_valid(geometry: Geometry) -> NDArray[np.bool_]:
    """Return which pixels of the crop show the picture, (H, W) bool; the others are padding."""
    valid = np.zeros(geometry.crop, np.bool_)
    valid[: geometry.size[0] - geometry.top, : geometry.size[1] - geometry.left] = True
    return valid[:, ::-1] if geometry.is_flipped else valid


def recolor(image: Image.Image, operations: Sequence[ColorOperation], generator: Random) -> Image.Image:
    """Apply each color operation with its own probability, in the order given."""
    for operation in operations:
        if generator.random() < operation.probability:
            image = _apply(operation, image, generator)
    return image


def normalize(pixels: NDArray[np.uint8], normalization: Normalization) -> Tensor:
    """Map RGB pixels (..., H, W, 3) uint8 to (..., 3, H, W) float32 of the given mean and deviation.

    >>> normalize(np.full((4, 4, 3), 255, np.uint8), Normalization(mean=(0.5, 0.5, 1), std=(0.5, 0.25, 1)))[:, 0, 0]
    tensor([1., 2., 0.])
    """
    # NumPy, not torch, whose threads would compete with training for the cores.
    planes = np.ascontiguousarray(np.moveaxis(pixels, -1, -3), np.float32)
    mean, std = (np.array(values, np.float32).reshape(3, 1, 1) for values in (normalization.mean, normalization.std))
    planes /= 255
    planes -= mean
    planes /= std
    return torch.from_numpy(planes)


def denormalize(image: Tensor, normalization: Normalization) -> NDArray[np.uint8]:
    """Map (3, H, W) as ``normalize`` returns it back to RGB pixels (H, W, 3) uint8, exactly.

    >>> imagenet = Normalization(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    >>> pixels = np.arange(256 * 3, dtype=np.uint32).reshape(16, 16, 3).astype(np.uint8)
    >>> bool((denormalize(normalize(pixels, imagenet), imagenet) == pixels).all())
    True
    """
    mean, std = (np.array(values, np.float32) for values in (normalization.mean, normalization.std))
    pixels = np.moveaxis(image.cpu().numpy(), 0, -1) * std + mean
    restored: NDArray[np.uint8] = np.rint(pixels * 255).astype(np.uint8)
    return restored


def _crop(picture: Image.Image, geometry: Geometry, resampling: Image.Resampling, fill: Fill) -> Image.Image:
    (height, width), top, left, crop, is_flipped = geometry
    if picture.size != (width, height):
        picture = picture.resize((width, height), resampling)
    bottom, right = min(top + crop[0], height), min(left + crop[1], width)
    if (left, top, right, bottom) != (0, 0, width, height):
        picture = picture.crop((left, top, right, bottom))
    if picture.size != (crop[1], crop[0]):
        padded = Image.new(picture.mode, (crop[1], crop[0]), fill)
        padded.paste(picture)
        picture = padded
    return picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if is_flipped else picture


def _apply(operation: ColorOperation, image: Image.Image, generator: Random) -> Image.Image:
    match operation:
        case Jitter():
            return _jitter(operation, image, generator)
        case Grayscale():
            gray: Image.Image = functional.rgb_to_grayscale(image, num_output_channels=3)
            return gray
        case Blur():
            return image.filter(ImageFilter.GaussianBlur(generator.uniform(*operation.radius)))


def _jitter(jitter: Jitter, image: Image.Image, generator: Random) -> Image.Image:
    changes = [
        (adjust, generator.uniform(max(center - reach, lowest), center + reach))
        for adjust, reach, center, lowest in (
            (functional.adjust_brightness, jitter.brightness, 1.0, 0.0),
            (functional.adjust_contrast, jitter.contrast, 1.0, 0.0),
            (functional.adjust_saturation, jitter.saturation, 1.0, 0.0),
            (functional.adjust_hue, jitter.hue, 0.0, -0.5),
        )
        if reach > 0
    ]
    generator.shuffle(changes)
    for adjust, amount in changes:
        image = adjust(image, amount)
    return image
