"""Check lists against the catalogue: count, digest, inside the pool, apart from what is scored on."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from semibench.errors import DataError, SemibenchError
from semibench.hashing import digest_ids
from semibench.protocols import lists, pins
from semibench.protocols.pins import Pin
from semibench.protocols.protocol import Protocol, load
from semibench.protocols.shelf import Claim, Shelf


class Finding(NamedTuple):
    """What became of one list."""

    owner: str  # protocol, or data set where it is a subset
    kind: str
    size: int | None = None
    expected: str | None = None
    found: str | None = None  # digest
    problem: str | None = None  # None: accepted
    is_absent: bool = False  # neither accepted nor wrong


def verify_folder(shelf: Shelf, wanted: Sequence[str] = ()) -> list[Finding]:
    """Check every list of the shelf's folder, or those of the protocols ``wanted``.

    Raises DataError when the folder has none of a wanted protocol.
    """
    found = [claim for claim in shelf.claims if not wanted or (claim.pin and claim.pin.owner in wanted)]
    for name in wanted:
        if not any(claim.pin and claim.pin.owner == name for claim in found):
            raise DataError(f"the folder has no list of {name}", "Leave out --lists to check the kept ones.")
    return [_check_claim(claim, shelf) for claim in found]


def verify_kept(protocol: Protocol, shelf: Shelf) -> Iterator[Finding]:
    """Check the lists of one protocol that are kept or computed."""
    if protocol.list is None and protocol.unlabeled is None:
        labeled = shelf.labeled(protocol)
        count = None if labeled is None else len(labeled)
        yield Finding(protocol.name, pins.LABELED, count, found=digest_ids(labeled) if labeled else None, is_absent=not labeled)
    if protocol.list is not None:
        count = protocol.labeled if protocol.labeled != "all" else 0
        yield _check_kept(Pin(protocol.name, pins.LABELED, count, protocol.list.sha256, None), shelf.labeled(protocol), shelf)
    if own := protocol.unlabeled:
        yield _check_kept(Pin(protocol.name, pins.UNLABELED, own.count, own.sha256, None), shelf.find(own.sha256), shelf)


def misplaced(pin: Pin, ids: Sequence[str], shelf: Shelf) -> str | None:
    """Say which ids of a training list are outside its pool or are scored on, as far as those lists are at hand."""
    if pin.kind not in (pins.LABELED, pins.UNLABELED):
        return None
    protocol = load(pin.owner)
    own = protocol.unlabeled if pin.kind == pins.UNLABELED else None
    pool = shelf.subset(protocol, own.pool if own and own.pool else protocol.pool)
    held_out = shelf.subset(protocol, protocol.rule().report_on) or ()
    try:
        lists.check(ids, f"the {pin.title}", pool, held_out, where="in the pool")
    except DataError as error:
        return error.what
    return None


def _check_kept(pin: Pin, ids: Sequence[str] | None, shelf: Shelf) -> Finding:
    if ids is None:
        return Finding(pin.owner, pin.kind, expected=pin.sha256, is_absent=True)
    return _check(pin, ids, shelf)


def _check_claim(claim: Claim, shelf: Shelf) -> Finding:
    if claim.pin is None:
        return Finding(str(claim.paths[0]), "-", problem="the catalogue has no such list")
    try:
        return _check(claim.pin, shelf.read(claim), shelf)
    except SemibenchError as error:
        return Finding(claim.pin.owner, claim.pin.kind, expected=claim.pin.sha256, problem=str(error))


def _check(pin: Pin, ids: Sequence[str], shelf: Shelf) -> Finding:
    found = digest_ids(ids)
    expected = pin.sha256 or _derived_digest(pin, shelf)
    finding = Finding(pin.owner, pin.kind, len(ids), expected, found)
    if expected is None:
        return finding._replace(problem="it cannot be checked: pool or labelled list are not at hand, or wrong")
    is_pinned = found == expected and len(ids) == pin.size
    what = None if is_pinned else f"expected {pin.size} ids with the digest {expected}, found {len(ids)} with {found}"
    return finding._replace(problem="; ".join(filter(None, (what, misplaced(pin, ids, shelf)))) or None)


def _derived_digest(pin: Pin, shelf: Shelf) -> str | None:
    split = shelf.split(load(pin.owner))
    return digest_ids(split.unlabeled) if split else None
