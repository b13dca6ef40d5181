"""semibench run: train a method on a protocol, score it, measure it, record it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from semibench.harness.commands import _options
from semibench.harness.signals import ending_at_once

if TYPE_CHECKING:
    from semibench.harness.prepare import Order
    from semibench.reports.result import Result


@click.command()
@_options.method
@_options.protocol
@_options.seeds
@_options.configuration
@_options.data_root
@_options.weights
@click.option("--output", type=click.Path(path_type=Path), default=Path("runs"), show_default=True, help="Folder of all runs.")
@click.option("--engine", help="auto, native or detectron2; short for --set run.engine=…")
@click.option("--device", help="auto, cpu, cuda, cuda:<n> or mps; short for --set run.device=…")
@click.option(
    "--devices",
    type=click.IntRange(min=1),
    help="Devices that share each batch, a process each; short for --set run.devices=…  [default: 1, or as many as a launcher "
    "such as torchrun has started]",
)
@click.option(
    "--workers", type=click.IntRange(min=0), help="Processes that prepare batches, per device; short for --set run.workers=…"
)
@click.option("--compile", is_flag=True, help="Compile the forward pass; short for --set run.compile=true.")
@click.option("--reference", "references", multiple=True, type=click.Path(path_type=Path), metavar="RESULT",
              help="Earlier run of the same configuration (result.json or folder): warn when the first 5 % of the steps leave "
              "the band of all that are named.")  # fmt: skip
@click.option(
    "--dry-run", is_flag=True, help="Check everything and say what would run; without the data set, as much as is known."
)
@click.option("--quiet", is_flag=True, help="Show no progress.")
@_options.json_output
@ending_at_once("stopped by {} outside of a training")
def command(
    settings: tuple[str, ...],
    data_root: Path | None,
    weights: Mapping[str, Path],
    output: Path,
    engine: str | None,
    device: str | None,
    devices: int | None,
    workers: int | None,
    compile: bool,
    references: tuple[Path, ...],
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
    semibench run --method semivl --protocol voc-92 --devices 4
    """
    from semibench.harness import launch, processes
    from semibench.harness.prepare import Order

    is_main = processes.launched_rank() == 0
    compiling = "true" if compile else None
    flags = {"engine": engine, "device": device, "devices": processes.agreed(devices), "workers": workers, "compile": compiling}
    settings += tuple(f"run.{key}={value}" for key, value in flags.items() if value is not None)
    done: list[str] = []  # JSON documents

    def tell(text: str, document: str) -> None:
        done.append(document)
        if not as_json:
            click.echo(text)

    try:
        requests = _options.requests(settings=settings, **wanted)
        orders = [Order(request, data_root, output, weights, references) for request in requests]
        for order in orders if dry_run and is_main else ():
            tell(*_planned(order))
        for result, folder in () if dry_run else launch.carry_out(orders, show_progress=not quiet):
            tell(_report(result, folder), result.model_dump_json())
    finally:  # a seed that fails does not take those before it along
        if as_json and is_main:
            click.echo("[" + ",\n".join(done) + "]")


def _planned(order: "Order") -> tuple[str, str]:
    from semibench.harness.commands import _outline
    from semibench.harness.outline import outline

    planned = outline(order)
    return _outline.describe(planned), json.dumps(_outline.summarize(planned))


def _report(result: "Result", folder: Path) -> str:
    score = click.style(f"{100 * result.miou:.2f} mIoU", bold=True)
    return f"{result.method} on {result.protocol}, seed {result.seed}: {score}  ({folder})"
