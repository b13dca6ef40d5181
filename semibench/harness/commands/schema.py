"""semibench schema: what a result file holds."""

import json

import click


@click.command()
def command() -> None:
    """Print the JSON Schema of result.json."""
    from semibench.reports.result import json_schema

    click.echo(json.dumps(json_schema(), indent=2))
