"""Find parts by name: a file in the part's own folder, else an entry point of another package.

Nothing is registered and listing imports nothing: a file's name is the part's name, the first line of its docstring is
its description. ``semibench list`` therefore loads only what this file imports.
"""

import ast
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from semibench.errors import UsageError, unknown

T = TypeVar("T")


@dataclass(frozen=True)
class Kind:
    """A kind of part: the package whose files are its parts, and the module there that is the contract, not a part."""

    name: str
    package: str
    contract: str
    is_listed: bool = False  # by 'semibench list'

    @property
    def folder(self) -> str:
        """Name of the folder of its parts."""
        return self.package.rpartition(".")[2]

    @property
    def group(self) -> str:
        """Entry-point group in which other packages offer parts of this kind."""
        return f"semibench.{self.folder}"


METHOD = Kind("method", "semibench.methods", "method", is_listed=True)
NETWORK = Kind("network", "semibench.methods.networks", "base")
DATASET = Kind("data set", "semibench.protocols.datasets", "base", is_listed=True)
ENGINE = Kind("engine", "semibench.harness.engines", "base")
FORMAT = Kind("format", "semibench.reports.render", "table")


def summaries(kind: Kind) -> dict[str, str]:
    """Return name -> first line of the docstring of every part of this kind, importing none of them."""
    found = {entry.name: f"from {entry.value}" for entry in _entry_points(kind)}
    for name, path in _files(kind):
        docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        found[name] = docstring.partition("\n")[0]
    return dict(sorted(found.items()))


def find(kind: Kind, name: str) -> ModuleType:
    """Import the part of this kind called ``name``.

    Raises UsageError with the nearest names when there is none, or when its package cannot be imported.
    """
    targets = {entry.name: entry.value for entry in _entry_points(kind)}
    targets |= {stem: f"{kind.package}.{stem}" for stem, _ in _files(kind)}
    if name not in targets:
        next_step = f"Run 'semibench list {kind.folder}'." if kind.is_listed else f"Known: {', '.join(sorted(targets))}."
        raise unknown(kind.name, name, targets, next_step)
    try:
        return importlib.import_module(targets[name])
    except ImportError as error:
        raise UsageError(f"{kind.name} '{name}' cannot be imported: {error}", "Install the package that it needs.") from error


def real_name(kind: Kind, name: str) -> str:
    """Return the name under which a part is recorded: its own, or the one that its file says it is ``ALIAS_OF``."""
    return str(getattr(find(kind, name), "ALIAS_OF", name))


def find_class(kind: Kind, name: str, base: type[T]) -> type[T]:
    """Return the subclass of ``base`` that the part's own file defines, or the file of which it is another name."""
    module = find(kind, real_name(kind, name))
    for value in vars(module).values():
        if isinstance(value, type) and issubclass(value, base) and value.__module__ == module.__name__:
            return value
    raise UsageError(f"{module.__name__} defines no {base.__name__}", f"A {kind.name}'s file holds one subclass of it.")


def _files(kind: Kind) -> Iterator[tuple[str, Path]]:
    spec = importlib.util.find_spec(kind.package)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for path in sorted(Path(folder).glob("*.py")):
            if path.stem != kind.contract and not path.stem.startswith("_"):
                yield path.stem, path


def _entry_points(kind: Kind) -> Iterator["importlib.metadata.EntryPoint"]:
    if _is_offered(kind.group):
        import importlib.metadata  # a third of the start-up time of 'semibench list'

        yield from importlib.metadata.entry_points(group=kind.group)


def _is_offered(group: str) -> bool:
    """Return whether any installed package names the group, so that importlib.metadata is asked only when one does."""
    found = (path for folder in sys.path for path in Path(folder or ".").glob("*-info/entry_points.txt"))
    return any(f"[{group}]" in path.read_text(encoding="utf-8", errors="replace") for path in found)
