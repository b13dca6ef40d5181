"""DeepLabV3+ of Detectron2 (Chen et al. 2018): its project's own network and loss, as a supervised baseline.

Paper: arXiv 1802.02611; its body was not read. Read: Detectron2's projects/DeepLab at 02b5c4e, whose modules are used, not
rewritten; Detectron2 must be installed. The network, with its deviations, is in ``networks/d2_deeplab.py``.

Deviations from Detectron2's recipe
- Weight decay also acts on normalization layers.
- Sides are scaled without an upper limit on the long one, which Cityscapes does not reach.
- The hardest pixels are those of all 16 images; there of the two on each of 8 GPUs, as ``recipe.accumulation = 8`` has them.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Self

from pydantic import Field
from torch import nn

from semibench.errors import UsageError
from semibench.methods import deeplabv3
from semibench.methods.method import Batch, Method, Progress, StepOutput, Task
from semibench.methods.networks import _detectron2, d2_deeplab
from semibench.methods.networks.base import ParameterGroup
from semibench.protocols.recipe import Published
from semibench.records import Record

# configs/Cityscapes-SemanticSegmentation: deeplab_v3_plus_R_103_os16_mg124_poly_90k_bs16.yaml; its base is that of DeepLabV3.
CITYSCAPES = deeplabv3.CITYSCAPES | {
    "network": {"name": "d2_deeplab", "encoder": "resnet101s", "window": [512, 1024]},
    "method": {},
}


class D2DeepLab(Method):
    """One network, one loss, both Detectron2's."""

    provenance = "other code"
    network_name = "d2_deeplab"
    published = {"cityscapes": Published.model_validate(CITYSCAPES)}

    class Config(Record):
        """Source of every default: the project's configuration for Cityscapes."""

        hardest: Annotated[float, Field(gt=0, le=1)] = 0.2  # share of all pixels, void included, that the loss is the mean of

    def __init__(self, config: Config, task: Task) -> None:
        super().__init__(config, task)
        self.network = task.build_network()
        if not isinstance(self.network, d2_deeplab.D2DeepLab):
            raise UsageError("method 'd2_deeplab' is about the network of its name", "Set network.name to d2_deeplab.")
        loss = _detectron2.load("detectron2.projects.deeplab.loss").DeepLabCE
        self.loss = loss(ignore_label=task.ignore_index, top_k_percent_pixels=config.hardest)

    def forward(self, batch: Batch, progress: Progress) -> StepOutput:
        """Return the cross-entropy of the hardest labelled pixels."""
        return StepOutput({"supervised": self.loss(self.network(batch.labeled.image), batch.labeled.mask)})

    def parameter_groups(self) -> list[ParameterGroup]:
        """Return encoder and decoder."""
        return self.network.parameter_groups()

    def predictors(self) -> Mapping[str, nn.Module]:
        """Return the network."""
        return {"network": self.network}

    @classmethod
    def example(cls, task: Task) -> Self:
        """Return an instance with a tiny network of the kind that it is about."""
        sizes = {"encoder": "tiny", "output_stride": 8, "rates": (1, 2, 3), "channels": 8, "low_channels": 4}
        tiny = d2_deeplab.D2DeepLab.Config.model_validate(sizes | {"dropout": 0})  # no layer there, that checks could still
        return cls(cls.Config(), replace(task, build_network=lambda: d2_deeplab.D2DeepLab(tiny, task.n_classes)))
