"""Entropy minimization (Grandvalet and Bengio 2004), on the weak views of unlabelled images.

Read: the paper's equation 7. A reconstruction for semantic segmentation: the entropy is averaged over valid pixels.
"""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from semibench.methods.blocks.losses import supervised_cross_entropy
from semibench.methods.method import Batch, Method, Progress, StepOutput, Task, Views
from semibench.methods.networks.base import ParameterGroup
from semibench.records import Record


class Entropy(Method):
    """One network that is asked to be sure of itself."""

    views = Views(crops=1)

    class Config(Record):
        """One value to set."""

        weight: Annotated[float, Field(ge=0)] = 0.1  # of the entropy; our choice

    def __init__(self, config: Config, task: Task) -> None:
        super().__init__(config, task)
        self.weight = config.weight
        self.ignore_index = task.ignore_index
        self.network = task.build_network()

    def forward(self, batch: Batch, progress: Progress) -> StepOutput:
        """Return the cross-entropy of labelled and the weighted entropy of unlabelled images."""
        (crop,) = batch.unlabeled
        supervised = supervised_cross_entropy(self.network(batch.labeled.image), batch.labeled.mask, self.ignore_index)
        entropy = mean_entropy(self.network(crop.weak), crop.valid)
        return StepOutput({"supervised": supervised, "entropy": self.weight * entropy})

    def parameter_groups(self) -> list[ParameterGroup]:
        """Return encoder and decoder."""
        return self.network.parameter_groups()

    def predictors(self) -> Mapping[str, nn.Module]:
        """Return the network."""
        return {"network": self.network}


def mean_entropy(logits: Tensor, valid: Tensor) -> Tensor:
    """Return the mean entropy (nats) of the valid pixels; ``logits`` (M, K, H, W), ``valid`` (M, H, W) bool.

    >>> import torch
    >>> round(mean_entropy(torch.zeros(1, 2, 1, 1), torch.ones(1, 1, 1, dtype=torch.bool)).item(), 4)
    0.6931
    """
    log_probability = logits.log_softmax(dim=1)
    pixelwise = -(log_probability.exp() * log_probability).sum(dim=1)
    return (pixelwise * valid).sum() / valid.sum().clamp(min=1)
