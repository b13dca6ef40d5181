"""The base of everything that crosses a file's border: frozen, unknown keys refused, errors that name the nearest key."""

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Literal, NamedTuple, Self, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from semibench.errors import SemibenchError, UsageError

Location = tuple[int | str, ...]
MOST = 2**63 - 1  # of what is counted: reports do arithmetic with it, as integers of 64 bits and as floats
Count = Annotated[int, Field(ge=0, le=MOST)]
Positive = Annotated[int, Field(ge=1, le=MOST)]


class Decided:
    """Marks a field that has an option of its own: errors do not offer it as a key."""


class Located:
    """Marks a field of paths by role: what lies there decides about a run, not where it lies."""


class Record(BaseModel):
    """A frozen model that refuses unknown keys and non-finite numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def parse(cls, data: Mapping[str, Any], source: str, error: type[SemibenchError] = UsageError) -> Self:
        """Validate ``data`` that came from ``source`` (a file or option, named in the message).

        Raises ``error`` naming the first wrong key, its value and the keys that exist there.
        """
        try:
            return cls.model_validate(data)
        except ValidationError as invalid:
            raise error(*_explain(cls, invalid, source)) from invalid


class _Place(NamedTuple):
    """A location in a document: its dotted key, and the models that may stand there."""

    name: str
    models: list[type[BaseModel]]


def _explain(model: type[BaseModel], invalid: ValidationError, source: str) -> tuple[str, str]:
    errors = invalid.errors()
    first = next(
        (error for error in errors if error["type"] == "extra_forbidden"), errors[0]
    )  # a misspelt key also goes missing
    location = first["loc"]
    name = _place(model, location).name
    if first["type"] == "extra_forbidden":
        candidates = sorted(_keys(_place(model, location[:-1]).models))
        nearest = ", ".join(get_close_matches(str(location[-1]), candidates, n=3, cutoff=0.5))
        known = ", ".join(candidates)
        next_step = f"Nearest: {nearest}; known: {known}." if nearest else f"Known: {known}."
        return f"unknown key '{name}' in {source}", next_step
    if first["type"] == "missing":
        return f"key '{name}' is missing in {source}", "Add it; 'semibench show' prints a complete configuration."
    value, reason = repr(first["input"])[:80], first["msg"].removeprefix("Value error, ")
    what = f"{name or 'value'} = {value} in {source} is not valid: {reason}"
    return what, "See 'semibench show' for every setting and its value."


def _place(model: type[BaseModel], location: Location) -> _Place:
    """Follow a location of pydantic's, which names the tag of a union's member between two keys."""
    names: list[str] = []
    models = [model]
    for part in location:
        tagged = [member for member in models if len(models) > 1 and _has_tag(member, part)]
        if tagged:
            models = tagged
            continue
        names.append(str(part))
        annotations = [m.model_fields[str(part)].annotation for m in models if str(part) in m.model_fields]
        models = [inner for annotation in annotations for inner in _models_in(annotation)] or models
    return _Place(".".join(names), models)


def _has_tag(model: type[BaseModel], tag: int | str) -> bool:
    annotations = [field.annotation for field in model.model_fields.values()]
    return any(get_origin(annotation) is Literal and tag in get_args(annotation) for annotation in annotations)


def _keys(models: Iterable[type[BaseModel]]) -> set[str]:
    fields = [item for model in models for item in model.model_fields.items()]
    return {name for name, field in fields if not any(isinstance(mark, Decided) for mark in field.metadata)}


def _models_in(annotation: Any) -> Iterable[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


def flatten(nested: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted key, value) of the leaves; an empty table is a leaf.

    >>> list(flatten({"a": {"b": 1}, "c": [2]}))
    [('a.b', 1), ('c', [2])]
    """
    for key, value in nested.items():
        if isinstance(value, Mapping) and value:
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
