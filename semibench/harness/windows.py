"""Geometry of evaluation: to which size an image is resized, and which windows cover it."""

from typing import Literal, NamedTuple

from semibench.protocols.protocol import EvaluationRule

Size = tuple[int, int]  # (H, W) pixels
Border = Literal["shift", "cut"]


class Window(NamedTuple):
    """A rectangle of pixels inside an image."""

    top: int
    left: int
    height: int
    width: int


def windows(size: Size, window: Size, stride: Size, border: Border) -> list[Window]:
    """Return the windows that cover an image of ``size``, row by row. Nothing is padded.

    ``cut``: windows start at 0, stride, ... as long as that is inside the image, and end at its edge (UniMatch).
    ``shift``: the last window is moved back inside the image, so that all have full size (mmsegmentation, UniMatch V2).
    Where the image is smaller than the window, the window is as small as the image.

    >>> windows((4, 6), (4, 4), (4, 3), "cut")
    [Window(top=0, left=0, height=4, width=4), Window(top=0, left=3, height=4, width=3)]
    >>> windows((4, 6), (4, 4), (4, 3), "shift")
    [Window(top=0, left=0, height=4, width=4), Window(top=0, left=2, height=4, width=4)]
    """
    rows = _spans(size[0], window[0], stride[0], border)
    columns = _spans(size[1], window[1], stride[1], border)
    return [Window(top, left, height, width) for top, height in rows for left, width in columns]


def resized(size: Size, rule: EvaluationRule) -> Size:
    """Return the size at which an image of ``size`` is shown to the predictor: first ``short_side``, then ``multiple_of``.

    >>> rule = EvaluationRule(mode="whole", short_side=64, multiple_of=14, select_on="val", report_on="val")
    >>> resized((32, 48), rule), resized((128, 256), rule)
    ((70, 98), (70, 126))
    """
    height, width = size
    if rule.short_side is not None:
        scale = rule.short_side / min(size)
        height, width = _round(height * scale), _round(width * scale)
    if (unit := rule.multiple_of) is not None:
        height, width = max(_round(height / unit), 1) * unit, max(_round(width / unit), 1) * unit
    return height, width


def _spans(length: int, window: int, stride: int, border: Border) -> list[tuple[int, int]]:
    """Return (start, length) of the windows along one axis."""
    if border == "cut":
        return [(start, min(window, length - start)) for start in range(0, length, stride)]
    last = max(length - window, 0)
    return [(min(start, last), min(window, length)) for start in range(0, last + stride, stride)]


def _round(value: float) -> int:
    return int(value + 0.5)  # halves upward, as in UniMatch V2 and mmcv; Python's round() goes to even
