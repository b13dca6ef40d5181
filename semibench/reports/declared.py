"""What the catalogue says of a result: whether data set, classes, evaluation rule and recipe are those of its protocol."""

from collections.abc import Iterator

from semibench.errors import SemibenchError
from semibench.protocols.protocol import Protocol, load
from semibench.protocols.recipe import Recipe
from semibench.protocols.shelf import Shelf
from semibench.reports.identity import NUMERICS
from semibench.reports.result import Result

_LONGEST = 100  # characters of a protocol's name; a longer one is not looked for


def find(name: str) -> Protocol | None:
    """Return the protocol with this full name, None where the catalogue has none."""
    try:
        found = load(name) if len(name) <= _LONGEST else None
    except SemibenchError:
        return None
    return found if found and found.name == name else None


def is_of_this_catalog(result: Result) -> bool:
    """Tell whether this version's recipes, networks and lists are those that the run was made with."""
    return result.provenance.numerics == NUMERICS


def contradictions(result: Result) -> Iterator[str]:
    """Yield what a result says otherwise than the catalogue."""
    protocol = find(result.protocol)
    if protocol is None:
        yield f"protocol '{result.protocol}' is no full name of the catalogue"
        return
    dataset = protocol.dataset_class()
    for name, said, is_so in (
        ("dataset", result.dataset, protocol.dataset),
        ("class_names", result.class_names, dataset.class_names),
        ("synthetic", result.synthetic, dataset.synthetic),
    ):
        if said != is_so:
            yield f"{name} is not that of {protocol.dataset}, which {protocol.name} is on"
    if result.division != "custom" and result.evaluation not in [protocol.rule(name) for name in protocol.rules]:
        yield f"the evaluation rule is none of {protocol.dataset}'s: the division would be custom, not {result.division}"
    if result.division == "controlled" and is_of_this_catalog(result):
        for part in _controlled(result, protocol):
            yield f"{part} is not that of protocol {protocol.name}: the division would be custom, not controlled"


def official_digest(protocol: Protocol) -> str | None:
    """Return the digest that results of a protocol have; None where its lists are not at hand."""
    split = Shelf().split(protocol)
    return protocol.official_digest(split) if split else None


def _controlled(result: Result, protocol: Protocol) -> Iterator[str]:
    """Yield the parts of recipe and network that are not the protocol's; another network shares the encoder alone."""
    try:
        recipe = Recipe.parse(result.recipe, "the result")
    except SemibenchError:
        yield "recipe"
    else:
        yield from (f"recipe.{name}" for name, value in recipe if value != getattr(protocol.recipe, name))
    is_same = result.network.get("name") == protocol.network["name"]
    for key in protocol.network if is_same else ("encoder",):
        if result.network.get(key) != protocol.network.get(key):
            yield f"network.{key}"
