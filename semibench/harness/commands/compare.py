"""semibench compare: recorded results -> tables."""

from pathlib import Path

import click


@click.command()
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path), metavar="[FOLDER...]")
@click.option("--format", "format_name", default="markdown", show_default=True, help="markdown, latex, csv or json.")
@click.option("--protocol", "protocols", multiple=True, help="Only this protocol; may be given several times.")
@click.option("--sort", default="miou", show_default=True, help="Column to sort by, best first.")
@click.option("--columns", default="", help="Columns to show, separated by commas, in this order.")
@click.option(
    "--baseline", default="", metavar="METHOD", help="Add differences to this method, paired by seed, with intervals."
)
@click.option("--published", is_flag=True, help="Add what others report, in columns of its own.")
@click.option("--unverified", is_flag=True, help="--published, and figures that nobody has checked.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Write to this file.")
def command(
    folders: tuple[Path, ...],
    format_name: str,
    protocols: tuple[str, ...],
    sort: str,
    columns: str,
    baseline: str,
    published: bool,
    unverified: bool,
    output: Path | None,
) -> None:
    """Print one table a protocol of the runs in and below FOLDERS (default: runs)."""
    from semibench import plugins
    from semibench.files import write_text
    from semibench.reports import compare, store
    from semibench.reports.notes import leaving_out

    render = plugins.find(plugins.FORMAT, format_name).render
    selected = tuple(name.strip() for name in columns.split(",") if name.strip())
    selection = compare.Selection(protocols, selected, sort, baseline, published or unverified, unverified)
    comparison = compare.build(store.read(folders or (Path("runs"),)), selection)
    text = render(comparison.tables)
    if output is None:
        click.echo(text, nl=False)
    else:
        write_text(output, text)
        click.echo(f"Wrote {output}.", err=True)
    if comparison.without_table:
        click.echo(leaving_out(comparison.without_table), err=True)
