"""semibench gallery: a folder of the images that runs label best, worst and most differently."""

from pathlib import Path

import click

from semibench.harness.commands import _options


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--output", type=click.Path(path_type=Path), default=Path("gallery"), show_default=True)
@click.option("--count", type=click.IntRange(min=1), default=3, show_default=True, help="Images of each kind.")
@_options.data_root
@_options.device
def command(runs: tuple[Path, ...], output: Path, count: int, data_root: Path | None, device: str) -> None:
    """Write pictures of a few images under the labels of each of RUNS, folders of runs of one protocol.

    Best and worst go by the mean of the runs' IoU of an image, disputed by the distance between the highest and the lowest.
    'semibench compare --format html --gallery FOLDER' puts them into a page.
    """
    from semibench.harness import gallery
    from semibench.harness.reopen import reopen
    from semibench.reports import result as record
    from semibench.reports.gallery import INDEX
    from semibench.reports.listing import RESULT

    results = [record.read(run / RESULT) for run in runs]
    scores = [gallery.image_scores(result, run) for result, run in zip(results, runs, strict=True)]
    gallery.check(list(zip(results, scores, strict=True)))
    scorers = [reopen(run, result.evaluation.checkpoint, device).scorer for result, run in zip(results, runs, strict=True)]
    dataset = scorers[0].protocol.open(data_root)
    opened = [gallery.Run(*one) for one in zip(results, scorers, scores, strict=True)]
    index = gallery.write(opened, dataset, output, count)
    if not index.synthetic:
        click.echo(f"The images are those of {index.dataset}: see its terms before you publish them.", err=True)
    click.echo(output / INDEX)
