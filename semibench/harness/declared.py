"""What methods and networks say of a result: whether its settings are those that its division means."""

from collections.abc import Iterator
from typing import Literal

from semibench import plugins
from semibench.errors import SemibenchError
from semibench.harness.configure import Request, backbone, deciding, resolve
from semibench.methods.method import Method
from semibench.methods.networks.base import Network
from semibench.protocols.protocol import load
from semibench.protocols.recipe import Options, Recipe
from semibench.reports.check import Run
from semibench.reports.declared import find, is_of_this_catalog
from semibench.reports.result import Result

_SECTIONS = ("method", "network", "recipe")  # the evaluation rule may be any of the protocol's


class Declarations:
    """The settings that methods, networks and protocols declare, each resolved once."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, ...], Options | str] = {}

    def contradictions(self, run: Run) -> Iterator[str]:
        """Yield what a result says otherwise; of a method or network that is not installed here nothing is known."""
        result = run.result
        if result.kind == "external" or not _is_installed(result):
            return
        if result.backbone != (named := backbone(result.network)):
            yield f"backbone is '{result.backbone}', the network's is '{named}'"
        if result.division == "custom" or not is_of_this_catalog(result) or find(result.protocol) is None:
            return
        key = (result.method, result.protocol, result.division)
        if key not in self._known:
            self._known[key] = _declared(result)
        declared = self._known[key]
        if isinstance(declared, str):
            yield declared
        else:
            yield from _departures(result, declared)


def _is_installed(result: Result) -> bool:
    """Tell whether method and network of a run can be asked."""
    try:
        plugins.find_class(plugins.METHOD, result.method, Method)
        plugins.find_class(plugins.NETWORK, str(result.network.get("name")), Network)
    except SemibenchError:
        return False
    return True


def _declared(result: Result) -> Options | str:
    """Return the sections that decide numbers as the division means them, or why it means none."""
    division: Literal["controlled", "published"] = "published" if result.division == "published" else "controlled"
    try:
        meant = resolve(Request(result.method, load(result.protocol), division=division)).configuration
    except SemibenchError as error:
        return error.what
    if meant.division != division:
        return f"{result.method} cannot take the encoder of {result.protocol}: the division would be custom, not {division}"
    return deciding(meant)


def _departures(result: Result, declared: Options) -> Iterator[str]:
    try:
        recorded = _recorded(result)
    except SemibenchError as error:
        yield error.what
        return
    for section in _SECTIONS:
        for key, value in recorded[section].items():
            if value != declared[section].get(key, value):  # a method's paths are not declared
                yield f"{section}.{key} is not what division {result.division} means: the division would be custom"


def _recorded(result: Result) -> dict[str, Options]:
    """Return the sections of a result with the defaults of what its version did not know."""
    network = {key: value for key, value in result.network.items() if key != "name"}
    method_class = plugins.find_class(plugins.METHOD, result.method, Method)
    network_class = plugins.find_class(plugins.NETWORK, result.network["name"], Network)
    return {
        "method": method_class.Config.parse(result.config, "the result").model_dump(mode="json"),
        "network": network_class.Config.parse(network, "the result").model_dump(mode="json") | {"name": result.network["name"]},
        "recipe": Recipe.parse(result.recipe, "the result").model_dump(mode="json"),
    }
