"""semibench predict: label maps of image files."""

from pathlib import Path
from typing import Literal

import click

from semibench.harness.commands import _options


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--output", type=click.Path(path_type=Path), default=Path("predictions"), show_default=True)
@_options.checkpoint
@_options.device
def command(run: Path, images: tuple[Path, ...], output: Path, checkpoint: Literal["last", "best"], device: str) -> None:
    """Label IMAGES with the network of the run in the folder RUN.

    Writes NAME.png, whose pixel values are class indices, and NAME_overlay.png, the image under the colors of its classes.
    """
    from semibench.errors import UsageError
    from semibench.harness import pictures
    from semibench.harness.reopen import reopen
    from semibench.protocols.datasets.base import read_rgb

    stems = [path.stem for path in images]
    if len(set(stems)) < len(stems):
        raise UsageError("two of the images have the same name, and so would their label maps", "Label them in two calls.")
    scorer, _ = reopen(run, checkpoint, device)
    palette = scorer.protocol.dataset_class().palette
    for path in images:
        image = read_rgb(path)
        labels = scorer.predict(image)
        pictures.save_index(labels, palette, output / f"{path.stem}.png")
        pictures.save_rgb(pictures.overlay(image, labels, palette), output / f"{path.stem}_overlay.png")
        click.echo(output / f"{path.stem}.png")
