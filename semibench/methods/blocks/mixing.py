"""Mixing of images and of whatever belongs to their pixels."""

import math
import random
from collections.abc import Sequence

import torch
from torch import Tensor


def cutmix_boxes(seeds: Tensor, size: tuple[int, int], stream: int = 0) -> Tensor:
    """Return one CutMix box per sample as (M, H, W) bool: True inside, empty with probability 1/2.

    Area is uniform in [0.02, 0.4] of the image and drawn once, height / width uniform in [0.3, 1 / 0.3], position redrawn
    with it until the box fits: the rule of UniMatch's code. A sample's box is a function of its seed and of ``stream``.

    >>> boxes = cutmix_boxes(torch.arange(64), (32, 32))
    >>> boxes.shape, 16 < int(boxes.any(dim=(1, 2)).sum()) < 48
    (torch.Size([64, 32, 32]), True)
    """
    boxes = torch.zeros(len(seeds), *size, dtype=torch.bool)
    for box, seed in zip(boxes, seeds.tolist(), strict=True):
        generator = random.Random(f"cutmix/{seed}/{stream}")
        if generator.random() < 0.5:
            top, left, height, width = _draw_box(generator, size)
            box[top : top + height, left : left + width] = True
    return boxes


def toggled_boxes(seeds: Tensor, size: tuple[int, int], count: int = 3) -> Tensor:
    """Return ``count`` CutMix boxes per sample, combined by exclusive or, as (M, H, W) bool.

    Each has a share a of the image, uniform in [0.25, 0.5] and then divided by ``count``. Before that division its height is
    a to a power uniform in [0, 1], in images, and its width a / height. The rule of MGD's code, after French et al. 2020.

    >>> boxes = toggled_boxes(torch.arange(64), (32, 32))
    >>> boxes.shape, 0.2 < boxes.float().mean().item() < 0.3
    (torch.Size([64, 32, 32]), True)
    """
    height, width = size
    boxes = torch.zeros(len(seeds), *size, dtype=torch.bool)
    for box, seed in zip(boxes, seeds.tolist(), strict=True):
        generator = random.Random(f"toggled boxes/{seed}")
        for _ in range(count):
            share = generator.uniform(0.25, 0.5)
            tall = share ** generator.random()
            sides = (height * tall / math.sqrt(count), width * share / tall / math.sqrt(count))
            box_height, box_width = round(sides[0]), round(sides[1])
            top, left = generator.randint(0, height - box_height), generator.randint(0, width - box_width)
            box[top : top + box_height, left : left + box_width] ^= True
    return boxes


def paste(target: Tensor, source: Tensor, boxes: Tensor) -> Tensor:
    """Return ``target`` with the pixels inside ``boxes`` (M, H, W) taken from ``source``; both (M, ..., H, W).

    >>> paste(torch.zeros(1, 1, 2), torch.ones(1, 1, 2), torch.tensor([[[True, False]]])).tolist()
    [[[1.0, 0.0]]]
    """
    return torch.where(boxes if target.ndim == 3 else boxes.unsqueeze(1), source, target)


def _draw_box(generator: random.Random, size: tuple[int, int]) -> Sequence[int]:
    height, width = size
    area = generator.uniform(0.02, 0.4) * height * width
    while True:
        ratio = generator.uniform(0.3, 1 / 0.3)
        box_height, box_width = int(math.sqrt(area * ratio)), int(math.sqrt(area / ratio))
        top, left = generator.randrange(height), generator.randrange(width)
        if top + box_height <= height and left + box_width <= width:
            return top, left, box_height, box_width
