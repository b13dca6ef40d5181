"""Learning-rate multipliers as pure functions of (step, horizon)."""

import math

from semibench.protocols.recipe import Schedule


def multiplier(schedule: Schedule, step: int, total: int) -> float:
    """Return the factor on the learning rate of optimizer step ``step`` (from 0) of ``total``.

    Warm-up multiplies the curve and the floor holds from its end on, as Detectron2's WarmupPolyLR does.

    >>> round(multiplier(Schedule(name="poly"), 50, 100), 6)
    0.535887
    """
    step = max(step - schedule.lag, 0)
    step -= step % schedule.every
    curve = _curve(schedule, min(step / (schedule.horizon or total), 1.0))
    if step < schedule.warmup:
        return curve * (schedule.warmup_start + (1 - schedule.warmup_start) * step / schedule.warmup)
    return max(curve, schedule.floor)


def _curve(schedule: Schedule, fraction: float) -> float:
    if schedule.name == "poly":
        return float((1 - fraction) ** schedule.power)
    if schedule.name == "cosine":
        return (1 + math.cos(math.pi * fraction)) / 2
    return 1.0
