"""Get a data set into the data root: its archives fetched and unpacked, or a link to a copy that exists."""

from collections.abc import Callable, Sequence
from pathlib import Path

from semibench import plugins
from semibench.errors import DataError, RunFailedError, SemibenchError, UsageError, unknown
from semibench.protocols.archive import Archive, archives
from semibench.protocols.datasets.base import Dataset
from semibench.protocols.download import check, download, require_space
from semibench.protocols.unpack import unpack

Advance = Callable[[str, int, int | None], None]  # what is being done, bytes done, bytes in all


def home(dataset: str, root: Path) -> Path:
    """Return the folder that the archives are unpacked into: ``root`` where some are already, else one of its own below."""
    is_there = any((root / name).is_dir() for archive in archives(dataset) for name in archive.holds)
    return root if is_there else root / dataset


def absent(archive: Archive, root: Path, found: Path | None) -> list[str]:
    """Return which folders of an archive are not there; ``found`` is the data set's folder, if it was found."""
    place = f"/{found.resolve().as_posix()}" if found else ""
    return [name for name in archive.missing(root) if not place.endswith(f"/{name}")]


def wanted(dataset: str, root: Path, chosen: Sequence[str] = ()) -> list[Archive]:
    """Return the archives, those named or all that protocols need, whose folders are not all there yet.

    Raises UsageError for a data set without archives or a name that none of them has.
    """
    kind = plugins.find_class(plugins.DATASET, dataset, Dataset)
    known = {archive.name: archive for archive in archives(dataset)}
    if not known:
        raise UsageError(f"'{dataset}' has no archives to fetch", "Run 'semibench data status' to see what is there.")
    for name in chosen:
        if name not in known:
            raise unknown("archive", name, known, f"{dataset} has {', '.join(known)}.")
    try:
        found = kind.locate(root)
    except DataError:
        found = None
    asked = [known[name] for name in chosen] or [archive for archive in known.values() if not archive.optional]
    return [archive for archive in asked if absent(archive, home(dataset, root), found)]


def require_space_for_all(wanted: Sequence[Archive], folder: Path, *, keep: bool) -> None:
    """Raise RunFailedError before the first byte unless there is room for all archives, one after the other unpacked."""
    packed = [archive.size or 0 for archive in wanted]
    unpacked = sum(archive.unpacked or archive.size or 0 for archive in wanted)
    files = [folder / "archives" / f"{archive.name}{ending}" for archive in wanted for ending in ("", ".part")]
    there = sum(file.stat().st_size for file in files if file.is_file())
    needed = unpacked + (sum(packed) if keep else max(packed, default=0)) - there
    require_space(folder, max(0, needed), f"all of it, unpacked ({', '.join(archive.name for archive in wanted)}),")


def fetch(archive: Archive, folder: Path, advance: Advance, keep: bool = False) -> None:
    """Fetch one archive and unpack it into ``folder``; its file is deleted afterwards unless it is to be kept.

    Raises DataError saying how to get it where it can only be had by hand; a file that was put into place is used.
    """
    store = folder / "archives"
    path = store / archive.name
    if not archive.urls and not (archive.digest and path.is_file()):
        raise DataError(f"{archive.name} cannot be fetched by a program", f"{archive.terms} {_by_hand(archive, path)}")
    if path.is_file():
        check(archive, path)
        require_space(folder, archive.unpacked or path.stat().st_size, f"{archive.name}, unpacked,")
    else:
        download(archive, store, lambda done, total: advance(f"fetch {archive.name}", done, total))
    done = 0

    def on_unpacked(size: int) -> None:
        nonlocal done
        done += size
        advance(f"unpack {archive.name}", done, archive.unpacked)

    unpack(path, folder, archive.holds, on_unpacked)
    if not keep:
        path.unlink()


def _by_hand(archive: Archive, path: Path) -> str:
    link = "name an existing copy with 'semibench data link'"
    if archive.digest is None:
        return f"Get it from {archive.page} and {link}."
    return f"Get it from {archive.page}, put it into {path.parent} and give the same command again; or {link}."


def link(dataset: str, path: Path, root: Path) -> Dataset:
    """Make ``root``/``dataset`` a link to the copy at ``path`` and return it, opened through the link.

    Raises DataError when another data set is there, UsageError when something else has the link's place.
    """
    kind = plugins.find_class(plugins.DATASET, dataset, Dataset)
    found = kind(path).root
    if found is None:
        raise UsageError(f"'{dataset}' is drawn by the program", "It needs no files.")
    place = root / dataset
    if place.exists() or place.is_symlink():
        if place.is_symlink() and place.resolve() in (path.resolve(), found.resolve()):
            return kind(root)
        raise UsageError(f"{place} exists already", "Remove it, or choose another --data-root.")
    root.mkdir(parents=True, exist_ok=True)
    for target in dict.fromkeys((path.resolve(), found.resolve())):  # the first may hold more than the data set's folder
        opened = _try_link(kind, place, target)
        if opened is not None:
            return opened
    raise DataError(f"{found} is not found through a link {place}", "Give its folder itself as --data-root.")


def _try_link(kind: type[Dataset], place: Path, target: Path) -> Dataset | None:
    """Link, and open what is found through the link; take the link away where nothing is."""
    try:
        place.symlink_to(target, target_is_directory=True)
    except OSError as error:
        raise RunFailedError(
            f"no link {place} could be made: {error.strerror or error}", "Give --data-root instead."
        ) from error
    try:
        return kind(place.parent)
    except SemibenchError:
        place.unlink()
        return None
