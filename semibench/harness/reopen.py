"""A finished or begun run, opened again to score or to use its network."""

import tomllib
from pathlib import Path
from typing import Literal, NamedTuple

from semibench.errors import UsageError
from semibench.harness import checkpoint, configure, environment
from semibench.harness.build import build_method
from semibench.harness.folder import RunFolder
from semibench.harness.scoring import Scorer
from semibench.protocols.protocol import load

Which = Literal["last", "best"]


class Reopened(NamedTuple):
    """A run's headline predictor at one of its checkpoints."""

    scorer: Scorer
    step: int


def reopen(path: Path, which: Which, device: str) -> Reopened:
    """Open the run in the folder ``path`` at its last or best checkpoint.

    Raises UsageError when the folder is not a run's, DataError when the checkpoint is damaged or missing.
    """
    folder = RunFolder(path)
    if not folder.config.is_file():
        raise UsageError(f"{path} is not the folder of a run", "Run 'semibench list runs' to see them.")
    configuration = configure.parse(tomllib.loads(folder.config.read_text(encoding="utf-8")), str(folder.config))
    protocol = load(configuration.protocol)
    content = checkpoint.load(folder.best if which == "best" else folder.last)
    method, _ = build_method(configuration, protocol.dataset_class(), weights=None)
    method.load_state_dict(content["method"])
    chosen = environment.choose_device(device)
    predictor = next(iter(method.to(chosen).predictors().values()))
    return Reopened(Scorer(configuration, protocol, predictor, chosen), content["step"])
