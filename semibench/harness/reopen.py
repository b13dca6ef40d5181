"""A finished or begun run, opened again to score or to use its network."""

import tomllib
from pathlib import Path
from typing import Literal, NamedTuple

from semibench.errors import DataError, SemibenchError, UsageError
from semibench.harness import checkpoint, environment
from semibench.harness.build import build_method
from semibench.harness.configure import Configuration, parse
from semibench.harness.folder import RunFolder
from semibench.harness.progress import Meter
from semibench.harness.scoring import Scorer
from semibench.methods.method import Method
from semibench.protocols.protocol import Protocol, load

Which = Literal["last", "best"]


class Reopened(NamedTuple):
    """A run's headline predictor at one of its checkpoints."""

    scorer: Scorer
    step: int


class Restored(NamedTuple):
    """A run's method at one of its checkpoints."""

    configuration: Configuration
    protocol: Protocol
    method: Method
    step: int


def reopen(path: Path, which: Which, device: str, meter: Meter | None = None) -> Reopened:
    """Open the run in the folder ``path`` at its last or best checkpoint, to predict with it; see ``restore``.

    ``meter`` shows how far a scoring is.
    """
    folder = RunFolder(path)
    configuration, protocol, method, step = restore(folder, folder.best if which == "best" else folder.last)
    chosen = environment.choose_device(device)
    predictor = next(iter(method.to(chosen).predictors().values()))
    return Reopened(Scorer(configuration, protocol, predictor, chosen, meter or Meter(is_shown=False)), step)


def restore(folder: RunFolder, file: Path) -> Restored:
    """Build the method of a run with the state in ``file``, one of its checkpoints.

    Raises UsageError when the folder is not a run's, DataError when its configuration or the checkpoint is damaged,
    incomplete or missing, or when the two do not belong together.
    """
    if not folder.config.is_file():
        raise UsageError(f"{folder.path} is not the folder of a run", "Run 'semibench list runs' to see them.")
    configuration, protocol = _read(folder.config)
    content = checkpoint.load(file)
    method, _ = build_method(configuration, protocol.dataset_class(), weights={})
    try:
        method.load_state_dict(content["method"])
        step = int(content["step"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:  # torch has no error of its own
        raise DataError(
            f"checkpoint {file} does not fit the network that {folder.config.name} describes",
            "One of the two files is of another run; train again in another --output.",
        ) from error
    return Restored(configuration, protocol, method, step)


def _read(file: Path) -> tuple[Configuration, Protocol]:
    try:
        configuration = parse(tomllib.loads(file.read_text(encoding="utf-8")), file.name)
        return configuration, load(configuration.protocol)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, SemibenchError) as error:
        reason = error.what if isinstance(error, SemibenchError) else error
        raise DataError(
            f"configuration {file} cannot be used: {reason}",
            "It is damaged, or names parts that are not installed; mend it, or train again in another --output.",
        ) from error
