"""Values as TOML text, in which the word ``none`` stands for no value: TOML has nothing for it."""

import tomllib
from collections.abc import Mapping
from typing import Any

import tomlkit
from tomlkit.items import Item


def read_value(text: str) -> Any:
    """Read a value as TOML would, anything else as a string.

    >>> read_value("60"), read_value("[1, 2]"), read_value("poly")
    (60, [1, 2], 'poly')
    """
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def with_nulls(value: Any) -> Any:
    """Return a copy of a document with None for the word ``none``.

    >>> with_nulls({"a": "none", "b": [{"c": "none"}]})
    {'a': None, 'b': [{'c': None}]}
    """
    if isinstance(value, Mapping):
        return {key: with_nulls(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [with_nulls(inner) for inner in value]
    return None if value == "none" else value


def item(value: Any) -> Item:
    """Return a TOML item on one line: tomlkit would give every table of a list lines of its own."""
    if isinstance(value, list):
        array = tomlkit.array()
        array.extend(map(item, value))
        return array
    if isinstance(value, dict):
        table = tomlkit.inline_table()
        table.update({key: item(inner) for key, inner in value.items()})
        return table
    return tomlkit.item("none" if value is None else value)
