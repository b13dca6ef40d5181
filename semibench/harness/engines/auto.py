"""Detectron2 where it can be imported, else native: the numbers are the same."""

from semibench.methods.networks import _detectron2


def __getattr__(name: str) -> str:
    """Return ``ALIAS_OF``, found out when it is asked for: Detectron2 takes seconds to import."""
    if name != "ALIAS_OF":
        raise AttributeError(name)
    return "detectron2" if _detectron2.is_usable() else "native"
