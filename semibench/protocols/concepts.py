"""Class definitions: in which words a text tower is asked for each class.

A data set's definitions stand in one TOML file; ``single`` is one name a class, others describe a class by several concepts.
Users give their own in place of a name: a table of the same keys, in a file for ``--config``.
"""

import tomllib
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from semibench.errors import UsageError, unknown
from semibench.records import Record

FOLDER = Path(__file__).parent / "class_definitions"
Words = Annotated[str, Field(min_length=1)]


class Concepts(Record):
    """Names or concepts of each class, in the order of the classes."""

    source: str = "set by hand"
    templates: Annotated[tuple[str, ...], Field(min_length=1)] = ("a photo of a {name}",)
    classes: Annotated[tuple[Words | Annotated[tuple[Words, ...], Field(min_length=1)], ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _has_places_for_names(self) -> "Concepts":
        for template in self.templates:
            if "{name}" not in template:
                raise ValueError(f"template '{template}' has no place for {{name}}")
        return self

    @property
    def counts(self) -> tuple[int, ...]:
        """Number of concepts of each class."""
        return tuple(map(len, self._lists()))

    @property
    def names(self) -> tuple[str, ...]:
        """All concepts, in the order of the classes."""
        return tuple(name for names in self._lists() for name in names)

    def prompts(self) -> list[str]:
        """Return each concept in each template; those of one concept follow each other.

        >>> Concepts(classes=("cat", ("tv", "monitor"))).prompts()
        ['a photo of a cat', 'a photo of a tv', 'a photo of a monitor']
        """
        return [template.replace("{name}", name) for name in self.names for template in self.templates]

    def _lists(self) -> list[tuple[str, ...]]:
        return [(names,) if isinstance(names, str) else names for names in self.classes]


def choose(wanted: str | Concepts, dataset: str, class_names: tuple[str, ...]) -> Concepts:
    """Return the definition called ``wanted`` of a data set, or the one that was given instead.

    A data set without a file has ``single``: its own names. Raises UsageError when there is no such definition, or when it
    has another number of classes.
    """
    known = definitions(dataset) or {"single": Concepts(source="the data set", classes=class_names)}
    if isinstance(wanted, str) and wanted not in known:
        raise unknown(f"class definition of {dataset}", wanted, known, "Name one of them, or give a table of classes.")
    chosen = known[wanted] if isinstance(wanted, str) else wanted
    if len(chosen.classes) != len(class_names):
        raise UsageError(
            f"the class definition has {len(chosen.classes)} classes, {dataset} has {len(class_names)}",
            f"Give one entry for each of: {', '.join(class_names)}.",
        )
    return chosen


@cache
def definitions(dataset: str) -> dict[str, Concepts]:
    """Return name -> definition of a data set; none where it has no file."""
    path = FOLDER / f"{dataset}.toml"
    if not path.is_file():
        return {}
    tables = tomllib.loads(path.read_text(encoding="utf-8"))
    return {name: Concepts.parse(table, f"[{name}] of {path.name}") for name, table in tables.items()}
