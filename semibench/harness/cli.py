"""The command line: a lazy group, one file per command in ``commands/``."""

import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from semibench.errors import SemibenchError, unknown
from semibench.plain import message

_FOLDER = Path(__file__).parent / "commands"


class LazyGroup(click.Group):
    """A group that imports a command's file only when that command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands: file names, with dashes."""
        return sorted(path.stem.replace("_", "-") for path in _FOLDER.glob("*.py") if not path.stem.startswith("_"))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command, None for an unknown one."""
        if cmd_name not in self.list_commands(ctx):
            return None
        module = importlib.import_module(f"semibench.harness.commands.{cmd_name.replace('-', '_')}")
        command = module.command
        if not isinstance(command, click.Command):
            raise TypeError(f"{module.__name__}.command is not a command")
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command of a line; raise UsageError with the nearest names for an unknown one.

        A line that is being completed is only looked at, so nothing is raised then.
        """
        if args[0] not in self.list_commands(ctx) and not args[0].startswith("-") and not ctx.resilient_parsing:
            raise unknown("command", args[0], self.list_commands(ctx), "Run 'semibench --help'.")
        return super().resolve_command(ctx, args)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="semibench")
def cli() -> None:
    """Benchmark label-efficient semantic segmentation: train, score, record, compare.

    \b
    semibench run --method fixmatch --protocol shapes-48
    semibench compare

    Exit codes: 0 ok, 1 failed, 2 usage, 3 not conformant, 4 data invalid,
    75 stopped by the system's signal (give it again), 130 interrupted.
    Shell completion: eval "$(_SEMIBENCH_COMPLETE=bash_source semibench)".
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; errors meant for the user become one paragraph and an exit code."""
    color = False if os.environ.get("NO_COLOR") else None  # None: on a terminal only
    try:
        code = cli.main(
            args=None if arguments is None else list(arguments), prog_name="semibench", standalone_mode=False, color=color
        )
        sys.exit(code if isinstance(code, int) else 0)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        sys.exit(130)
    except SemibenchError as error:
        click.echo(click.style("Error: ", fg="red", bold=True) + message(str(error)), err=True, color=color)
        sys.exit(error.exit_code)
