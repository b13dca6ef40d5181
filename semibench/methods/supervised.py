"""Supervised: cross-entropy on the labelled images alone, the baseline of every method.

Read: UniMatch's code at 0324f3d, supervised.py. The recipe decides everything else. As there, labelled images get geometric
augmentation only, unless the recipe names color operations for them. The published recipes are UniMatch's with twice as many
labelled images a step and epochs over these alone.

Deviation
- A process averages and mines over all its images of a step; ``unimatch.py`` says how many these are in the reference.
"""

from collections.abc import Mapping

from torch import nn

from semibench.methods.blocks.losses import supervised_cross_entropy
from semibench.methods.blocks.mining import Mining
from semibench.methods.method import Batch, Method, Progress, StepOutput, Task
from semibench.methods.networks.base import ParameterGroup
from semibench.methods.unimatch import ADE20K, CITYSCAPES, COCO, LOGS_V2, README, VOC, UniMatch, reported
from semibench.protocols.recipe import Options, Published, Reported
from semibench.records import Record


class Supervised(Method):
    """One network, one loss."""

    provenance = "official code"

    class Config(Record):
        """The choice between two losses."""

        mining: Mining | None = None  # of hard pixels; UniMatch's supervised.py: on Cityscapes

    def __init__(self, config: Config, task: Task) -> None:
        super().__init__(config, task)
        self.mining = config.mining
        self.ignore_index = task.ignore_index
        self.network = task.build_network()

    def forward(self, batch: Batch, progress: Progress) -> StepOutput:
        """Return the cross-entropy of the labelled images."""
        logits = self.network(batch.labeled.image)
        return StepOutput({"supervised": supervised_cross_entropy(logits, batch.labeled.mask, self.ignore_index, self.mining)})

    def parameter_groups(self) -> list[ParameterGroup]:
        """Return encoder and decoder."""
        return self.network.parameter_groups()

    def predictors(self) -> Mapping[str, nn.Module]:
        """Return the network."""
        return {"network": self.network}


def _labeled_only(published: Published) -> Published:
    """Return UniMatch's settings as its supervised.py changes them: epochs over the labelled images, twice as many a step."""
    recipe = published.recipe.model_dump()
    recipe["epochs"]["over"] = "labeled"
    recipe["batch"]["labeled"] *= 2
    mining: Options = {"mining": {"kept_per_image": 50_000}} if "mining" in published.method else {}  # of 4 images a process
    return Published.model_validate(
        published.model_dump() | {"source": f"{published.source} and supervised.py", "recipe": recipe, "method": mining}
    )


Supervised.published = {dataset: _labeled_only(published) for dataset, published in UniMatch.published.items()}
Supervised.reported = (
    reported(README, None, "ResNet-101", VOC, 0.451, 0.553, 0.648, 0.697, 0.735),
    reported(README, None, "ResNet-101", CITYSCAPES, 0.663, 0.728, 0.750, 0.780),
    reported(README, None, "ResNet-50", CITYSCAPES, 0.633, 0.702, 0.731, 0.766),
    reported(README, None, "Xception-65", COCO, 0.229, 0.280, 0.336, 0.378, 0.422),
    reported(LOGS_V2, "best", "DINOv2-S", VOC, 0.6698, 0.7563, 0.8182, 0.8369, 0.8556),
    reported(LOGS_V2, "best", "DINOv2-S", CITYSCAPES, 0.7715, 0.8022, 0.8169, 0.8242),
    reported(LOGS_V2, "best", "DINOv2-S", ADE20K, 0.2614, 0.3270, 0.3711, 0.3983, 0.4267),
    reported(LOGS_V2, "best", "DINOv2-B", ADE20K, 0.3206, 0.3925, 0.4282, 0.4641, 0.4902),
    reported(LOGS_V2, "best", "DINOv2-S", COCO, 0.2944, 0.3556, 0.4463, 0.4915, 0.5204),
    reported(LOGS_V2, "best", "DINOv2-B", COCO, 0.3676, 0.4577, 0.5213, 0.5624, 0.5950),
    Reported(
        source="README of Detectron2's projects/DeepLab, its DeepLabV3+",
        network="ResNet-101, deep stem",
        miou={"cityscapes-all": 0.80},
    ),
    Reported(
        source="README of Detectron2's projects/DeepLab, its DeepLabV3+", network="ResNet-101", miou={"cityscapes-all": 0.781}
    ),
)
