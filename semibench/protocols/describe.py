"""What a protocol means, as plain JSON: for ``semibench protocol show`` and the reference pages."""

from typing import Any  # JSON values have no narrower type

from semibench.errors import DataError
from semibench.protocols import names, pins
from semibench.protocols.difference import count_classes
from semibench.protocols.protocol import Protocol
from semibench.protocols.shelf import Shelf


def describe(protocol: Protocol) -> dict[str, Any]:
    """Return everything that the catalogue says about a protocol, without recipe and network."""
    entry = names.resolve(protocol.name)
    own = protocol.unlabeled
    return {
        "name": protocol.name,
        "aliases": entry.aliases,
        "data set": protocol.title,
        "about": protocol.about,
        "version": protocol.version,
        "lists": pins.state(entry),
        "labeled": {
            "count": protocol.sizes[0],
            **(protocol.list.model_dump() if protocol.list else {"source": _rule(protocol)}),
        },
        "unlabeled": own.model_dump(exclude_none=True)
        if own
        else {"count": protocol.sizes[1], "source": "the rest of the pool"},
        "pool": protocol.pool,
        "subsets": {name: subset.model_dump(exclude_none=True) for name, subset in protocol.subsets.items()},
        "evaluation": protocol.evaluation,
        "rules": {
            name: {**rule.model_dump(mode="json", exclude_none=True), "digest": protocol.rule(name).digest()}
            for name, rule in protocol.rules.items()
        },
        "seeds": list(protocol.seeds),
        "used_by": list(protocol.used_by),
        "defects": [*protocol.defects, *([own.defect] if own and own.defect else [])],
    }


def describe_data(protocol: Protocol, shelf: Shelf) -> dict[str, Any]:
    """Return what lists and files add that are at hand: the digest, and how many labelled images show each class.

    A data set that cannot be read is no reason not to describe a protocol.
    """
    split, dataset = shelf.split(protocol), shelf.dataset(protocol)
    found: dict[str, Any] = {"digest": protocol.official_digest(split)} if split else {}
    if split and dataset:
        try:
            counts = count_classes(dataset, protocol.pool, split.labeled)
        except DataError as error:
            return found | {"images_per_class": f"not known: {error}"}
        found |= counts._asdict() if counts.images_on_disk else {"images_on_disk": 0}
    return found


def _rule(protocol: Protocol) -> str:
    seed = names.hash_seed(protocol.family)
    return "the whole pool" if seed is None else f"smallest SHA-256 of '{seed}/<id>'; see docs/hashed-partitions.md"
