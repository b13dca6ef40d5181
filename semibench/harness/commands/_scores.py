"""Scores as lines for people, or as JSON."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from semibench.reports.result import Scores


def show(scores: "Scores", class_names: Sequence[str], about: str, *, as_json: bool) -> None:
    """Print the IoU of each class and their mean, which is ``about`` something."""
    if as_json:
        click.echo(scores.model_dump_json())
        return
    for name, iou in zip(class_names, scores.class_iou, strict=True):
        click.echo(f"{name:20} {'absent' if iou is None else f'{100 * iou:6.2f}'}")
    click.echo(f"{'mIoU':20} {100 * scores.miou:6.2f}  ({scores.n_images} images of {scores.subset}{about})")
