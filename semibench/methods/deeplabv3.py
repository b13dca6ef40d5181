"""DeepLabV3 (Chen et al. 2017) as a baseline: supervised training of a network with an atrous pyramid and no decoder.

Paper: arXiv 1706.05587; its body was not read. Read: Detectron2's projects/DeepLab at 02b5c4e, whose recipe the published one
is. The network, with its deviations, is in ``networks/deeplabv3.py``.

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
from semibench.methods.blocks.losses import supervised_cross_entropy
from semibench.methods.blocks.mining import hardest_cross_entropy
from semibench.methods.method import Batch, Method, Progress, StepOutput, Task
from semibench.methods.networks import deeplabv3
from semibench.methods.networks.base import ParameterGroup
from semibench.protocols.recipe import Published
from semibench.records import Record

CITYSCAPES = {  # configs/Cityscapes-SemanticSegmentation: deeplab_v3_R_103_os16_mg124_poly_90k_bs16.yaml and its base
    "source": "facebookresearch/detectron2 projects/DeepLab at 02b5c4e",
    "recipe": {
        "optimizer": {"name": "sgd", "lr": 0.01, "momentum": 0.9, "weight_decay": 1e-4},
        "schedule": {"name": "poly", "power": 0.9, "warmup": 1000, "warmup_start": 0.001},
        "steps": 90_000,
        "batch": {"labeled": 16, "unlabeled": 16},  # the second stream is not used
        "crop": [512, 1024],
        "augmentation": {
            "scale": {"side": "short", "choices": [512, 768, 1024, 1280, 1536, 1792, 2048]},  # INPUT.MIN_SIZE_TRAIN
            "flip": 0.5,
        },
        "normalization": {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},  # PIXEL_MEAN and PIXEL_STD / 255
        "norm": "syncbn",
    },
    "network": {
        "name": "deeplabv3",
        "encoder": "resnet101s",
        "output_stride": 16,
        "multi_grid": [1, 2, 4],
        "rates": [6, 12, 18],
    },
    "method": {"hardest": 0.2},
    "rule": "whole",
}


class DeepLabV3(Method):
    """One network, one loss."""

    provenance = "other code"
    network_name = "deeplabv3"
    published = {"cityscapes": Published.model_validate(CITYSCAPES)}

    class Config(Record):
        """Source of every default: our choice, so that baselines share one loss."""

        # Share of all pixels that the loss is the mean of, those with the highest; Detectron2's hard_pixel_mining has 0.2.
        hardest: Annotated[float, Field(gt=0, le=1)] = 1.0

    def __init__(self, config: Config, task: Task) -> None:
        super().__init__(config, task)
        self.hardest = config.hardest
        self.ignore_index = task.ignore_index
        self.network = task.build_network()
        if not isinstance(self.network, deeplabv3.DeepLabV3):
            raise UsageError("method 'deeplabv3' is about the network of its name", "Set network.name to deeplabv3.")

    def forward(self, batch: Batch, progress: Progress) -> StepOutput:
        """Return the cross-entropy of the labelled images."""
        logits, mask = self.network(batch.labeled.image), batch.labeled.mask
        if self.hardest == 1:
            return StepOutput({"supervised": supervised_cross_entropy(logits, mask, self.ignore_index)})
        return StepOutput({"supervised": hardest_cross_entropy(logits, mask, self.ignore_index, self.hardest)})

    def parameter_groups(self) -> list[ParameterGroup]:
        """Return encoder and decoder."""
        return self.network.parameter_groups()

    def predictors(self) -> Mapping[str, nn.Module]:
        """Return the network."""
        return {"network": self.network}

    @classmethod
    def example(cls, task: Task) -> Self:
        """Return an instance with a tiny network of the kind that it is about."""
        tiny = deeplabv3.DeepLabV3.Config(encoder="tiny", output_stride=8, rates=(1,), channels=8)
        return cls(cls.Config(), replace(task, build_network=lambda: deeplabv3.DeepLabV3(tiny, task.n_classes)))
