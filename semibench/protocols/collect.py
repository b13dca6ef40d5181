"""Take lists from where a user has them: a checkout of a repository, a collection of lists, or one text file."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from semibench.errors import DataError, SemibenchError
from semibench.hashing import digest_ids
from semibench.protocols import lists, names, pins, sources
from semibench.protocols.pins import Pin
from semibench.protocols.shelf import Claim, Shelf, claims
from semibench.protocols.verify_lists import misplaced


class Taken(NamedTuple):
    """A file, and which lists of the catalogue it holds; none when it was refused, with the reason."""

    path: Path
    pins: tuple[Pin, ...]
    refusal: str | None = None


def collect(folder: Path) -> Iterator[Taken]:
    """Keep every list of the catalogue that lies in a folder, whatever its place; yield each file taken or refused.

    A text file that is no list of the catalogue is refused only if its place says that it should be one: other files of a
    repository are passed over.
    """
    known = pins.by_digest(pins.everything())
    claimed: dict[Path, list[Claim]] = {}
    for claim in claims(folder):
        if len(claim.paths) > 1:
            yield _permuted(claim)
        else:
            claimed.setdefault(claim.paths[0], []).append(claim)
    for path in sorted({*claimed, *folder.rglob("*.txt")}):
        taken = _take(path, known, claimed.get(path, []))
        if taken is not None:
            yield taken


def take_file(path: Path, name: str | None = None) -> Taken:
    """Keep the list in a text file; ``name`` is the protocol that it must be one of.

    Raises DataError when it is no list of the catalogue, or none of that protocol.
    """
    ids = lists.read(path)
    digest = digest_ids(ids)
    wanted = pins.everything() if name is None else pins.needed(names.resolve(name))
    found = tuple(pin for pin in wanted if pin.sha256 == digest)
    if not found:
        raise _unknown_list(path, ids, digest, wanted if name else (), name)
    lists.keep(ids)
    return Taken(path, found)


def _unknown_list(path: Path, ids: Sequence[str], digest: str, wanted: Sequence[Pin], name: str | None) -> DataError:
    """Build the error for a list that is none, with what is expected and, of the list most like it, why it cannot be it."""
    what = f"{path} holds {len(ids)} ids with the digest {digest}, which is no list of {name or 'the catalogue'}"
    if not wanted:
        return DataError(what, "Give --as PROTOCOL to see what is expected of that one.")
    likely = min(wanted, key=lambda pin: abs(pin.size - len(ids)))
    expected = "; ".join(f"{pin.title} has {pin.size} with {pin.sha256}" for pin in wanted)
    return DataError("; ".join(filter(None, (what, misplaced(likely, ids, Shelf())))), f"Expected: {expected}.")


def _take(path: Path, known: dict[str, list[Pin]], claimed: list[Claim]) -> Taken | None:
    """Return None for a file that is passed over."""
    expected = [claim.pin for claim in claimed if claim.pin and claim.pin.sha256]
    try:
        ids = lists.read(path)
    except DataError as error:
        return Taken(path, (), str(error)) if expected else None
    digest = digest_ids(ids)
    if found := known.get(digest):
        lists.keep(ids)
        return Taken(path, tuple(found))
    if not expected:
        return None
    pin = expected[0]
    return Taken(path, (), f"{pin.title}: expected {pin.size} ids with the digest {pin.sha256}, found {len(ids)} with {digest}")


def _permuted(claim: Claim) -> Taken:
    if claim.pin is None:
        return Taken(claim.paths[0], (), "the catalogue has no such list")
    try:
        sources.keep(claim.pin, claim.ids())
    except SemibenchError as error:
        return Taken(claim.paths[0], (), str(error))
    return Taken(claim.paths[0], (claim.pin,))
