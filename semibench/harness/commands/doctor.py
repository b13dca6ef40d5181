"""semibench doctor: what this machine has, and which data sets are found."""

import json
from collections.abc import Mapping
from pathlib import Path

import click

from semibench.harness.commands import _options


@click.command()
@_options.data_root
@_options.json_output
def command(data_root: Path | None, as_json: bool) -> None:
    """Describe environment and devices, and look for every data set."""
    from semibench import plugins
    from semibench.errors import SemibenchError
    from semibench.harness import environment
    from semibench.protocols.datasets.base import Dataset

    found: dict[str, str] = {}
    for name in plugins.summaries(plugins.DATASET):
        try:
            root = plugins.find_class(plugins.DATASET, name, Dataset).locate(data_root)
            found[name] = f"found in {root}" if root else "built in"
        except SemibenchError as error:
            found[name] = f"not found: {error.what}"
    report: dict[str, Mapping[str, object]] = {"environment": environment.describe(), "data sets": found}
    if as_json:
        click.echo(json.dumps(report, indent=2))
        return
    for title, rows in report.items():
        click.secho(title, bold=True)
        for name, value in rows.items():
            click.echo(f"  {name:14} {value}")
