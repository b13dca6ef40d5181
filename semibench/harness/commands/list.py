"""semibench list: what there is, found without importing any of it."""

import json
from pathlib import Path

import click

from semibench import plugins
from semibench.harness.commands import _options


@click.group()
def command() -> None:
    """List methods, protocols, data sets or runs."""


@command.command()
@_options.json_output
def methods(as_json: bool) -> None:
    """List what can be trained."""
    _show(plugins.summaries(plugins.METHOD), as_json)


@command.command()
@_options.json_output
def datasets(as_json: bool) -> None:
    """List the data sets that can be read."""
    _show(plugins.summaries(plugins.DATASET), as_json)


@command.command()
@_options.json_output
def protocols(as_json: bool) -> None:
    """List what can be trained on; 'DATASET-N@hashK' exists for every data set, N and K besides."""
    from semibench.protocols.names import entries

    _show({entry.name: f"{entry.document['title']}: {entry.table['about']}" for entry in entries().values()}, as_json)


@command.command()
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path))
@_options.json_output
def runs(folders: tuple[Path, ...], as_json: bool) -> None:
    """List the runs below FOLDERS (default: runs), finished or not."""
    from semibench.reports.listing import list_runs

    found = list_runs(folders or (Path("runs"),))
    if as_json:
        click.echo(json.dumps([run._asdict() for run in found], indent=2))
        return
    for run in found:
        score = "" if run.miou is None else f"{100 * run.miou:6.2f} mIoU"
        click.echo(f"{run.protocol:20} {run.method:16} seed {run.seed!s:4} {run.status:9} {score:12} {run.run_id}")
    if not found:
        click.echo("No runs there; 'semibench run' makes some.", err=True)


def _show(rows: dict[str, str], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    width = max(map(len, rows), default=0)
    for name, text in rows.items():
        click.echo(f"{name:{width}}  {text}")
