"""semibench show: the resolved configuration of a run, with the origin of each value."""

import json
from typing import Any

import click

from semibench.harness.commands import _options


@click.command()
@_options.method
@_options.protocol
@_options.seeds
@_options.configuration
@_options.json_output
def command(as_json: bool, **wanted: Any) -> None:
    """Print the resolved configuration of a run as TOML, each value with its origin.

    The output can be changed and given back with --config.
    """
    from semibench.harness.configure import resolve

    shown = [resolve(request) for request in _options.requests(**wanted)]
    if not as_json:
        click.echo("\n".join(resolved.to_toml() for resolved in shown), nl=False)
        return
    documents = [
        {"configuration": resolved.configuration.model_dump(mode="json"), "origins": resolved.origins} for resolved in shown
    ]
    click.echo(json.dumps(documents if len(documents) > 1 else documents[0], indent=2))
