"""semibench run: train a method on a protocol, score it, measure it, record it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from semibench.harness.commands import _options

if TYPE_CHECKING:
    from semibench.harness.prepare import Prepared
    from semibench.reports.result import Result


@click.command()
@_options.method
@_options.protocol
@_options.seeds
@_options.configuration
@_options.data_root
@_options.weights
@click.option("--output", type=click.Path(path_type=Path), default=Path("runs"), show_default=True, help="Folder of all runs.")
@click.option("--device", help="auto, cpu, cuda, cuda:<n> or mps; short for --set run.device=…")
@click.option("--workers", type=click.IntRange(min=0), help="Processes that prepare batches; short for --set run.workers=…")
@click.option("--dry-run", is_flag=True, help="Check everything and say what would run.")
@click.option("--quiet", is_flag=True, help="Show no progress.")
@_options.json_output
def command(
    settings: tuple[str, ...],
    data_root: Path | None,
    weights: Path | None,
    output: Path,
    device: str | None,
    workers: int | None,
    dry_run: bool,
    quiet: bool,
    as_json: bool,
    **wanted: Any,
) -> None:
    """Train a method on a protocol, score it, measure its cost, and record all of it.

    Repeating the command resumes what was interrupted, and returns at once what is finished.

    \b
    semibench run --method fixmatch --protocol shapes-48 --seed 0-4
    semibench run --method supervised --protocol camvid-37@hash0 --data-root DATA --set recipe.steps=60
    """
    from semibench.harness.prepare import Order, prepare
    from semibench.harness.run import run

    flags = {"run.device": device, "run.workers": workers}
    settings += tuple(f"{key}={value}" for key, value in flags.items() if value is not None)
    done: list[str] = []  # JSON documents
    try:
        for request in _options.requests(settings=settings, **wanted):
            prepared = prepare(Order(request, data_root, output, weights))
            result = None if dry_run else run(prepared, show_progress=not quiet)
            if as_json:
                done.append(result.model_dump_json() if result else json.dumps(_summarize(prepared)))
            else:
                click.echo(_report(result, prepared.folder.path) if result else _describe(prepared))
    finally:  # a seed that fails does not take those before it along
        if as_json:
            click.echo("[" + ",\n".join(done) + "]")


def _report(result: "Result", folder: Path) -> str:
    score = click.style(f"{100 * result.miou:.2f} mIoU", bold=True)
    return f"{result.method} on {result.protocol}, seed {result.seed}: {score}  ({folder})"


def _summarize(prepared: "Prepared") -> dict[str, Any]:
    configuration = prepared.configuration
    labeled, unlabeled = map(len, prepared.split)
    return {
        "run_id": prepared.run_id,
        "state": _state(prepared),
        "folder": str(prepared.folder.path),
        "digest": prepared.protocol_digest,
        "labeled": labeled,
        "unlabeled": unlabeled,
        "steps": prepared.total,
        "configuration": configuration.model_dump(mode="json"),
    }


def _state(prepared: "Prepared") -> str:
    return "finished" if prepared.folder.result.exists() else "begun" if prepared.folder.last.exists() else "new"


def _describe(prepared: "Prepared") -> str:
    configuration, recipe = prepared.configuration, prepared.configuration.recipe
    labeled, unlabeled = map(len, prepared.split)
    rows = {
        "run": f"{prepared.run_id[:12]} ({_state(prepared)}) in {prepared.folder.path}",
        "protocol": f"{prepared.protocol.name} ({prepared.protocol_digest[:12]}), {labeled} labelled + {unlabeled} images",
        "method": f"{configuration.method.model_dump()['name']}, {configuration.division} recipe, seed {configuration.seed}",
        "training": f"{prepared.total} steps of {recipe.batch.labeled}+{recipe.batch.unlabeled} images, "
        f"crop {recipe.crop[0]}x{recipe.crop[1]}, {recipe.precision}"
        if prepared.total
        else "none",
    }
    return "\n".join(f"{name:10} {text}" for name, text in rows.items())
