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
from semibench.methods.unimatch import UniMatch
from semibench.protocols.recipe import Options, Published
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
