"""semibench picture: images, truth and the predictions of several runs side by side."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from semibench.harness.commands import _options

if TYPE_CHECKING:
    from semibench.harness.scoring import Scorer


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--output", type=click.Path(path_type=Path), default=Path("picture.png"), show_default=True)
@click.option("--count", type=click.IntRange(min=1), default=6, show_default=True, help="Images: evenly spaced in the list.")
@_options.checkpoint
@_options.data_root
@_options.device
def command(
    runs: tuple[Path, ...],
    output: Path,
    count: int,
    checkpoint: Literal["last", "best"],
    data_root: Path | None,
    device: str,
) -> None:
    """Write a grid: image, truth, and the prediction of each of RUNS, which share a protocol."""
    from semibench.errors import NotConformantError
    from semibench.harness import pictures
    from semibench.harness.reopen import reopen

    scorers = [reopen(run, checkpoint, device).scorer for run in runs]
    names = {run.protocol.name for run in scorers}
    if len(names) > 1:
        raise NotConformantError(f"the runs are of several protocols: {', '.join(sorted(names))}", "Name runs of one.")
    dataset = scorers[0].protocol.open(data_root)
    ids = dataset.ids(scorers[0].configuration.evaluation.report_on)
    predict = {_title(number, scorer): scorer.predict for number, scorer in enumerate(scorers, 1)}
    pictures.save_comparison(dataset, ids, predict, output, count)
    click.echo(output)


def _title(number: int, scorer: "Scorer") -> str:
    return f"{number}. {scorer.configuration.method.model_dump()['name']}, seed {scorer.configuration.seed}"
