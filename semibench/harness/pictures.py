"""Pictures of images, masks and predictions."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from semibench.files import replacing
from semibench.protocols.datasets.base import Color, Dataset

Pixels = NDArray[np.uint8]
Legend = Sequence[tuple[str, Color]]
_MARGIN = 6  # pixels between the cells of a grid
_SQUARE = 10  # pixels a side of a color in the legend
_HEADER = 16  # pixels, the height of a line of Pillow's built-in font and its surroundings


def colorize(labels: Pixels, palette: Sequence[Color]) -> Pixels:
    """Return (H, W, 3) RGB of a label map (H, W); void is white.

    >>> colorize(np.array([[1, 255]], dtype=np.uint8), [(0, 0, 0), (9, 8, 7)]).tolist()
    [[[9, 8, 7], [255, 255, 255]]]
    """
    return _table(palette)[labels]


def overlay(image: Pixels, labels: Pixels, palette: Sequence[Color], opacity: float = 0.6) -> Pixels:
    """Return the image (H, W, 3) with the colors of the labels (H, W) laid over it."""
    mixed = (1 - opacity) * image + opacity * colorize(labels, palette)
    return mixed.round().astype(np.uint8)


def save_index(labels: Pixels, palette: Sequence[Color], path: Path) -> None:
    """Write a label map as an 8-bit palette PNG whose pixel values are the class indices."""
    picture = Image.fromarray(labels, mode=None).convert("L")
    picture = Image.frombytes("P", picture.size, picture.tobytes())
    picture.putpalette(
        _table(palette).tobytes()
    )  # all 256 colors: with fewer, Pillow stores fewer bits a pixel and cuts void off
    _save(picture, path)


def save_rgb(pixels: Pixels, path: Path) -> None:
    """Write (H, W, 3) RGB as a PNG."""
    _save(Image.fromarray(pixels), path)


def save_grid(
    rows: Sequence[Sequence[Pixels]], titles: Sequence[str], path: Path, cell: int = 160, legend: Legend = ()
) -> None:
    """Write a grid of RGB pictures, one title a column, each picture enlarged or reduced to ``cell`` pixels in width.

    Below it each pair of the legend is a square of its color and its name.
    """
    heights = [round(row[0].shape[0] * cell / row[0].shape[1]) for row in rows]
    width = len(titles) * (cell + _MARGIN) + _MARGIN
    entries = _place(legend, width)
    lines = 1 + max((line for *_, line in entries), default=-1)
    canvas = Image.new("RGB", (width, _HEADER * (1 + lines) + sum(heights) + _MARGIN * (len(rows) + 1)), "white")
    draw = ImageDraw.Draw(canvas)
    for column, title in enumerate(titles):
        draw.text((_MARGIN + column * (cell + _MARGIN), 3), title, fill="black")
    top = _HEADER + _MARGIN
    for row, height in zip(rows, heights, strict=True):
        for column, pixels in enumerate(row):
            picture = Image.fromarray(pixels).resize((cell, height), Image.Resampling.NEAREST)
            canvas.paste(picture, (_MARGIN + column * (cell + _MARGIN), top))
        top += height + _MARGIN
    for name, color, left, line in entries:
        corner = left, top + line * _HEADER
        draw.rectangle((*corner, left + _SQUARE, corner[1] + _SQUARE), fill=color, outline="gray")
        draw.text((left + _SQUARE + _MARGIN, corner[1]), name, fill="black")
    _save(canvas, path)


def save_comparison(
    dataset: Dataset, ids: Sequence[str], predict: Mapping[str, Callable[[Pixels], Pixels]], path: Path, count: int
) -> None:
    """Write a grid of ``count`` images, evenly spaced in ``ids``: image, truth, and the labels of each function by title.

    The legend has the classes that occur in it.
    """
    rows = []
    occurs = np.zeros(256, np.bool_)
    for id in ids[:: max(len(ids) // count, 1)][:count]:
        image, mask = dataset.pair(id)
        labels = [mask, *(function(image) for function in predict.values())]
        rows.append([image, *(colorize(one, dataset.palette) for one in labels)])
        for one in labels:
            occurs[one] = True
    save_grid(rows, ["image", "truth", *predict], path, legend=legend(dataset, occurs))


def legend(dataset: Dataset, occurs: NDArray[np.bool_]) -> Legend:
    """Return name and color of every value of a label map that ``occurs`` (256,)."""
    names = {**dict(enumerate(dataset.class_names)), dataset.ignore_index: "void"}
    colors = _table(dataset.palette).tolist()
    return [(names[value], tuple(colors[value])) for value in np.flatnonzero(occurs).tolist()]


def _place(legend: Legend, width: int) -> list[tuple[str, Color, int, int]]:
    """Return (name, color, left, line) of each entry, set in lines like words."""
    placed, left, line = [], _MARGIN, 0
    for name, color in legend:
        space = 2 * _SQUARE + 2 * _MARGIN + round(ImageFont.load_default().getlength(name))
        if left > _MARGIN and left + space - _SQUARE > width:
            left, line = _MARGIN, line + 1
        placed.append((name, color, left, line))
        left += space
    return placed


def _table(palette: Sequence[Color]) -> Pixels:
    """Return (256, 3) RGB of every value of a label map; void, and what the palette lacks, is white."""
    table = np.full((256, 3), 255, dtype=np.uint8)
    table[: len(palette)] = palette
    return table


def _save(picture: Image.Image, path: Path) -> None:
    with replacing(path) as draft:
        picture.save(draft, format="PNG", optimize=True)
