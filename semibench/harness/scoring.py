"""The one evaluator and the one inference, bound to a run's configuration and headline predictor."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from torch import nn

from semibench.errors import UsageError
from semibench.harness.configure import Configuration
from semibench.harness.counting import Evaluation
from semibench.harness.evaluate import evaluate
from semibench.harness.inference import predict
from semibench.harness.progress import Meter
from semibench.metrics import mean_iou
from semibench.protocols.datasets.base import Dataset
from semibench.protocols.protocol import Protocol

UNLABELED = "unlabeled"  # no subset of the data set but the protocol's own


@dataclass(frozen=True)
class Scorer:
    """Scores a predictor as its protocol says, always in single precision."""

    configuration: Configuration
    protocol: Protocol
    predictor: nn.Module
    device: str
    meter: Meter

    def under(self, *, rule: str | None, partial: bool) -> "Scorer":
        """Return a scorer under another evaluation rule of the protocol where one is named, on what is there if ``partial``."""
        changes: dict[str, object] = {"evaluation": self.protocol.rule(rule)} if rule else {}
        if partial:
            changes["run"] = self.configuration.run.model_copy(update={"partial": True})
        return replace(self, configuration=self.configuration.model_copy(update=changes))

    def miou(self, dataset: Dataset) -> float:
        """Return the mean IoU on the subset on which `best` is chosen."""
        rule = self.configuration.evaluation
        return mean_iou(self.evaluate(dataset, rule.select_on, detail=False).confusion, rule.classes)

    def report(self, dataset: Dataset) -> Evaluation:
        """Return everything about the subset of the reported number."""
        return self.evaluate(dataset, self.configuration.evaluation.report_on)

    def evaluate(self, dataset: Dataset, subset: str, *, detail: bool = True) -> Evaluation:
        """Score the images of a subset, or the unlabelled ones: an oracle, since training never opens their masks."""
        ids = self._ids(dataset, subset)
        rule, normalization = self.configuration.evaluation, self.configuration.recipe.normalization
        return evaluate(
            self.predictor,
            dataset,
            ids,
            rule,
            normalization,
            device=self.device,
            detail=detail,
            progress=lambda done: self.meter.show(f"evaluate {subset}", done, len(ids)),
        )

    def _ids(self, dataset: Dataset, subset: str) -> Sequence[str]:
        partial = self.configuration.run.partial
        if subset != UNLABELED:
            return self.protocol.evaluated(dataset, subset, partial=partial)
        ids = self.protocol.split(dataset, partial=partial).unlabeled
        if not ids:
            raise UsageError(f"{self.protocol.name} has no unlabelled images", "Evaluate a subset of the data set.")
        return ids

    def predict(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the label map (H, W) of an image (H, W, 3) RGB uint8."""
        rule, normalization = self.configuration.evaluation, self.configuration.recipe.normalization
        n_classes = len(self.protocol.dataset_class().class_names)
        return predict(self.predictor, image, rule, normalization, n_classes=n_classes, device=self.device)
