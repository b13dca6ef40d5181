"""semibench protocol: partition lists and evaluation rules, as the catalogue pins them."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from semibench.harness.commands import _options

if TYPE_CHECKING:
    from semibench.protocols.names import Entry
    from semibench.protocols.verify_lists import Finding

_lists = click.option("--lists", type=click.Path(path_type=Path), help="Folder of lists, instead of those that are kept.")
_names = click.argument("names", nargs=-1)
_all = click.option("--all", "everything", is_flag=True, help="Every protocol of the catalogue.")


@click.group()
def command() -> None:
    """Show, fetch, import, check and compare protocols."""


@command.command("list")
@click.argument("dataset", required=False)
@_options.json_output
def list_(dataset: str | None, as_json: bool) -> None:
    """List the protocols of all data sets or of DATASET, whether their lists are at hand, and their other names.

    'DATASET-N@hashK' exists for every data set, N and K besides.
    """
    from semibench.errors import unknown
    from semibench.protocols import names, pins

    if dataset is not None and dataset not in names.documents():
        raise unknown("data set", dataset, names.documents(), "Run 'semibench protocol list' for all.")
    found = [entry for entry in names.entries().values() if dataset in (None, entry.dataset)]
    rows = [
        {"name": entry.name, "lists": pins.state(entry), "about": entry.table["about"], "aliases": entry.aliases}
        for entry in found
    ]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    width = max(map(len, (entry.name for entry in found)), default=0)
    for row in rows:
        aliases = f"  ({', '.join(row['aliases'])})" if row["aliases"] else ""
        click.echo(f"{row['name']:{width}}  {row['lists']:8}  {row['about']}{aliases}")


@command.command()
@click.argument("name")
@_options.data_root
@_options.json_output
def show(name: str, data_root: Path | None, as_json: bool) -> None:
    """Show what the protocol NAME means: lists, digests, sources, rules, papers, defects; and classes if data is there."""
    from semibench.harness.commands import _protocol
    from semibench.protocols.describe import describe, describe_data
    from semibench.protocols.protocol import load
    from semibench.protocols.shelf import Shelf

    protocol = load(name)
    description = describe(protocol) | describe_data(protocol, Shelf(data_root=data_root))
    click.echo(json.dumps(description, indent=2) if as_json else _protocol.describe(description))


@command.command()
@_names
@_all
@click.option("--dataset", help="Every protocol of a data set.")
@click.option("--base-url", help="Mirror of raw.githubusercontent.com.  [env var: SEMIBENCH_LISTS_URL]")
def fetch(names: tuple[str, ...], everything: bool, dataset: str | None, base_url: str | None) -> None:
    """Download the lists of protocols from their public sources, check their digests, and keep them."""
    from semibench.errors import DataError, SemibenchError
    from semibench.protocols import lists, pins, sources

    needed = (pin for entry in _entries(names, everything, dataset) for pin in pins.needed(entry))
    wanted = pins.by_digest(filter(pins.is_published, needed))
    failures = []
    for sha256, (pin, *_) in wanted.items():
        if lists.path_of(sha256).is_file():
            click.echo(f"kept     {pin.title}")
            continue
        try:
            sources.fetch(pin, base_url)
            click.echo(f"fetched  {pin.title}")
        except SemibenchError as error:
            failures.append(pin.title)
            click.echo(f"failed   {pin.title}: {error}", err=True)
    if failures:
        raise DataError(
            f"{len(failures)} of {len(wanted)} lists could not be fetched, the first is the {failures[0]}",
            "The reasons stand above.",
        )


@command.command("import")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--as", "name", metavar="PROTOCOL", help="The protocol that a text file is a list of.")
def import_(path: Path, name: str | None) -> None:
    """Take lists from PATH: a checkout of a repository, a collection of lists with an INDEX.csv, or one text file.

    Lists are known by their digest, wherever they lie.
    """
    from semibench.errors import DataError, UsageError
    from semibench.protocols import collect

    if path.is_dir() and name:
        raise UsageError("--as names the list of one file, not of a folder", "Leave it out, or name the file.")
    found = list(collect.collect(path)) if path.is_dir() else [collect.take_file(path, name)]
    for taken in found:
        titles = ", ".join(pin.title for pin in taken.pins)
        click.echo(f"taken    {taken.path}: {titles}" if taken.pins else f"refused  {taken.path}: {taken.refusal}")
    refused = [taken for taken in found if taken.refusal]
    if refused:
        raise DataError(
            f"{len(refused)} of {len(found)} files were refused, the first is {refused[0].path}", "The reasons stand above."
        )
    if not found:
        raise DataError(f"{path} holds no list of the catalogue", "'semibench protocol show' names where each is published.")


@command.command()
@_names
@_all
@_lists
@_options.data_root
def verify(names: tuple[str, ...], everything: bool, lists: Path | None, data_root: Path | None) -> None:
    """Check lists against the catalogue: count, digest, inside the pool, apart from validation images.

    Prints the digest of each list and, for a named protocol, its own: what to record for a new one. With --data-root, named
    protocols are also checked against the data set on disk.
    """
    from semibench.harness.commands import _protocol
    from semibench.protocols import verify_lists
    from semibench.protocols.protocol import load
    from semibench.protocols.shelf import Shelf

    protocols = [load(entry.name) for entry in _entries(names, everything, None)]
    shelf = Shelf(lists, data_root)
    if lists is not None:
        findings = verify_lists.verify_folder(shelf, () if everything else [protocol.name for protocol in protocols])
    else:
        findings = [finding for protocol in protocols for finding in verify_lists.verify_kept(protocol, shelf)]
    click.echo(_protocol.findings(findings))
    _raise_first(findings, is_absence_wrong=not everything)
    for protocol in [] if everything else protocols:
        if dataset := shelf.dataset(protocol):
            digest = protocol.digest(dataset)
        elif split := shelf.split(protocol):
            digest = protocol.official_digest(split)
        else:
            digest = "not known without its pool: give --data-root, or fetch the protocol"
        click.echo(f"digest of protocol {protocol.name}: {digest}")


@command.command()
@click.argument("first")
@click.argument("second")
@_lists
@_options.data_root
@_options.json_output
def diff(first: str, second: str, lists: Path | None, data_root: Path | None, as_json: bool) -> None:
    """Compare the protocols FIRST and SECOND: sizes, overlap, share of fine masks, and classes if data is there."""
    from semibench.harness.commands import _protocol
    from semibench.protocols.difference import count_classes, difference, labeled_of
    from semibench.protocols.protocol import load
    from semibench.protocols.shelf import Shelf

    pair = load(first), load(second)
    shelf = Shelf(lists, data_root)
    dataset = shelf.dataset(pair[0])
    compared = difference(*pair, shelf)
    counts = [count_classes(dataset, one.pool, labeled_of(one, shelf)) for one in pair] if dataset else []
    if as_json:
        overlaps = {key: overlap and overlap._asdict() for key, overlap in compared._asdict().items()}
        named = {one.name: count._asdict() for one, count in zip(pair, counts, strict=False)}
        click.echo(json.dumps({"protocols": [one.name for one in pair], **overlaps, "classes": named}, indent=2))
    else:
        click.echo(_protocol.difference([one.name for one in pair], compared, counts))


def _entries(names: tuple[str, ...], everything: bool, dataset: str | None) -> "list[Entry]":
    from semibench.errors import UsageError, unknown
    from semibench.protocols import names as catalogue

    if sum((bool(names), everything, dataset is not None)) != 1:
        raise UsageError("it is not said which protocols", "Give names, or --all, or, to fetch, --dataset.")
    if dataset is not None and dataset not in catalogue.documents():
        raise unknown("data set", dataset, catalogue.documents(), "Run 'semibench protocol list'.")
    known = catalogue.entries().values()
    return [catalogue.resolve(name) for name in names] or [entry for entry in known if dataset in (None, entry.dataset)]


def _raise_first(findings: "list[Finding]", *, is_absence_wrong: bool) -> None:
    from semibench.errors import DataError

    wrong = [finding for finding in findings if finding.problem]
    absent = [finding for finding in findings if finding.is_absent]
    if wrong:
        more = f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        raise DataError(
            f"the list '{wrong[0].kind}' of {wrong[0].owner} is wrong: {wrong[0].problem}{more}",
            "Take it from its public source: 'semibench protocol fetch'.",
        )
    if absent and is_absence_wrong:
        name = absent[0].owner
        raise DataError(
            f"the list '{absent[0].kind}' of {name} is not at hand",
            f"Run 'semibench protocol fetch {name}', or give --lists or --data-root.",
        )
