"""What the sections of a configuration may say that belong to its method and its network."""

from collections.abc import Mapping
from typing import Annotated, Any, get_args

from pydantic import ValidationError, ValidationInfo, create_model, field_validator
from pydantic_core import ErrorDetails

from semibench import plugins
from semibench.harness import toml
from semibench.methods.method import Method
from semibench.methods.networks.base import Network
from semibench.protocols.recipe import Options
from semibench.records import Decided, Record


def of_method(method: type[Method]) -> type[Record]:
    """Return the method's Config with its name."""
    return create_model("MethodSection", __base__=method.Config, __validators__=_words(), name=(Annotated[str, Decided()], ...))


def of_network(network: type[Network]) -> type[Record]:
    """Return the network's Config with its name."""
    return create_model("NetworkSection", __base__=network.Config, __validators__=_words(), name=(str, ...))


def for_network(options: Mapping[str, Any], name: str) -> Options:
    """Return the options of one network that the one called ``name`` can have too, as options of that."""
    section = of_network(plugins.find_class(plugins.NETWORK, name, Network))
    shared = {key: value for key, value in options.items() if _fits(section, key, value)}
    return shared | {"name": name}


def _fits(section: type[Record], key: str, value: Any) -> bool:
    """Return whether an option has this key and may have this value; whether all options go together shows later."""
    if key not in section.model_fields:
        return False
    return not any(error["loc"][:1] == (key,) for error in _errors(section, toml.with_nulls({key: value})))


def _errors(section: type[Record], data: Mapping[str, Any]) -> list[ErrorDetails]:
    try:
        section.model_validate(data)
    except ValidationError as invalid:
        return invalid.errors()
    return []


def _words() -> Any:  # pydantic's own type is private
    return {"words": field_validator("*", mode="before")(_word_for_none)}


def _word_for_none(cls: type[Record], value: Any, field: ValidationInfo) -> Any:
    """Take no value for the word ``none`` where that is one of a field's own values."""
    has_word = "none" in get_args(cls.model_fields[str(field.field_name)].annotation)
    return "none" if value is None and has_word else value
