"""Supervised: cross-entropy on the labelled images alone, the baseline of every method.

The recipe decides everything else. As in UniMatch's supervised runs, labelled images get geometric augmentation only,
unless the recipe names color operations for them.
"""

from collections.abc import Mapping

from torch import nn

from semibench.methods.blocks.losses import supervised_cross_entropy
from semibench.methods.method import Batch, Method, Progress, StepOutput, Task
from semibench.methods.networks.base import ParameterGroup
from semibench.records import Record


class Supervised(Method):
    """One network, one loss."""

    class Config(Record):
        """Nothing to set."""

    def __init__(self, config: Config, task: Task) -> None:
        super().__init__(config, task)
        self.ignore_index = task.ignore_index
        self.network = task.build_network()

    def forward(self, batch: Batch, progress: Progress) -> StepOutput:
        """Return the cross-entropy of the labelled images."""
        logits = self.network(batch.labeled.image)
        return StepOutput({"supervised": supervised_cross_entropy(logits, batch.labeled.mask, self.ignore_index)})

    def parameter_groups(self) -> list[ParameterGroup]:
        """Return encoder and decoder."""
        return self.network.parameter_groups()

    def predictors(self) -> Mapping[str, nn.Module]:
        """Return the network."""
        return {"network": self.network}
