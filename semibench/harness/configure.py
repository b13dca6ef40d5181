"""From defaults, protocol, file and command line to one configuration, each value with its origin."""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import tomlkit
from pydantic import Field, PositiveInt, SerializeAsAny, create_model

from semibench import plugins
from semibench.errors import UsageError
from semibench.harness import sections, sharing, toml
from semibench.harness.layers import Layer, stack
from semibench.methods.method import Method
from semibench.methods.networks.base import Network
from semibench.protocols.protocol import EvaluationRule, Protocol
from semibench.protocols.recipe import Options, Recipe
from semibench.records import Decided, Located, Record, flatten

Division = Literal["controlled", "published", "custom"]
_OPTIONS = {
    "protocol": "--protocol",
    "method": "--method",
    "method.name": "--method",
    "seed": "--seed",
    "division": "--division",
}
_DECIDING = ("method", "network", "recipe", "evaluation")  # sections that decide numbers


class RunOptions(Record):
    """How a run is carried out; of this ``partial`` alone changes a score, and the protocol's digest with it."""

    engine: str = "auto"  # auto | native | detectron2; auto = detectron2 where it can be imported
    device: str = "auto"  # auto | cpu | cuda | cuda:<n> | mps
    devices: PositiveInt = 1  # as many processes, each on a device of its own; see harness/sharing.py for what that changes
    workers: Annotated[int, Field(ge=0)] = 1  # processes that prepare batches
    threads: PositiveInt | None = None  # of torch; None = one per core. Another number changes the last bits of sums
    compile: bool = False  # the forward pass by torch.compile: faster after a slow start, and other last bits of sums
    checkpoint_every: PositiveInt = 200  # steps
    log_every: PositiveInt = 20  # steps
    tensorboard: bool = True
    partial: bool = False  # use what is on disk of the protocol's lists: for trying things on a part of a data set


class Configuration(Record):
    """Everything that a run needs; ``method`` and ``network`` are validated by the parts that they name."""

    protocol: Annotated[str, Decided()]
    seed: Annotated[int, Field(ge=0), Decided()]
    division: Annotated[Division, Decided()]
    method: SerializeAsAny[Record]
    network: SerializeAsAny[Record]
    recipe: Recipe
    evaluation: EvaluationRule
    run: RunOptions


@dataclass(frozen=True)
class Request:
    """What a user asks for, before anything is looked up."""

    method: str
    protocol: Protocol
    seed: int = 0
    division: Literal["controlled", "published"] | None = None  # None = the method's usual one
    rule: str | None = None  # evaluation rule; None = the published one where the division is, else the protocol's
    file: Path | None = None
    settings: tuple[str, ...] = ()  # "section.key=value"


@dataclass(frozen=True)
class Resolved:
    """A configuration and where each of its values comes from."""

    configuration: Configuration
    origins: Mapping[str, str]  # dotted key of each value -> origin

    def to_toml(self) -> str:
        """Return the configuration as TOML, one dotted key a line, each with its origin; ``--config`` reads it back."""
        document = tomlkit.document()
        for key, value in flatten(self.configuration.model_dump(mode="json")):
            if value != {}:
                item = toml.item(value)
                item.comment(self.origins[key])
                document.append(tomlkit.key(key.split(".")), item)
        return tomlkit.dumps(document)

    def deciding(self) -> Options:
        """Return the sections that decide numbers, as plain JSON."""
        return deciding(self.configuration)


def deciding(configuration: Configuration) -> Options:
    """Return the sections that decide numbers, as plain JSON, without the paths of other runs."""
    dumped = configuration.model_dump(mode="json", exclude={"method": _located(configuration.method)})
    return {section: dumped[section] for section in _DECIDING}


def backbone(network: Options) -> str:
    """Return what tables call the encoder of a network's options: with its family, so that equal names are equal encoders."""
    family = plugins.find_class(plugins.NETWORK, network["name"], Network).family
    return f"{family} {network.get('encoder', network['name'])}".lstrip()


def teacher_paths(configuration: Configuration) -> dict[str, str]:
    """Return role -> path of the runs that the method's configuration names."""
    tables = (getattr(configuration.method, field) for field in sorted(_located(configuration.method)))
    return {role: path for table in tables for role, path in table.items()}


def resolve(request: Request) -> Resolved:
    """Return the complete configuration of a request.

    Later sources win: defaults, the division's settings, the file, ``--set``. A value set by hand that departs from the
    division makes it ``custom``, and so do a part of the data set, a method that cannot take the controlled backbone, and a
    number of devices that cannot share the recipe's parts of a batch. Another evaluation rule of the protocol does not: tables
    tell it apart by its digest. Raises UsageError naming unknown keys, with the nearest ones that exist.
    """
    method = plugins.find_class(plugins.METHOD, request.method, Method)
    name = plugins.real_name(plugins.METHOD, request.method)  # two names, one run
    usual = method.usual_division if request.protocol.dataset in method.published else "controlled"
    request = replace(request, method=name, division=request.division or usual)
    declared = _declared(request, method)
    by_hand = [*_from_file(request), *_from_settings(request.settings)]
    source = "the configuration" if not by_hand else " and ".join(dict.fromkeys(origin for origin, _ in by_hand))
    merged, origins = _stack([*declared, *by_hand], source)
    configuration = parse(merged, source)
    parts = sharing.parts(configuration.recipe, configuration.run.devices)
    reason = "set by hand"
    if parts != configuration.recipe.accumulation:
        shared = f"{configuration.run.devices} devices"
        reason = f"{shared} cut each batch into {parts} parts, the recipe into {configuration.recipe.accumulation}"
        by_hand.append((shared, {"recipe": {"accumulation": parts}}))
        merged, origins = _stack([*declared, *by_hand], source)
        configuration = parse(merged, source)
    origins |= _OPTIONS
    keys = [key for key, _ in flatten(configuration.model_dump(mode="json"))]
    resolved = Resolved(configuration, {key: origins.get(key, "default") for key in keys})
    is_changed = by_hand and Resolved(parse(stack(declared)[0], "the protocol"), {}).deciding() != resolved.deciding()
    if is_changed or configuration.run.partial:
        return _customize(resolved, reason)
    if request.division == "controlled" and not _has_backbone(declared, request.protocol):
        return _customize(resolved, f"{request.method} cannot take the protocol's encoder")
    return resolved


def parse(document: Mapping[str, Any], source: str) -> Configuration:
    """Return the configuration that a complete document says, each section validated by the part that it names.

    The word ``none`` means no value, but where an option of the method or the network has that word among its values.
    """
    method = plugins.find_class(plugins.METHOD, _part(document, "method", source), Method)
    network = plugins.find_class(plugins.NETWORK, _part(document, "network", source), Network)
    return _model(method, network).parse(toml.with_nulls(document), source)


def _stack(layers: list[Layer], source: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Return layers merged, and each value's origin; a network that replaces another one keeps its options where they fit."""
    name = _part(stack(layers)[0], "network", source)
    return stack((origin, _with_network(layer, name)) for origin, layer in layers)


def _with_network(layer: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    network = layer.get("network")
    if not isinstance(network, Mapping) or network.get("name", name) == name:
        return layer
    return {**layer, "network": sections.for_network(network, name)}


def _customize(resolved: Resolved, reason: str) -> Resolved:
    custom = resolved.configuration.model_copy(update={"division": "custom"})
    return Resolved(custom, {**resolved.origins, "division": reason})


def _has_backbone(declared: list[Layer], protocol: Protocol) -> bool:
    network = stack(declared)[0]["network"]
    return bool(network.get("encoder") == protocol.network.get("encoder"))


def _located(method: Record) -> set[str]:
    fields = type(method).model_fields.items()
    return {name for name, field in fields if any(isinstance(mark, Located) for mark in field.metadata)}


def _part(document: Mapping[str, Any], section: str, source: str) -> str:
    """Return the name of the part that a section configures."""
    table = document.get(section)
    if not isinstance(table, Mapping) or not isinstance(table.get("name"), str):
        raise UsageError(
            f"{section} = {str(table)[:80]} in {source} is not a section with a name", f"Set its keys, such as {section}.name."
        )
    return str(table["name"])


def _declared(request: Request, method: type[Method]) -> list[Layer]:
    """Return what the division and the evaluation rule say, before anything is set by hand."""
    protocol = request.protocol
    layer: dict[str, Any] = {
        "protocol": protocol.name,
        "seed": request.seed,
        "division": request.division,
        "method": {"name": request.method},
        "network": _controlled_network(protocol, method),
        "recipe": protocol.recipe.model_dump(mode="json"),
        "run": {},
    }
    if request.division == "controlled":
        return [(f"protocol {protocol.name}", layer), _rule(protocol, request.rule)]
    if protocol.dataset not in method.published:
        known = ", ".join(sorted(method.published)) or "no data set"
        raise UsageError(
            f"method '{request.method}' has no published recipe for {protocol.dataset} (it has one for: {known})",
            "Use --division controlled, the protocol's own recipe.",
        )
    published = method.published[protocol.dataset]
    layer["network"] = published.network
    layer["recipe"] = published.recipe.model_dump(mode="json")
    layer["method"] |= published.method
    return [(f"published: {published.source}", layer), _rule(protocol, request.rule or published.rule)]


def _rule(protocol: Protocol, name: str | None) -> Layer:
    name = name or protocol.evaluation
    return f"rule '{name}' of {protocol.dataset}", {"evaluation": protocol.rule(name).model_dump(mode="json")}


def _controlled_network(protocol: Protocol, method: type[Method]) -> Options:
    """Return the protocol's network; of a method that is about another one, that with all of its options that fit."""
    if method.network_name is None or method.network_name == protocol.network["name"]:
        return protocol.network
    return sections.for_network(protocol.network, method.network_name)


def _from_file(request: Request) -> list[Layer]:
    if request.file is None:
        return []
    try:
        layer = tomllib.loads(request.file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"configuration file {request.file} cannot be read: {error}", "Correct it; it is TOML.") from error
    for key in ("protocol", "seed", "division"):
        layer.pop(key, None)  # a resolved configuration names them; the command line decides them
    method = layer.get("method", {})
    named = method.get("name", request.method) if isinstance(method, dict) else request.method
    if named != request.method:
        raise UsageError(
            f"{request.file.name} is a configuration of method '{named}', not '{request.method}'",
            "Name that method with --method, or use another file.",
        )
    return [(request.file.name, layer)]


def _from_settings(settings: Iterable[str]) -> list[Layer]:
    layers = []
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not all(key.split(".")):
            raise UsageError(f"--set {setting} is not of the form key=value", "For example --set recipe.steps=60.")
        parts = key.strip().split(".")
        if option := _OPTIONS.get(parts[0] if parts[0] != "method" else key.strip()):
            raise UsageError(f"--set {key.strip()} cannot be set by hand", f"Use {option}.")
        value: Any = toml.read_value(text)
        for part in reversed(parts):
            value = {part: value}
        layers.append(("--set", value))
    return layers


def _model(method: type[Method], network: type[Network]) -> type[Configuration]:
    """Return Configuration with the sections of this method and this network, so that errors name full keys."""
    found: Any = {"method": (sections.of_method(method), ...), "network": (sections.of_network(network), ...)}
    return create_model("Configuration", __base__=Configuration, **found)
