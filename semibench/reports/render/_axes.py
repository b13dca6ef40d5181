"""Axes of figures: from values to places, and the round numbers written beside them."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

_MAX_TICKS = 6
_STEPS = (1, 2, 2.5, 5, 10)


@dataclass(frozen=True)
class Axis:
    """A linear or logarithmic axis from ``low`` to ``high``, drawn from ``start`` to ``end`` in units of the picture."""

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False

    def place(self, value: float) -> float:
        """Return where a value lies.

        >>> Axis(1, 100, 0, 50, is_log=True).place(10)
        25.0
        """
        low, high, value = (math.log(one) if self.is_log else one for one in (self.low, self.high, value))
        return self.start + (self.end - self.start) * (value - low) / (high - low)

    def ticks(self) -> list[float]:
        """Return round values within the axis, six at most.

        >>> Axis(0.12, 0.58, 0, 1).ticks()
        [0.2, 0.3, 0.4, 0.5]
        """
        candidates = list(_decades(self.low, self.high)) if self.is_log else []
        return _thinned(candidates) if len(candidates) > 1 else _linear(self.low, self.high)


def covering(values: Iterable[float], start: float, end: float, *, is_log: bool = False, margin: float = 0.06) -> Axis:
    """Return an axis with all of ``values`` and a margin at both ends, a share of its length."""
    values = sorted(values)
    low, high = values[0], values[-1]
    if is_log:
        low, high = math.log(low), math.log(high)
    room = margin * (high - low) or (0.5 if is_log else abs(high) * 0.1 or 1)
    low, high = low - room, high + room
    return Axis(math.exp(low), math.exp(high), start, end, True) if is_log else Axis(low, high, start, end)


def _linear(low: float, high: float) -> list[float]:
    raw = (high - low) / _MAX_TICKS
    power = 10 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in _STEPS if factor * power >= raw * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{number * step:.12g}") for number in range(first, last + 1)]


def _decades(low: float, high: float) -> Iterable[float]:
    for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1):
        for factor in (1, 2, 5):
            if low <= factor * 10.0**power <= high:
                yield float(f"{factor * 10.0**power:.12g}")


def _thinned(values: list[float]) -> list[float]:
    return values if len(values) <= _MAX_TICKS else values[:: math.ceil(len(values) / _MAX_TICKS)]
