"""DeepLabV2 (Chen et al. 2016) as a baseline: several scales of an image share a network, a dense CRF may follow.

Paper: arXiv 1606.00915; its body was not read. Read: the re-implementation kazuto1011/deeplab-pytorch, its networks, losses and
configs/voc12.yaml. The network, with its deviations, is in ``networks/deeplabv2.py``.

The logits of all scales are resized to the grid of the full image and their maximum is taken; each scale and the maximum have a
loss of their own, against labels of their size. The CRF is a step of the predictor: the evaluator calls it on merged
probabilities, results show it under ``config.crf``, and costs do not include it.

Deviations
- Labels are resized by torch's nearest pixel, there by Pillow's, which differs in the rounding of centres.
- The published recipe takes plain ImageNet statistics for normalization, there a mean of its own and no deviation, and weights
  of the user's choice, there of COCO.
- A controlled recipe gives it as many classifiers as it has rates, mostly three; the published one has four.
- The CRF is our own implementation, see ``blocks/dense_crf.py``.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from semibench.errors import UsageError
from semibench.methods.blocks import dense_crf
from semibench.methods.blocks.dense_crf import DenseCrf
from semibench.methods.blocks.losses import supervised_cross_entropy
from semibench.methods.method import Batch, Method, Progress, StepOutput, Task
from semibench.methods.networks import deeplabv2
from semibench.methods.networks.base import Network, ParameterGroup, RefiningPredictor
from semibench.protocols.recipe import Published
from semibench.records import Record

VOC = {
    "source": "kazuto1011/deeplab-pytorch configs/voc12.yaml",
    "recipe": {
        "optimizer": {
            "name": "sgd",
            "lr": 2.5e-4,
            "momentum": 0.9,
            "weight_decay": 5e-4,
            "groups": {"decoder": {"lr_multiplier": 10}, "decoder_biases": {"lr_multiplier": 20, "weight_decay": 0}},
        },
        "schedule": {"name": "poly", "power": 0.9, "every": 10},
        "steps": 20_000,
        "batch": {"labeled": 10, "unlabeled": 10},  # 5, twice before each step; the second stream is not used
        "accumulation": 2,
        "crop": [321, 321],
        "augmentation": {
            "scale": {"side": "long", "low": 0.5, "high": 1.5},  # there 0.5, 0.75, 1, 1.25 or 1.5
            "flip": 0.5,
            "pad_value": [124, 116, 104],  # the mean
        },
        "normalization": {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},  # our choice, see above
        "norm": "frozen",
    },
    "network": {
        "name": "deeplabv2",
        "encoder": "resnet101",
        "output_stride": 8,
        "multi_grid": [1, 1, 1],
        "rates": [6, 12, 18, 24],
    },
    "rule": "whole",  # there padded to 513 x 513
}


class DeepLabV2(Method):
    """One network at several scales, one loss a scale and one for their maximum."""

    provenance = "other code"
    network_name = "deeplabv2"
    published = {"voc": Published.model_validate(VOC)}

    class Config(Record):
        """Source of every default: kazuto1011/deeplab-pytorch, Pascal VOC."""

        scales: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = (0.5, 0.75)  # of the image, besides 1
        crf: DenseCrf | None = None  # None: no post-processing; {} sets the published parameters. Seconds an image on a CPU

    def __init__(self, config: Config, task: Task) -> None:
        super().__init__(config, task)
        self.config = config
        self.ignore_index = task.ignore_index
        self.network = _checked(task.build_network())

    def forward(self, batch: Batch, progress: Progress) -> StepOutput:
        """Return the cross-entropy of each scale and of their maximum."""
        scaled = scaled_logits(self.network, batch.labeled.image, self.config.scales)
        named = {"scale_1": scaled[0], "maximum": maximum(scaled)} if len(scaled) > 1 else {"scale_1": scaled[0]}
        named |= {f"scale_{scale:g}": logits for scale, logits in zip(self.config.scales, scaled[1:], strict=True)}
        return StepOutput({name: self._loss(logits, batch.labeled.mask) for name, logits in named.items()})

    def parameter_groups(self) -> list[ParameterGroup]:
        """Return encoder, decoder and the decoder's biases."""
        return self.network.parameter_groups()

    def predictors(self) -> Mapping[str, nn.Module]:
        """Return the maximum over scales, with a CRF after it where one is set."""
        predictor = MultiScale(self.network, self.config.scales)
        return {"network": predictor if self.config.crf is None else WithCrf(predictor, self.config.crf)}

    @classmethod
    def example(cls, task: Task) -> Self:
        """Return an instance with a tiny network of the kind that it is about."""
        tiny = deeplabv2.DeepLabV2.Config(encoder="tiny", output_stride=8, rates=(1, 2))
        return cls(cls.Config(), replace(task, build_network=lambda: deeplabv2.DeepLabV2(tiny, task.n_classes)))

    def _loss(self, logits: Tensor, mask: Tensor) -> Tensor:
        resized = F.interpolate(mask[:, None].float(), logits.shape[-2:], mode="nearest")[:, 0].long()
        return supervised_cross_entropy(logits, resized, self.ignore_index)


class MultiScale(nn.Module):
    """Maps images (N, 3, H, W) to the maximum of the logits at several scales, (N, K, H, W)."""

    def __init__(self, network: deeplabv2.DeepLabV2, scales: tuple[float, ...]) -> None:
        super().__init__()
        self.network = network
        self.scales = scales

    def forward(self, image: Tensor) -> Tensor:
        """Return logits of the size of the image."""
        logits = maximum(scaled_logits(self.network, image, self.scales))
        return self.network.resize(logits, (image.shape[-2], image.shape[-1]))


class WithCrf(RefiningPredictor):
    """A predictor with a dense CRF after it."""

    def __init__(self, predictor: MultiScale, crf: DenseCrf) -> None:
        super().__init__()
        self.predictor = predictor
        self.crf = crf

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits before the CRF."""
        logits: Tensor = self.predictor(image)
        return logits

    def refine(self, probabilities: NDArray[np.float32], image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return probabilities (K, H, W) after mean field."""
        return dense_crf.refine(probabilities, image, self.crf)


def _checked(network: Network) -> deeplabv2.DeepLabV2:
    if not isinstance(network, deeplabv2.DeepLabV2):
        raise UsageError("method 'deeplabv2' is about the network of its name", "Set network.name to deeplabv2.")
    return network


def scaled_logits(network: deeplabv2.DeepLabV2, image: Tensor, scales: tuple[float, ...]) -> list[Tensor]:
    """Return logits of the image and of each of its ``scales``, each at the grid of its own high map."""
    smaller = [F.interpolate(image, scale_factor=scale, mode="bilinear", align_corners=False) for scale in scales]
    return [network.classify(network.encode(view)) for view in [image, *smaller]]


def maximum(scaled: list[Tensor]) -> Tensor:
    """Return the highest logit of all scales, at the grid of the first."""
    first = scaled[0]
    resized = [F.interpolate(logits, first.shape[-2:], mode="bilinear", align_corners=False) for logits in scaled[1:]]
    return torch.stack([first, *resized]).amax(dim=0)
