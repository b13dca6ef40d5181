"""Layers of options, merged, with the origin of every value."""

import copy
from collections.abc import Iterable, Mapping
from typing import Any  # options are whatever a part declares

from semibench.records import flatten

Layer = tuple[str, Mapping[str, Any]]  # origin, nested options


def stack(layers: Iterable[Layer]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return layers merged, later ones over earlier ones, and the origin of each value.

    A table that takes the place of another one leaves no origin of it:

    >>> stack([("a", {"optimizer": {"name": "sgd", "momentum": 0.9}}), ("b", {"optimizer": {"name": "adamw"}})])
    ({'optimizer': {'name': 'adamw'}}, {'optimizer.name': 'b'})
    """
    merged: dict[str, Any] = {}
    origins: dict[str, Any] = {}
    for origin, layer in layers:
        _merge(merged, origins, layer, origin)
    return merged, dict(flatten(origins))


def _merge(target: dict[str, Any], origins: dict[str, Any], layer: Mapping[str, Any], origin: str) -> None:
    """Merge a layer into ``target``, and into ``origins``, which has its shape."""
    for key, value in layer.items():
        former = target.get(key)
        if isinstance(value, Mapping) and isinstance(former, dict) and former and not _is_another(key, former, value):
            _merge(former, origins[key], value, origin)
        else:
            target[key], origins[key] = copy.deepcopy(value), _everywhere(value, origin)


def _everywhere(value: Any, origin: str) -> Any:
    if not isinstance(value, Mapping) or not value:
        return origin
    return {key: _everywhere(inner, origin) for key, inner in value.items()}


def _is_another(key: str, former: Mapping[str, Any], value: Mapping[str, Any]) -> bool:
    """Return whether a table names another optimizer, whose keys are others than those of the one before."""
    return key == "optimizer" and value.get("name", former.get("name")) != former.get("name")
