"""Shapes: small pictures drawn by the program, where only the outline of an object tells its class.

Every drawing is a pure function of (stream, index): no files, no download. All classes share their colors and textures, so
counting colors does not help; a few labels cannot cover all appearances, which is what unlabeled images are for.
Pixels come from + - * / and comparisons alone, which IEEE 754 fixes to the last bit: no sine, no rasterizing library.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from semibench.errors import DataError
from semibench.protocols.datasets.base import Color, Dataset

SIZE = 64  # pixels per side
COUNTS = {"train": 1000, "val": 300, "external": 100_000}
# Entropy of each subset's random streams: never reuse or renumber, every recorded score depends on it.
STREAMS = {"train": 1, "val": 2, "external": 3}

Plane = NDArray[np.float64]


class Drawing(NamedTuple):
    """One picture: image (H, W, 3) uint8 RGB, mask (H, W) uint8 class indices, and what can be seen in words."""

    image: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    caption: str


class Shapes(Dataset):
    """Overlapping textured shapes on cluttered grounds, 64 x 64 pixels; needs no root folder."""

    class_names = ("background", "disk", "ring", "corner", "triangle", "cross", "bowtie", "chevron", "stack")
    palette = (
        (0, 0, 0), (230, 60, 50), (245, 150, 40), (240, 220, 70), (80, 190, 90), (60, 190, 210), (70, 100, 220), (170, 80, 200),
        (240, 140, 190),
    )  # fmt: skip
    synthetic = True

    def __init__(self, root: Path | None = None) -> None:
        super().__init__(root)
        self._drawings: dict[str, Drawing] = {}  # training reads each picture many times

    @classmethod
    def locate(cls, root: Path | None) -> Path | None:
        """Return None: nothing is on disk."""
        return None

    def ids(self, subset: str) -> Sequence[str]:
        """Return e.g. ``train_0007`` for every index of the subset; bytewise order is index order."""
        if subset not in COUNTS:
            raise DataError(f"'shapes' has no subset '{subset}'", f"Use one of: {', '.join(COUNTS)}.")
        width = len(str(COUNTS[subset]))
        return tuple(f"{subset}_{index:0{width}d}" for index in range(COUNTS[subset]))

    def image(self, id: str) -> NDArray[np.uint8]:
        """Return the picture, (64, 64, 3) RGB uint8."""
        return self._drawing(id).image

    def decode_mask(self, id: str) -> NDArray[np.uint8]:
        """Return the class of the topmost object of each pixel, (64, 64) uint8; there is no void."""
        return self._drawing(id).mask

    def caption(self, id: str) -> str:
        """Return the visible objects in words, e.g. ``a red ring and a blue cross on grey``."""
        return self._drawing(id).caption

    def _drawing(self, id: str) -> Drawing:
        if id not in self._drawings:
            subset, _, index = id.partition("_")
            if subset not in STREAMS or not index.isdecimal():
                raise DataError(f"'shapes' has no image '{id}'", "Ids look like train_0007 or val_0299.")
            self._drawings[id] = draw(STREAMS[subset], int(index))
        return self._drawings[id]


def draw(stream: int, index: int) -> Drawing:
    """Draw picture ``index`` of a stream; equal arguments give equal bytes.

    NumPy may change its generators between versions; a test pins the bytes, and ``version`` in the catalogue follows them.

    >>> draw(1, 0).image.shape
    (64, 64, 3)
    """
    generator = np.random.default_rng([stream, index])
    ground = list(GROUNDS)[int(generator.integers(len(GROUNDS)))]
    image = _surface(generator, GROUNDS[ground], contrast=30.0) + _clutter(generator)
    mask = np.zeros((SIZE, SIZE), np.uint8)
    owner = np.zeros((SIZE, SIZE), np.uint8)  # 1 + position of the topmost object
    labels = []
    for number, quarter in enumerate(generator.permutation(4).tolist()):
        kind, color = int(generator.integers(1, len(OUTLINES) + 1)), list(COLORS)[int(generator.integers(len(COLORS)))]
        inside = OUTLINES[kind - 1](*_place(generator, quarter))
        image[inside] = _surface(generator, COLORS[color], contrast=50.0)[inside]
        mask[inside], owner[inside] = kind, number + 1
        labels.append(f"{'an' if color[0] in 'aeiou' else 'a'} {color} {Shapes.class_names[kind]}")
    visible = [label for number, label in enumerate(labels) if (owner == number + 1).any()]
    return Drawing(_expose(generator, image), mask, f"{' and '.join(visible)} on {ground}")


COLORS: dict[str, Color] = {
    "red": (200, 50, 45), "green": (60, 150, 70), "blue": (50, 80, 190), "yellow": (215, 195, 60),
    "cyan": (70, 180, 185), "purple": (135, 60, 160), "orange": (225, 130, 45),
}  # fmt: skip
GROUNDS: dict[str, Color] = {"grey": (128, 128, 128), "white": (225, 225, 220), "black": (40, 40, 45), "brown": (120, 95, 75)}


def _wedge(u: Plane, v: Plane) -> NDArray[np.bool_]:
    return (v > -0.6) & (1.75 * u + v < 1.1) & (-1.75 * u + v < 1.1)


# Inside tests in an object's own coordinates, where it fills about the unit circle.
OUTLINES: tuple[Callable[[Plane, Plane], NDArray[np.bool_]], ...] = (
    lambda u, v: u * u + v * v < 0.85,
    lambda u, v: (u * u + v * v < 1.0) & (u * u + v * v > 0.3),
    lambda u, v: (abs(u) < 0.9) & (abs(v) < 0.9) & ((u < -0.2) | (v > 0.2)),
    _wedge,
    lambda u, v: ((abs(u) < 0.22) | (abs(v) < 0.22)) & (abs(u) < 1.0) & (abs(v) < 1.0),
    lambda u, v: (abs(u) < 1.0) & (abs(v) < 0.9 * abs(u) + 0.1),
    lambda u, v: (abs(u) < 0.95) & (abs(v - 0.9 * abs(u) + 0.45) < 0.36),
    lambda u, v: (abs(u) < 0.9) & (abs(v) > 0.22) & (abs(v) < 0.8),
)


def _place(generator: np.random.Generator, quarter: int) -> tuple[Plane, Plane]:
    """Return (u, v) of an object around the middle of one quarter of the picture, which it may leave: neighbors overlap."""
    x, y = (10.0 + 12.0 * generator.random() + 0.5 * SIZE * side for side in (quarter % 2, quarter // 2))
    return _frame(generator, x, y, radius=12.0 + 6.0 * generator.random(), tilt=0.15)


def _frame(generator: np.random.Generator, x: float, y: float, radius: float, tilt: float) -> tuple[Plane, Plane]:
    """Return each pixel's coordinates (u, v), (H, W) each, in a randomly stretched and rotated frame around (x, y).

    ``tilt`` is the tangent of half the largest angle of rotation.
    """
    stretch = 0.9 + 0.2 * generator.random()
    t = tilt * (2.0 * generator.random() - 1.0)
    # A rational point of the unit circle: the tangent of the half angle is t.
    cosine, sine = (1.0 - t * t) / (1.0 + t * t), 2.0 * t / (1.0 + t * t)
    across, down = COLUMN - x, ROW - y
    return (cosine * across + sine * down) / (radius * stretch), (cosine * down - sine * across) / (radius / stretch)


ROW, COLUMN = (plane.astype(np.float64) for plane in np.mgrid[:SIZE, :SIZE])


def _surface(generator: np.random.Generator, color: Color, contrast: float) -> Plane:
    """Return a textured surface, (H, W, 3): a jittered color and another, at most ``contrast`` away, mixed by a pattern."""
    base = np.array(color) + 40.0 * (generator.random(3) - 0.5)
    other = base + 2.0 * contrast * (generator.random(3) - 0.5)
    weight = PATTERNS[int(generator.integers(len(PATTERNS)))](generator)
    surface: Plane = base + (other - base) * weight[..., None]
    return surface


def _waves(generator: np.random.Generator) -> Plane:
    """Return slanted stripes with the profile of a triangle wave, (H, W) in [0, 1]."""
    a, b = (generator.random(2) - 0.5) * 0.7
    phase = a * ROW + b * COLUMN + generator.random()
    profile: Plane = 2.0 * np.abs(phase - np.floor(phase) - 0.5)
    return profile


def _blotches(generator: np.random.Generator) -> Plane:
    """Return smooth random patches, (H, W) in [0, 1]: a coarse grid of random values, interpolated."""
    cells = int(generator.integers(3, 9))
    values = generator.random((cells + 1, cells + 1))
    place = np.arange(SIZE) * (cells / SIZE)
    low = place.astype(np.int64)
    part = place - low
    rows = values[low] * (1.0 - part)[:, None] + values[low + 1] * part[:, None]
    patches: Plane = rows[:, low] * (1.0 - part) + rows[:, low + 1] * part
    return patches


PATTERNS: tuple[Callable[[np.random.Generator], Plane], ...] = (
    lambda generator: np.zeros((SIZE, SIZE)),
    _waves,
    lambda generator: (_waves(generator) > 0.5).astype(np.float64),
    lambda generator: ((_waves(generator) > 0.5) ^ (_waves(generator) > 0.5)).astype(np.float64),
    lambda generator: (_waves(generator) * _waves(generator) > 0.4).astype(np.float64),
    _blotches,
    lambda generator: (_blotches(generator) > 0.5).astype(np.float64),
)


def _clutter(generator: np.random.Generator) -> Plane:
    """Return lines and specks that belong to the background, (H, W, 3)."""
    clutter = np.zeros((SIZE, SIZE, 3))
    for _ in range(int(generator.integers(3))):
        x, y = SIZE * generator.random(2)
        u, v = _frame(generator, x, y, radius=14.0, tilt=1.0)
        reach = 0.3 + generator.random()
        clutter[(abs(u) < reach) & (abs(v) < 0.12)] = 160.0 * (generator.random(3) - 0.5)
    return clutter


def _expose(generator: np.random.Generator, image: Plane) -> NDArray[np.uint8]:
    """Light the scene from one side, fade and tint it, add sensor noise; return (H, W, 3) uint8.

    Fading and tint are what 48 labeled pictures cannot cover and strong views can.
    """
    a, b = (generator.random(2) - 0.5) * (0.8 / SIZE)
    light = 0.8 + 0.4 * generator.random() + a * (ROW - SIZE / 2) + b * (COLUMN - SIZE / 2)
    noise = (generator.random(image.shape) - 0.5) * (20.0 * generator.random())
    image = image * light[..., None]
    gray = ((image[..., 0] + image[..., 1] + image[..., 2]) / 3.0)[..., None]
    faded = gray + (image - gray) * (1.0 - 0.5 * generator.random())
    tint = 0.72 + 0.56 * generator.random(3)
    return np.asarray(np.clip(faded * tint + noise, 0.0, 255.0), np.uint8)
