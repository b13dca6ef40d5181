"""Scores as lines for people, or as JSON."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from semibench.reports.figures import Precision
    from semibench.reports.result import Scores


def show(
    scores: "Scores", class_names: Sequence[str], about: str, *, oracle: Sequence["Precision"] = (), as_json: bool
) -> None:
    """Print the IoU of each class and their mean, which is ``about`` something, and what pseudo-labels are worth."""
    if as_json:
        known = {"oracle": [row._asdict() for row in oracle]} if oracle else {}
        click.echo(json.dumps(scores.model_dump(mode="json") | known))
        return
    for name, iou in zip(class_names, scores.class_iou, strict=True):
        click.echo(f"{name:20} {'absent' if iou is None else f'{100 * iou:6.2f}'}")
    click.echo(f"{'mIoU':20} {100 * scores.miou:6.2f}  ({scores.n_images} images of {scores.subset}{about})")
    if oracle:
        click.echo("oracle: pseudo-labels of these images, whose masks training never opens")
    for row in oracle:
        right = "" if row.precision is None else f"  {100 * row.precision:6.2f} right"
        click.echo(f"confidence > {row.above:.2f}     {100 * row.coverage:6.2f} covered{right}")
