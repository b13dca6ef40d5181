"""What the commands of ``semibench data`` print."""

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from semibench.protocols.inventory import Inventory
    from semibench.protocols.verify_data import Verification

SHOWN = 20  # problems of a kind that are printed; JSON holds all


def counter(show: Callable[[str, int, int | None], None], title: str, total: int) -> Callable[[int], None]:
    """Return what adds to a count and shows it."""
    done = 0

    def add(number: int) -> None:
        nonlocal done
        done += number
        show(title, done, total)

    return add


def show(inventory: "Inventory") -> None:
    """Print what there is of a data set."""
    from semibench.protocols.download import gigabytes

    click.secho(inventory.dataset, bold=True)
    click.echo(f"  {inventory.problem or inventory.root or 'drawn by the program'}")
    for archive in inventory.archives:
        if not (archive.optional and archive.state == "missing"):
            size = f", {gigabytes(archive.bytes)}" if archive.bytes else ""
            how = f": {archive.how}" if archive.state == "missing" else ""
            click.echo(f"  {archive.name:32} {archive.state}{size}{how}")
    for name, subset in inventory.subsets.items():
        of = "" if subset.expected in (None, subset.count) else f" of {subset.expected}"
        size = f", {gigabytes(subset.bytes)}" if subset.bytes else ""
        without = f", {subset.incomplete} without a file" if subset.incomplete else ""
        prepared = "" if subset.prepared is None else f", {subset.prepared} of {subset.count} masks prepared"
        click.echo(f"  {name:32} {subset.count}{of} images{size}{without}{prepared}")
    for name, reason in inventory.absent.items():
        click.echo(f"  {name:32} {reason}")


def to_json(found: "Verification") -> str:
    """Return everything that was found, for scripts."""
    subsets = {name: verified._asdict() for name, verified in found.subsets.items()}
    return json.dumps({"subsets": subsets, "problems": [problem._asdict() for problem in found.problems]}, indent=2)


def describe(found: "Verification") -> str:
    """Return what was found, for people."""
    lines = []
    for name, verified in found.subsets.items():
        lines.append(f"{name:12} {verified.decoded} of {verified.listed} pairs decoded")
        lines.append(f"{'':12} images {verified.images or 'not all decoded'}")
        lines.append(f"{'':12} masks  {verified.masks or 'not all decoded'}")
    kinds: dict[str, dict[tuple[str, str], list[str | None]]] = {}  # what to do -> subset, what is wrong -> images
    for problem in found.problems:
        kinds.setdefault(problem.next_step, {}).setdefault((problem.subset, problem.what), []).append(problem.id)
    for next_step, problems in kinds.items():
        lines += [f"{subset}{_which(ids)}: {what}" for (subset, what), ids in list(problems.items())[:SHOWN]]
        if len(problems) > SHOWN:
            lines.append(f"and {len(problems) - SHOWN} more; --json lists all")
        lines.append(f"  {next_step}")
    return "\n".join(lines) + "\n"


def _which(ids: Sequence[str | None]) -> str:
    if len(ids) > 1:
        return f", {len(ids)} images such as {ids[0]}"
    return f" {ids[0]}" if ids[0] else ""
