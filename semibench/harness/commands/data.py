"""semibench data: get data sets, convert them, and verify that they are what they should be."""

import json
from dataclasses import asdict
from pathlib import Path

import click

from semibench.harness.commands import _data, _options

workers = click.option("--workers", type=click.IntRange(min=1), help="How many work at once.  [default: the cores there are]")


@click.group()
def command() -> None:
    """Get data sets, convert and verify them.

    \b
    semibench data status
    semibench data fetch voc --data-root DATA
    semibench data prepare voc --data-root DATA
    semibench data verify voc --data-root DATA
    """


@command.command()
@click.argument("datasets", nargs=-1, metavar="[DATASET]...")
@_options.data_root
@_options.json_output
def status(datasets: tuple[str, ...], data_root: Path | None, as_json: bool) -> None:
    """Show what of each data set is where, what is missing, and how much is prepared."""
    from semibench import plugins
    from semibench.errors import unknown
    from semibench.protocols.inventory import take

    known = plugins.summaries(plugins.DATASET)
    for name in datasets:
        if name not in known:
            raise unknown("data set", name, known, "Run 'semibench list datasets'.")
    found = [take(name, data_root) for name in datasets or known]
    if as_json:
        click.echo(json.dumps({inventory.dataset: asdict(inventory) for inventory in found}, indent=2))
        return
    for inventory in found:
        _data.show(inventory)


@command.command()
@click.argument("dataset")
@click.option("--archive", "names", multiple=True, metavar="NAME", help="Only this one; also one that no protocol needs.")
@click.option("--accept-terms", is_flag=True, help="Do not ask: the terms of the archives are known and accepted.")
@click.option("--keep", is_flag=True, help="Keep the archives after unpacking.")
@_options.data_root
def fetch(dataset: str, names: tuple[str, ...], accept_terms: bool, keep: bool, data_root: Path | None) -> None:
    """Download DATASET's archives, check and unpack them; an interrupted call is continued."""
    from semibench.harness.progress import Meter
    from semibench.protocols import fetching
    from semibench.protocols.download import gigabytes

    root = _required(data_root)
    archives = fetching.wanted(dataset, root, names)
    for archive in archives:
        size = gigabytes(archive.size) if archive.size else "size not known"
        click.echo(f"{archive.name} ({size}): {archive.about}\n  {archive.terms}\n  {archive.page}", err=True)
    if any(archive.urls for archive in archives) and not accept_terms:
        _confirm_terms()
    folder = fetching.home(dataset, root)
    fetching.require_space_for_all(archives, folder, keep=keep)
    for archive in archives:
        with Meter(in_bytes=True) as meter:
            fetching.fetch(archive, folder, meter.show, keep)
        click.echo(f"{archive.name}: unpacked into {folder}.")
    if not archives:
        click.echo(f"{dataset}: nothing to fetch, every folder is in {folder}.")


@command.command()
@click.argument("dataset")
@click.argument("path", type=click.Path(path_type=Path, exists=True, file_okay=False))
@_options.data_root
def link(dataset: str, path: Path, data_root: Path | None) -> None:
    """Make the copy of DATASET in the folder PATH known below the data root."""
    from semibench.protocols import fetching, inventory

    root = _required(data_root)
    fetching.link(dataset, path, root)
    _data.show(inventory.take(dataset, root))


@command.command()
@click.argument("dataset")
@workers
@_options.data_root
def prepare(dataset: str, workers: int | None, data_root: Path | None) -> None:
    """Convert DATASET's annotations to index masks in the cache, so that training reads them fast."""
    from semibench import plugins
    from semibench.harness.cores import usable_cores
    from semibench.harness.progress import Meter
    from semibench.protocols import preparation
    from semibench.protocols.datasets.base import Dataset

    opened = plugins.find_class(plugins.DATASET, dataset, Dataset)(data_root)
    if opened.conversion is None:
        click.echo(f"{dataset}: nothing needs preparing, its masks are read as they are.")
        return
    pending = preparation.pending(opened)
    if not pending:
        click.echo(f"{dataset}: every mask is prepared.")
        return
    with Meter() as meter:
        preparation.prepare(
            opened, pending, workers or usable_cores(), _data.counter(meter.show, f"prepare {dataset}", len(pending))
        )
    click.echo(f"{dataset}: {len(pending)} masks prepared in {opened.prepared(pending[0]).parent}.")


@command.command()
@click.argument("dataset")
@click.option("--quick", is_flag=True, help="Decode a fixed sample of each subset instead of everything.")
@click.option("--subset", help="Only this one.  [default: every one that is there]")
@click.option("--partial", is_flag=True, help="Accept lists that are shorter than the published ones, such as a sample's.")
@workers
@_options.data_root
@_options.json_output
def verify(
    dataset: str,
    quick: bool,
    subset: str | None,
    partial: bool,
    workers: int | None,
    data_root: Path | None,
    as_json: bool,
) -> None:
    """Decode every image and mask of DATASET, and compare its lists with the published ones.

    Ends with 4 when anything is wrong. The digests do not depend on the order or the number of workers.
    """
    from semibench import plugins
    from semibench.errors import DataError
    from semibench.harness.cores import usable_cores
    from semibench.harness.progress import Meter
    from semibench.protocols import verify_data
    from semibench.protocols.datasets.base import Dataset

    opened = plugins.find_class(plugins.DATASET, dataset, Dataset)(data_root)
    chosen = verify_data.select(opened, subset, quick)
    expected = verify_data.expect(opened, subset, partial=partial)
    total = len({id for ids in chosen.values() for id in ids})
    with Meter() as meter:
        count = _data.counter(meter.show, f"verify {dataset}", total)
        found = verify_data.verify(opened, chosen, expected, workers or usable_cores(), count)
    click.echo(_data.to_json(found) if as_json else _data.describe(found), nl=as_json)
    if found.problems:
        number = f"{len(found.problems)} problem{'s' if len(found.problems) > 1 else ''}"
        raise DataError(f"{dataset} has {number}", "Mend what is named above.")


def _required(data_root: Path | None) -> Path:
    from semibench.errors import UsageError

    if data_root is None:
        raise UsageError("no data root is set", "Set --data-root or the environment variable SEMIBENCH_DATA to a folder.")
    return data_root


def _confirm_terms() -> None:
    import sys

    from semibench.errors import UsageError

    if not sys.stdin.isatty():
        raise UsageError("the terms are not accepted, and nobody can be asked", "Read them and add --accept-terms.")
    click.confirm("Do you accept these terms?", abort=True, err=True)
