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

    outputs = [(output / f"{path.stem}.png", output / f"{path.stem}_overlay.png") for path in images]
    taken = {path.resolve() for path in images}
    for file in (file.resolve() for pair in outputs for file in pair):
        if file in taken:
            raise UsageError(f"{file} is one of the images or would be written twice", "Label them in two calls, or elsewhere.")
        taken.add(file)
    scorer, _ = reopen(run, checkpoint, device)
    palette = scorer.protocol.dataset_class().palette
    for path, (labels_file, overlay_file) in zip(images, outputs, strict=True):
        image = read_rgb(path, "Give files that can be opened as images.")
        labels = scorer.predict(image)
        pictures.save_index(labels, palette, labels_file)
        pictures.save_rgb(pictures.overlay(image, labels, palette), overlay_file)
        click.echo(labels_file)
