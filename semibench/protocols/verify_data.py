"""Verify a data set: every image and mask decoded, every list compared, every problem named."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from semibench.errors import DataError, unknown
from semibench.hashing import digest_ids, digest_json, digest_pixels
from semibench.protocols.datasets.base import Dataset
from semibench.protocols.inventory import available, expected, required
from semibench.protocols.partition import Subset, hashed

SAMPLE = 50  # pairs of each subset that a quick look decodes, those with the smallest hashes


class Problem(NamedTuple):
    """Something that is not as the data set was published."""

    subset: str
    id: str | None  # None: of the list as a whole
    what: str
    next_step: str


class Verified(NamedTuple):
    """What was found of one subset."""

    listed: int  # ids
    decoded: int  # pairs of them
    images: (
        str | None
    )  # None: not all could be decoded. Else SHA-256 over ids and decoded pixels; JPEG decoders may differ by a level
    masks: str | None  # the same of the masks: what a result calls the digest of its truth


class Verification(NamedTuple):
    """What was found of a data set, and what is wrong with it."""

    subsets: Mapping[str, Verified]
    problems: Sequence[Problem]


class _Pair(NamedTuple):
    """Digests of one pair, empty where it could not be decoded, and what is wrong with it."""

    image: str
    mask: str
    problems: Sequence[DataError]


def expect(dataset: Dataset, subset: str | None, *, partial: bool) -> dict[str, Subset | None]:
    """Return the subsets that must be there, of one or of all, with the list of each that was published.

    With ``partial`` any list will do, but a part of a data set still has every subset that protocols use.
    """
    published = {} if partial else expected(dataset.name)
    names = (subset,) if subset else dict.fromkeys((*available(dataset).ids, *sorted(required(dataset.name))))
    return {name: published.get(name) for name in names}


def select(dataset: Dataset, subset: str | None, quick: bool) -> dict[str, Sequence[str]]:
    """Return the ids to decode of one subset, or of each that is on disk: all of them, or a sample that is always the same."""
    if subset is not None and subset not in dataset.subsets:
        raise unknown("subset", subset, dataset.subsets, f"{dataset.name} has {', '.join(dataset.subsets)}.")
    lists = available(dataset).ids if subset is None else {subset: dataset.ids(subset)}
    return {name: hashed(ids, min(SAMPLE, len(ids)), 0) if quick else ids for name, ids in lists.items()}


def verify(
    dataset: Dataset,
    chosen: Mapping[str, Sequence[str]],
    expected: Mapping[str, Subset | None],
    workers: int,
    on_done: Callable[[int], None],
) -> Verification:
    """Decode the chosen ids and compare the whole lists with what is ``expected``; the digests depend on nothing else.

    Decoding and hashing leave Python's lock, so threads do; they share what a data set has parsed.
    """
    ids = list(dict.fromkeys(id for listed in chosen.values() for id in listed))
    pairs: dict[str, _Pair] = {}
    pool = ThreadPoolExecutor(workers)
    try:
        for id, pair in zip(ids, pool.map(partial(_look, dataset), ids), strict=True):
            pairs[id] = pair
            on_done(1)
    finally:
        pool.shutdown(cancel_futures=True)  # Ctrl-C ends what runs, not what waits
    problems = [_problem(name, None, _absence(dataset, name)) for name in expected if name not in chosen]
    subsets: dict[str, Verified] = {}
    for name, listed in chosen.items():
        whole = dataset.ids(name)
        problems += [_problem(name, None, error) for error in _compare(whole, expected.get(name))]
        problems += [_problem(name, id, error) for id in listed for error in pairs[id].problems]
        decoded = sum(bool(pairs[id].image and pairs[id].mask) for id in listed)
        images, masks = ({id: getattr(pairs[id], kind) for id in listed} for kind in ("image", "mask"))
        subsets[name] = Verified(len(whole), decoded, _digest_all(images), _digest_all(masks))
    return Verification(subsets, problems)


def _problem(subset: str, id: str | None, error: DataError) -> Problem:
    return Problem(subset, id, error.what, error.next_step)


def _compare(ids: Sequence[str], published: Subset | None) -> list[DataError]:
    problems = []
    if len(set(ids)) < len(ids):
        problems.append(DataError(f"the list names {len(ids) - len(set(ids))} images twice", "Use the published list."))
    if published and digest_ids(ids) != published.sha256:
        what = (
            f"the list has {len(ids)} images with the digest {digest_ids(ids)[:12]}, "
            f"published are {published.count} with {published.sha256[:12]}"
        )
        problems.append(DataError(what, "Complete the data set, or give --partial to verify a part of it."))
    return problems


def _absence(dataset: Dataset, subset: str) -> DataError:
    try:
        return DataError(f"{len(dataset.ids(subset))} images were not looked at", "Verify this subset, too.")
    except DataError as error:
        return error


def _look(dataset: Dataset, id: str) -> _Pair:
    image, image_problem = _decode(dataset.image, id)
    mask, mask_problem = _decode(dataset.mask, id)
    problems = [problem for problem in (image_problem, mask_problem) if problem]
    if image is not None and mask is not None and image.shape[:2] != mask.shape:
        problems.append(dataset.mismatch(id, image, mask))
    digests = ["" if pixels is None else digest_pixels(pixels) for pixels in (image, mask)]
    return _Pair(digests[0], digests[1], problems)


def _decode(read: Callable[[str], NDArray[np.uint8]], id: str) -> tuple[NDArray[np.uint8] | None, DataError | None]:
    try:
        return read(id), None
    except DataError as error:
        return None, DataError(error.what, error.next_step)  # without its frames, which hold pixels


def _digest_all(digests: Mapping[str, str]) -> str | None:
    return digest_json(digests) if all(digests.values()) else None
