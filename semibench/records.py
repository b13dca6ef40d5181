"""The base of everything that crosses a file's border: frozen, unknown keys refused, errors that name the nearest key."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Self, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from semibench.errors import UsageError

Location = tuple[int | str, ...]


class Record(BaseModel):
    """A frozen model that refuses unknown keys and non-finite numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def parse(cls, data: Mapping[str, Any], source: str, error: type[UsageError] | Any = UsageError) -> Self:
        """Validate ``data`` that came from ``source`` (a file or option, named in the message).

        Raises ``error`` (a SemibenchError class) naming the first wrong key, its value and the keys that exist there.
        """
        try:
            return cls.model_validate(data)
        except ValidationError as invalid:
            raise error(*_explain(cls, invalid, source)) from invalid


def _explain(model: type[BaseModel], invalid: ValidationError, source: str) -> tuple[str, str]:
    errors = invalid.errors()
    first = next(
        (error for error in errors if error["type"] == "extra_forbidden"), errors[0]
    )  # a misspelt key also goes missing
    location = first["loc"]
    name = ".".join(map(str, location))
    if first["type"] == "extra_forbidden":
        known = sorted(_keys_at(model, location[:-1]))
        nearest = get_close_matches(str(location[-1]), known, n=3, cutoff=0.5)
        hint = f"nearest: {', '.join(nearest)}; " if nearest else ""
        return f"unknown key '{name}' in {source}", f"{hint}known: {', '.join(known)}."
    if first["type"] == "missing":
        return f"key '{name}' is missing in {source}", "Add it; 'semibench show' prints a complete configuration."
    value = repr(first["input"])
    return f"{name or 'value'} = {value[:80]} in {source} is not valid: {first['msg']}", "Correct the value."


def _keys_at(model: type[BaseModel], location: Location) -> Iterable[str]:
    """Return the field names at ``location`` below ``model``, looking through unions, tuples and mappings."""
    models = [model]
    for part in location:
        annotations = [m.model_fields[str(part)].annotation for m in models if str(part) in m.model_fields]
        models = [inner for annotation in annotations for inner in _models_in(annotation)] or models
    return {name for m in models for name in m.model_fields}


def _models_in(annotation: Any) -> Iterable[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)
