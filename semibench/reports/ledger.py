"""What others report: claims as data, one file a data set in ``published/``, with their sources; never mixed with results."""

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import Field, PositiveInt, model_validator

from semibench.errors import DataError
from semibench.protocols import names
from semibench.records import Record

FOLDER = Path(__file__).parent / "published"

Grade = Literal["stated", "log", "secondary", "recalled"]
Text = Annotated[str, Field(min_length=1)]


class Claim(Record):
    """Figures of one network by one method, as one source gives them; fractions in [0, 1]."""

    method: Text  # as here where it is here, else as its authors write it, in lower case
    metric: Literal["miou", "miou gain", "pixel accuracy"] = "miou"
    backbone: Text
    crop: PositiveInt | None = None  # side in pixels, as all below None where it is not known
    evaluation: Literal["whole", "sliding", "multi-scale"] | None = None
    checkpoint: Literal["last", "best"] | None = None
    source: Text  # where the figures can be read
    # by the authors or in the table of another paper's; from a log file; copied by a third party; from memory, not checked
    grade: Grade
    note: str = ""
    values: Annotated[dict[Text, Annotated[float, Field(gt=0, le=1)]], Field(min_length=1)]  # protocol or setting -> figure

    @property
    def identity(self) -> tuple[object, ...]:
        """What tells a claim from the others of its file; the figures of conflicting sources stand side by side."""
        return self.method, self.metric, self.backbone, self.crop, self.evaluation, self.checkpoint, self.source, self.note


class Document(Record):
    """The claims on one data set. Protocols are named in full; where a source names no lists, its words are a setting."""

    settings: dict[Text, tuple[str, ...]]  # the words of sources -> protocols that they may mean
    claims: tuple[Claim, ...]

    @model_validator(mode="after")
    def _names_what_exists(self) -> Self:
        used = {name for claim in self.claims for name in claim.values}
        candidates = {name for meant in self.settings.values() for name in meant}
        for name in sorted((used - set(self.settings)) | candidates):
            if name not in names.entries():
                raise ValueError(f"'{name}' is neither a protocol of the catalogue nor a setting of this file")
        for words in self.settings:
            if words not in used:
                raise ValueError(f"no claim is made under the setting '{words}'")
        seen: set[tuple[object, ...]] = set()
        for claim in self.claims:
            for name in claim.values:
                if (*claim.identity, name) in seen:
                    raise ValueError(f"{claim.method} on {name} stands twice with the source '{claim.source}'")
                seen.add((*claim.identity, name))
        return self


class Entry(NamedTuple):
    """One figure, and what it was measured on."""

    claim: Claim
    setting: str  # a protocol's name, or the source's words
    value: float
    is_known: bool  # the source names its lists


@cache
def load() -> Mapping[str, Document]:
    """Return data set -> its claims; raise DataError naming the file and the key where one is not as it should be."""
    return {path.stem: read(path) for path in sorted(FOLDER.glob("*.toml"))}


def read(path: Path) -> Document:
    """Return the claims in a file; raise DataError where it is not as it should be."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}", "Restore it.") from error
    return Document.parse(table, path.name, DataError)


def on(protocol: str) -> list[Entry]:
    """Return the mIoU that others report on ``protocol``, then what may be meant for it, each highest first."""
    found = [
        Entry(claim, name, value, is_known=name == protocol)
        for document in load().values()
        for claim in document.claims
        for name, value in claim.values.items()
        if claim.metric == "miou" and protocol in (name, *document.settings.get(name, ()))
    ]
    return sorted(found, key=lambda one: (not one.is_known, -one.value, one.claim.method, one.claim.source, one.claim.note))


def by(method: str) -> list[Claim]:
    """Return all claims on a method, by data set."""
    return [claim for document in load().values() for claim in document.claims if claim.method == method]
