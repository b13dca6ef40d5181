"""semibench show: the resolved configuration of a run, with the origin of each value."""

from typing import Any

import click

from semibench.harness.commands import _options


@click.command()
@_options.method
@_options.protocol
@_options.seeds
@_options.configuration
@_options.json_output
def command(seeds: tuple[int, ...], as_json: bool, **wanted: Any) -> None:
    """Print the resolved configuration of a run as TOML, each value with its origin.

    The output can be changed and given back with --config.
    """
    from semibench.harness.configure import resolve

    for seed in seeds:
        resolved = resolve(_options.request(seed=seed, **wanted))
        click.echo(resolved.configuration.model_dump_json(indent=2) if as_json else resolved.to_toml(), nl=as_json)
