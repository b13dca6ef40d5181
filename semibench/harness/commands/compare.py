"""semibench compare: recorded results -> tables."""

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from semibench.reports.compare import Comparison
    from semibench.reports.gate import Row
    from semibench.reports.page import Page
    from semibench.reports.render.table import Table
    from semibench.reports.store import Collection


@contextmanager
def _without_collector() -> Iterator[None]:
    """Let Python's collector rest: records hold no cycles, and going over thousands of them again and again takes a second."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _refuse_no_number(_: click.Context, parameter: click.Parameter, value: float) -> float:
    """Refuse nan and infinity, which no fall of a score is above."""
    if not isfinite(value):
        raise click.BadParameter(f"{value} is not a number of points", param=parameter)
    return value


@click.command()
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path), metavar="[FOLDER...]")
@click.option("--format", "format_name", default="markdown", show_default=True, help="markdown, html, latex, csv or json.")
@click.option("--protocol", "protocols", multiple=True, help="Only this protocol; may be given several times.")
@click.option("--sort", default="miou", show_default=True, help="Column to sort by, best first.")
@click.option("--columns", default="", help="Columns to show, separated by commas, in this order; of one class: iou:<class>.")
@click.option(
    "--baseline",
    default="",
    metavar="METHOD",
    help="Add differences to this method over seeds, partitions and images, paired, with intervals.",
)
@click.option("--published", is_flag=True, help="Add what others report, in columns of its own.")
@click.option("--unverified", is_flag=True, help="--published, and figures that nobody has checked.")
@click.option(
    "--against", type=click.Path(path_type=Path), metavar="FILE", help="Fail where this earlier table (JSON) was better."
)
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0),
    default=0.5,
    show_default=True,
    callback=_refuse_no_number,
    help="Of --against, in points of mIoU.",
)
@click.option(
    "--gallery",
    "galleries",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Embed these pictures in an HTML page; see 'semibench gallery'.",
)
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Write to this file.")
@_without_collector()
def command(
    folders: tuple[Path, ...],
    format_name: str,
    protocols: tuple[str, ...],
    sort: str,
    columns: str,
    baseline: str,
    published: bool,
    unverified: bool,
    against: Path | None,
    tolerance: float,
    galleries: tuple[Path, ...],
    output: Path | None,
) -> None:
    """Print one table a protocol of the runs in and below FOLDERS (default: runs)."""
    from semibench import plugins
    from semibench.files import write_text
    from semibench.harness.cores import usable_cores
    from semibench.plain import message
    from semibench.reports import compare, gate, store
    from semibench.reports.notes import leaving_out

    face = plugins.find(plugins.FORMAT, format_name)
    selected = tuple(name.strip() for name in columns.split(",") if name.strip())
    selection = compare.Selection(protocols, selected, sort, baseline, published or unverified, unverified)
    collection = store.read(folders or (Path("runs"),), usable_cores())
    comparison = compare.build(collection, selection)
    if hasattr(face, "render_page"):
        text = face.render_page(_page(comparison, collection, sort, output, galleries))
    else:
        _refuse_galleries(galleries, format_name)
        text = face.render(comparison.tables)
    if output is None:
        click.echo(text, nl=False)
    else:
        write_text(output, text)
        click.echo(f"Wrote {output}.", err=True)
    if comparison.without_table:
        click.echo(message(leaving_out(comparison.without_table)), err=True)
    if against is not None:
        rows = gate.read(against, protocols)
        _hold(rows, compare.build(collection, compare.Selection(protocols)).tables, tolerance)


def _page(
    comparison: "Comparison", collection: "Collection", sort: str, output: Path | None, galleries: Sequence[Path]
) -> "Page":
    """Return all that a face can show that shows more than tables; its links are as seen from where it is written."""
    from semibench.reports import gallery, page

    start = output.parent if output else Path.cwd()
    return page.build(comparison, collection.folders, sort, start, [gallery.embed(folder) for folder in galleries])


def _refuse_galleries(galleries: Sequence[Path], format_name: str) -> None:
    from semibench.errors import UsageError

    if galleries:
        raise UsageError(f"--gallery has no place in {format_name}", "Use --format html.")


def _hold(rows: "Sequence[Row]", tables: "Sequence[Table]", tolerance: float) -> None:
    from semibench.errors import RunFailedError
    from semibench.plain import message
    from semibench.reports import gate

    verdicts = gate.judge(rows, tables, tolerance / 100)
    for verdict in verdicts:
        click.echo(message(f"{verdict.outcome}: {verdict.row}: {verdict.text}"), err=True)
    failed = sum(verdict.is_failure for verdict in verdicts)
    if failed:
        raise RunFailedError(
            f"{failed} of {len(verdicts)} rows of the earlier table do not hold, with a tolerance of {tolerance:g} points",
            "Find out why; if the change is meant, write the table anew: semibench compare --format json --output FILE.",
        )
