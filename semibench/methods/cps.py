"""CPS, cross pseudo supervision with CutMix (Chen et al. 2021), as MGD trains its teachers (Qin et al. 2022).

Papers: arXiv 2106.01226, whose body and code were not read, and 2208.10169. Read: MGD's code, ``JayQine/MGD-SSSS``, its teacher
phase for the 1/8 partitions.

Two networks of one architecture start from different values. Each labels pairs of unlabelled images, both are mixed by CutMix
as the images are, and what one network says is the label of the mixed image for the other. No threshold, no mean teacher.
The first network is the one that is evaluated and that students are given.

Deviations
- The networks differ at first in all that no weight file fills; in the reference they differ in their decoders alone.
- The published recipes are for one process and depart from the reference's as those of ``mgd.py``, which says how. They are of
  the deep teacher, ResNet-101.
"""

from collections.abc import Mapping
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from semibench.methods.blocks.losses import supervised_cross_entropy
from semibench.methods.blocks.mining import Mining
from semibench.methods.blocks.mixing import paste, toggled_boxes
from semibench.methods.method import Batch, Method, Progress, StepOutput, Task, Views
from semibench.methods.networks.base import Network, ParameterGroup
from semibench.protocols.recipe import Published, Recipe
from semibench.records import Record


def recipe(lr: float, weight_decay: float, epochs: int, batch: int, crop: int) -> Recipe:
    """Return what all published runs of MGD share; see ``mgd.py`` for what is not as there."""
    return Recipe.model_validate(
        {
            "optimizer": {"name": "sgd", "lr": lr, "momentum": 0.9, "weight_decay": weight_decay},
            "schedule": {"name": "poly", "power": 0.9},
            "epochs": {"count": epochs, "over": "unlabeled", "rounding": "floor"},
            "batch": {"labeled": batch, "unlabeled": batch},
            "crop": [crop, crop],
            "augmentation": {
                "scale": {"side": "long", "low": 0.5, "high": 2.0},
                "flip": 0.5,
                "pad_value": [124, 116, 104],  # the mean: 0 after normalization
            },
            "normalization": {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
            "norm": "syncbn",
        }
    )


NETWORK = {
    "name": "deeplabv3plus",
    "encoder": "resnet101s",  # of the deep teacher; wide_resnet50_2 of the wide one, at a rate of 0.001 on VOC
    "output_stride": 16,
    "multi_grid": [1, 2, 4],
    "rates": [6, 12, 18],
}
SOURCE = "JayQine/MGD-SSSS, 1/8 partitions, teacher ResNet-101"


class CrossPseudoSupervision(Method):
    """Two networks that teach each other."""

    provenance = "other code"
    views = Views(crops=1, partner="other")
    published = {
        "voc": Published(source=SOURCE, recipe=recipe(0.0025, 4e-4, 34, 8, 512), network=NETWORK, rule="whole-best"),
        "cityscapes": Published(
            source=SOURCE,
            recipe=recipe(0.0025, 8e-4, 137, 8, 800),
            network=NETWORK,
            method={"weight": 5.0, "mining": {"threshold": 0.7, "kept_per_image": 50_000}},
            rule="sliding-800-cps-best",
        ),
    }

    class Config(Record):
        """Source of every default: MGD's code, Pascal VOC."""

        weight: Annotated[float, Field(ge=0)] = 1.0  # of cross supervision; 5 on Cityscapes
        mining: Mining | None = None  # of hard pixels, in the supervised loss; 50,000 an image are kept on Cityscapes

    def __init__(self, config: Config, task: Task) -> None:
        super().__init__(config, task)
        self.config = config
        self.ignore_index = task.ignore_index
        self.first = task.build_network()
        self.second = task.build_network()

    def forward(self, batch: Batch, progress: Progress) -> StepOutput:
        """Return the supervised loss of both networks and what each learns from the other."""
        (own,), (other,) = batch.unlabeled, batch.partner
        boxes = toggled_boxes(own.seeds, (own.weak.shape[-2], own.weak.shape[-1])).to(own.weak.device)
        mixed = paste(own.weak, other.weak, boxes)
        by_first, by_second = (
            paste(_label(network, own.weak), _label(network, other.weak), boxes) for network in (self.first, self.second)
        )
        cross = F.cross_entropy(self.first(mixed), by_second) + F.cross_entropy(self.second(mixed), by_first)
        supervised = self._supervise(self.first, batch) + self._supervise(self.second, batch)
        agreement = (by_first == by_second).float().mean()
        return StepOutput({"supervised": supervised, "cross": self.config.weight * cross}, {"agreement": agreement})

    def parameter_groups(self) -> list[ParameterGroup]:
        """Return the groups of the network, each with the parameters of both."""
        pairs = zip(self.first.parameter_groups(), self.second.parameter_groups(), strict=True)
        return [ParameterGroup(one.name, [*one.parameters, *other.parameters]) for one, other in pairs]

    def predictors(self) -> Mapping[str, nn.Module]:
        """Return both networks."""
        return {"first": self.first, "second": self.second}

    def _supervise(self, network: Network, batch: Batch) -> Tensor:
        logits = network(batch.labeled.image)
        return supervised_cross_entropy(logits, batch.labeled.mask, self.ignore_index, self.config.mining)


@torch.no_grad()
def _label(network: Network, image: Tensor) -> Tensor:
    """Return labels (M, H, W) of images, predicted in the network's own mode: in training with the statistics of the batch."""
    label: Tensor = network(image).argmax(dim=1)
    return label
