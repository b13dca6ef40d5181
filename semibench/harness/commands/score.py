"""semibench score: label maps of another program -> a result."""

import re
from pathlib import Path

import click

from semibench.harness.commands import _options, _scores

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,59}")


def _checked(context: click.Context, parameter: click.Parameter, value: str) -> str:
    if not _NAME.fullmatch(value):
        raise click.BadParameter(f"'{value}' is not a name of at most 60 letters, digits and . _ + -")
    return value


@click.command()
@click.argument("predictions", type=click.Path(path_type=Path))
@_options.protocol
@click.option("--name", required=True, callback=_checked, help="The method's name in tables.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Tells several trainings of it apart.")
@click.option("--backbone", default="unknown", show_default=True, callback=_checked, help="The backbone's name in tables.")
@click.option("--about", default="", help="Where the label maps come from; tables show it as your words.")
@_options.rule
@_options.data_root
@click.option("--output", type=click.Path(path_type=Path), default=Path("runs"), show_default=True, help="Folder of results.")
@_options.json_output
def command(
    predictions: Path,
    protocol: str,
    name: str,
    seed: int,
    backbone: str,
    about: str,
    rule: str | None,
    data_root: Path | None,
    output: Path,
    as_json: bool,
) -> None:
    """Score PREDICTIONS of any program on a protocol, and record them as an external result.

    PREDICTIONS is a folder or a zip archive (.npz, too) with one file for each image of the subset that the protocol reports
    on, ID.png (an index of 8 or 16 bits, or a palette) or ID.npy (integers), and nothing else.

    \b
    semibench score predictions.zip --protocol voc-92 --name my-method
    """
    from semibench.harness import external
    from semibench.harness.progress import Meter
    from semibench.protocols.protocol import load

    loaded = load(protocol)
    dataset, chosen = loaded.open(data_root), loaded.rule(rule)
    entry = external.Entry(name, seed, backbone, about)
    with Meter() as meter:
        scored = external.score(
            predictions, loaded, chosen, dataset, entry, lambda done, total: meter.show("score", done, total)
        )
    folder = external.save(scored, output)
    _scores.show(scored.result.last, dataset.class_names, "", as_json=as_json)
    click.echo(f"Wrote {folder}.", err=True)
