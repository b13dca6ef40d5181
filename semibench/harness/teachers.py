"""Networks of other runs, for methods that learn from them."""

from pathlib import Path

import torch
from torch import nn

from semibench.errors import NotConformantError
from semibench.harness import checkpoint
from semibench.harness.configure import Configuration, backbone, deciding, teacher_paths
from semibench.harness.folder import RunFolder
from semibench.harness.reopen import Restored, restore
from semibench.hashing import digest_ids, digest_json
from semibench.protocols.datasets.base import Dataset
from semibench.protocols.protocol import Protocol, Split
from semibench.reports import result as record


class Teachers:
    """Loads teachers for a run, and keeps a record of each."""

    def __init__(self, configuration: Configuration, protocol: Protocol, dataset: Dataset, split: Split) -> None:
        self.configuration = configuration
        self.protocol = protocol
        self.dataset = dataset
        self.split = split
        self._loaded: dict[str, record.Teacher] = {}

    @property
    def records(self) -> tuple[record.Teacher, ...]:
        """The teachers that were loaded, by role."""
        roles = sorted(teacher_paths(self.configuration).items())
        return tuple(self._loaded[path].model_copy(update={"role": role}) for role, path in roles)

    def load(self, path: str) -> nn.Module:
        """Return the headline predictor of the run at ``path``, a folder (its last checkpoint) or a checkpoint's file.

        Raises NotConformantError when it was trained on other labelled images or on images normalized otherwise, and what
        ``restore`` raises.
        """
        place = Path(path)
        folder = RunFolder(place.parent.parent if place.suffix == ".pt" else place)
        with torch.random.fork_rng(devices=[]):  # building it draws numbers, which are not the student's
            restored = restore(folder, place if place.suffix == ".pt" else folder.last)
        self._check(path, restored)
        predictor = next(iter(restored.method.predictors().values()))
        self._loaded[path] = _describe(folder, restored, predictor)
        return predictor

    def _check(self, path: str, teacher: Restored) -> None:
        other = teacher.protocol
        if other.dataset != self.protocol.dataset:
            raise NotConformantError(
                f"teacher {path} learnt from {other.dataset}, this run is on {self.protocol.dataset}",
                "Train one on its protocol.",
            )
        theirs, ours = other.split(self.dataset, partial=self.configuration.run.partial).labeled, self.split.labeled
        if digest_ids(theirs) != digest_ids(ours):
            more = len(set(theirs) - set(ours))
            raise NotConformantError(
                f"teacher {path} learnt from the labels of {other.name}, {more} of them of images that are not labelled in "
                f"{self.protocol.name}",
                f"Train a teacher on {self.protocol.name}.",
            )
        if teacher.configuration.recipe.normalization != self.configuration.recipe.normalization:
            raise NotConformantError(
                f"teacher {path} saw images normalized otherwise", "Give this run the teacher's recipe.normalization."
            )


def _describe(folder: RunFolder, teacher: Restored, predictor: nn.Module) -> record.Teacher:
    decided = deciding(teacher.configuration)
    return record.Teacher(
        role="teacher",
        run_id=folder.run_id(),
        step=teacher.step,
        tensors=checkpoint.digest_tensors(predictor.state_dict()),
        method=decided["method"]["name"],
        backbone=backbone(decided["network"]),
        configuration=digest_json(decided),
        seed=teacher.configuration.seed,
        miou=record.read(folder.result).miou if folder.result.is_file() else None,
    )
