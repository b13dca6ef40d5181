"""semibench check: whether a method keeps the contract."""

from pathlib import Path

import click

from semibench.harness.commands import _options


@click.command()
@click.argument("name")
@click.option("--quick", "is_quick", is_flag=True, help="Leave out what takes processes of its own.")
@_options.json_output
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Write to this file.")
def command(name: str, is_quick: bool, as_json: bool, output: Path | None) -> None:
    """Check what every method must keep on a tiny instance of the method NAME, and report as Markdown.

    A promise is kept, refused by an error that names the constraint, or broken; the last makes the exit code 3.
    """
    from semibench.errors import NotConformantError
    from semibench.files import write_text
    from semibench.harness.conformance.kit import check

    report = check(name, is_quick=is_quick)
    text = report.model_dump_json(indent=2) + "\n" if as_json else report.to_markdown()
    if output is None:
        click.echo(text, nl=False)
    else:
        write_text(output, text)
        click.echo(f"Wrote {output}.", err=True)
    if report.broken:
        raise NotConformantError(
            f"method '{name}' does not keep: {', '.join(report.broken)}", "The report says of each what is wrong."
        )
