"""semibench check-results: whether results are what runs wrote."""

from pathlib import Path

import click


@click.command()
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path), metavar="[FOLDER...]")
@click.option("--without-counts", is_flag=True, help="Do without scores.npz where there is none.")
@click.option("--junit", type=click.Path(path_type=Path, dir_okay=False), help="Write JUnit XML to this file.")
@click.option("--github", is_flag=True, envvar="GITHUB_ACTIONS", help="Print annotations; the default in GitHub's workflows.")
def command(folders: tuple[Path, ...], without_counts: bool, junit: Path | None, github: bool) -> None:
    """Derive the scores of all results in and below FOLDERS (default: runs) again, and look for contradictions.

    Finds results that were edited, damaged, moved, cut short, scored on other images, or trained otherwise than their division
    means. docs/ci.md says what cannot be found. Ends with 1 if there are any.
    """
    from semibench.errors import DataError, RunFailedError
    from semibench.files import write_text
    from semibench.harness.declared import Declarations
    from semibench.reports import findings
    from semibench.reports.check import check

    further = {"declared": Declarations().contradictions}
    found = check(folders or (Path("runs"),), needs_counts=not without_counts, further=further)
    if not found:
        raise DataError("no result found", "Name the folder that runs were written to: 'semibench check-results FOLDER'.")
    click.echo(findings.to_github(found) if github else findings.describe(found), nl=False)
    if junit is not None:
        write_text(junit, findings.to_junit(found))
    results = len({one.path.parent for one in found if one.check == "record"})
    problems = sum(bool(one.problem) for one in found)
    if problems:
        raise RunFailedError(
            f"{problems} {'problem' if problems == 1 else 'problems'} in {results} {'result' if results == 1 else 'results'}",
            "Restore the files that are named above, or make the runs again.",
        )
    click.echo(f"{results} {'result is' if results == 1 else 'results are'} as written: {len(found)} checks.")
