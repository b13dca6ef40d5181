"""The files that data sets are published as: where they are, how they are recognized, under which terms."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PositiveInt, model_validator

from semibench.errors import DataError
from semibench.protocols.names import documents
from semibench.records import Record

Algorithm = Literal["sha256", "sha1", "md5"]
ALGORITHMS: tuple[Algorithm, ...] = ("sha256", "sha1", "md5")  # the strongest first
Url = Annotated[str, Field(pattern="^https?://")]
Folder = Annotated[str, Field(pattern=r"^\w[\w.-]*(/\w[\w.-]*)*$")]


class Archive(Record):
    """One published file of a data set, and the folders that it holds."""

    name: Annotated[str, Field(pattern=r"^[\w.-]+$")]
    about: str
    terms: str
    page: Url  # where people read about it, and get it where no program may
    urls: tuple[Url, ...] = ()  # mirrors of equal content; none: got by hand
    holds: Annotated[tuple[Folder, ...], Field(min_length=1)]  # folders in it that make up the data set
    optional: bool = False  # fetched only when asked for by name
    size: PositiveInt | None = None  # bytes; None: not known
    unpacked: PositiveInt | None = None  # bytes, about; None: as large as the archive, which is true of photos
    sha256: Annotated[str | None, Field(pattern="^[0-9a-f]{64}$")] = None
    sha1: Annotated[str | None, Field(pattern="^[0-9a-f]{40}$")] = None
    md5: Annotated[str | None, Field(pattern="^[0-9a-f]{32}$")] = None

    @model_validator(mode="after")
    def _has_a_digest_where_it_can_be_fetched(self) -> "Archive":
        if self.urls and not self.digest:
            raise ValueError("an archive with urls needs sha256, sha1 or md5")
        return self

    @property
    def digest(self) -> tuple[Algorithm, str] | None:
        """The strongest digest that is known, None if there is none."""
        known = ((name, getattr(self, name)) for name in ALGORITHMS)
        return next(((name, value) for name, value in known if value), None)

    def missing(self, folder: Path) -> list[str]:
        """Return which of the folders it holds are not in ``folder``."""
        return [name for name in self.holds if not (folder / name).is_dir()]


def archives(dataset: str) -> tuple[Archive, ...]:
    """Return the archives of a data set in the order of its catalogue file; none for what is drawn."""
    tables = documents().get(dataset, {}).get("archives", ())
    return tuple(Archive.parse(table, f"the archives of '{dataset}'", DataError) for table in tables)
