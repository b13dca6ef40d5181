"""Options that several commands share."""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

if TYPE_CHECKING:
    from semibench.harness.configure import Request

Command = TypeVar("Command", bound=Callable[..., Any])

method = click.option("--method", required=True, help="What to train; see 'semibench list methods'.")
protocol = click.option("--protocol", required=True, help="What to train on; see 'semibench list protocols'.")
data_root = click.option(
    "--data-root",
    envvar="SEMIBENCH_DATA",
    show_envvar=True,
    type=click.Path(path_type=Path),
    help="The data set's folder, or its parent.",
)
json_output = click.option("--json", "as_json", is_flag=True, help="Print JSON.")

checkpoint = click.option(
    "--checkpoint", type=click.Choice(["last", "best"]), default="last", show_default=True, help="Which checkpoint of the run."
)
device = click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:<n> or mps.")


rule = click.option("--rule", help="Evaluation rule of the data set; see 'semibench protocol show'.  [default: the protocol's]")
partial = click.option(
    "--partial", is_flag=True, help="Use what is on disk of the protocol's lists; the result is custom and has another digest."
)


class WeightFile(click.ParamType[tuple[str, Path]]):
    """A file of weights, after the part of the network that it is for and ``=``, or alone: ("", path)."""

    name = "[PART=]FILE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, Path]:
        """Return the part and the path of a text."""
        part, equals, path = str(value).partition("=")
        return (part, Path(path)) if equals and part.isidentifier() else ("", Path(value))


def _one_file_each(ctx: click.Context, param: click.Parameter, value: tuple[tuple[str, Path], ...]) -> Mapping[str, Path]:
    files = dict(value)
    if len(files) < len(value):
        raise click.BadParameter("two files for one part of the network", ctx, param)
    return files


weights = click.option(
    "--weights",
    multiple=True,
    type=WeightFile(),
    callback=_one_file_each,
    help="Pretrained weights of the network, or of the CLIP under it (.safetensors or a tensor-only .pth); PART=FILE fills one "
    "part of the network, such as conv_encoder, whatever else is given. May be given several times.",
)


class Seeds(click.ParamType[tuple[int, ...]]):
    """A list of seeds: ``0,1,2`` or ``0-4``; empty for ``all``, those of the protocol."""

    name = "seeds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """Return the seeds of a text, in order and without repetition."""
        if isinstance(value, tuple):
            return value
        if value == "all":
            return ()
        seeds: list[int] = []
        for part in str(value).split(","):
            first, dash, last = part.partition("-")
            is_number = first.isdecimal() and (not dash or last.isdecimal())
            if not is_number or int(last or first) < int(first):
                self.fail(f"'{value}' is not a list of seeds such as 0,1,2 or 0-4, or all", param, ctx)
            seeds.extend(range(int(first), int(last or first) + 1))
        return tuple(dict.fromkeys(seeds))


seeds = click.option(
    "--seed",
    "seeds",
    type=Seeds(),
    default=(0,),
    show_default="0",
    help="One or more: 0,1,2 or 0-4; all: those of the protocol.",
)


def configuration(command: Command) -> Command:
    """Add the options that set values, handed on as one ``settings`` tuple beside ``division``, ``rule`` and ``config``."""

    @click.option("--division", type=click.Choice(["controlled", "published"]),
                  help="The protocol's recipe, or the method's own for this data set.  [default: controlled; published for "
                  "a method that has a backbone of its own]")  # fmt: skip
    @rule
    @click.option("--config", type=click.Path(path_type=Path), help="TOML file of values, such as 'semibench show' prints.")
    @click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Set one value, such as recipe.steps=60.")
    @click.option("--precision", type=click.Choice(["fp32", "tf32", "bf16", "fp16"]), help="Short for --set recipe.precision=…")
    @partial
    @functools.wraps(command)
    def with_settings(*args: Any, settings: tuple[str, ...], precision: str | None, partial: bool, **kwargs: Any) -> Any:
        settings += (f"recipe.precision={precision}",) if precision else ()
        settings += ("run.partial=true",) if partial else ()
        return command(*args, settings=settings, **kwargs)

    return with_settings  # type: ignore[return-value]  # wraps keeps the signature that click reads


def requests(
    method: str,
    protocol: str,
    seeds: tuple[int, ...],
    division: Literal["controlled", "published"] | None,
    rule: str | None,
    config: Path | None,
    settings: tuple[str, ...],
) -> list["Request"]:
    """Build a request for each seed from what the options gave."""
    from semibench.harness.configure import Request
    from semibench.protocols.protocol import load

    loaded = load(protocol)
    return [Request(method, loaded, seed, division, rule, config, settings) for seed in seeds or loaded.seeds]
