"""semibench evaluate: score a checkpoint of a run again."""

from pathlib import Path
from typing import Literal

import click

from semibench.harness.commands import _options, _scores


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@_options.checkpoint
@click.option(
    "--subset",
    help="Images to score; unlabeled: those of the protocol, an oracle.  [default: the subset that the protocol reports on]",
)
@_options.rule
@_options.partial
@_options.data_root
@_options.device
@_options.json_output
def command(
    run: Path,
    checkpoint: Literal["last", "best"],
    subset: str | None,
    rule: str | None,
    partial: bool,
    data_root: Path | None,
    device: str,
    as_json: bool,
) -> None:
    """Score a checkpoint of the run in the folder RUN again, and print per-class and mean IoU.

    Without --rule, the rule is that of the run. On --subset unlabeled it also prints what pseudo-labels of this checkpoint
    are worth: an oracle, since training never opens those masks; images are those of the data set, not augmented.
    """
    from semibench.harness.counting import to_scores
    from semibench.harness.progress import Meter
    from semibench.harness.reopen import reopen
    from semibench.harness.scoring import UNLABELED
    from semibench.reports.figures import precision

    with Meter() as meter:
        scorer, step = reopen(run, checkpoint, device, meter)
        scorer = scorer.under(rule=rule, partial=partial)
        dataset = scorer.protocol.open(data_root)
        subset = subset or scorer.configuration.evaluation.report_on
        evaluation = scorer.evaluate(dataset, subset)
    oracle = precision(evaluation.per_image) if subset == UNLABELED else []
    scores = to_scores(evaluation, subset, step, scorer.configuration.evaluation)
    _scores.show(scores, dataset.class_names, f", step {step}", oracle=oracle, as_json=as_json)
