"""UniMatch (Yang et al. 2023): FixMatch with two strong views and a stream of perturbed features.

Paper: arXiv 2208.09910. Read: the official code, ``LiheYoung/UniMatch`` at 0324f3d, and its training logs; this is version 1.

A confident prediction on the weak view of an unlabelled image is the target of two strong views, each mixed by CutMix with
a partner of its own box, and of the weak view itself after half of the channels of its encoder features are dropped. The
total is (L_x + 0.25 U_s1 + 0.25 U_s2 + 0.5 U_fp) / 2, where each U divides by the number of all valid pixels.

Deviations
- Partners are other images. The reference takes another view of the same image, by an oversight; its author reports the same
  results either way (issues 34, 51, 85). ``partner = "same"`` is what the reference runs.
- The reference also drops channels of labelled images and decodes them, but reads no loss off the result; it only enters the
  decoder's batch statistics. That part of the pass is left out.
- Which channels are dropped comes from the seeds of the samples, not from a global state.
- Images that are all padding give a loss of 0, where the reference divides by zero.
- A process averages and mines over all its images of a step. The published recipes have 8 + 8; the reference shares them out to
  4 processes, each of which averages and mines over its 2 + 2.
- The Xception of the reference's COCO runs normalizes with a momentum of 0.0003, timm's with 0.1.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import nn

from semibench.methods.blocks.losses import confident_cross_entropy, supervised_cross_entropy
from semibench.methods.blocks.mining import Mining
from semibench.methods.blocks.mixing import cutmix_boxes, paste
from semibench.methods.blocks.perturb import predict_perturbed
from semibench.methods.blocks.pseudo_labels import Target, coverage, pseudo_labels, teach
from semibench.methods.method import Batch, Method, Progress, StepOutput, Task, Views
from semibench.methods.networks.base import ParameterGroup
from semibench.protocols.recipe import (
    SGD,
    Augmentation,
    BatchSize,
    Blur,
    Epochs,
    Grayscale,
    GroupRule,
    Jitter,
    Normalization,
    Published,
    Recipe,
    Scale,
    Schedule,
)
from semibench.records import Record

Checkpoint = Literal["last", "best"]

_VIEWS = 2  # strong views of each image


class UniMatch(Method):
    """One network that teaches itself in three streams."""

    provenance = "official code"

    class Config(Record):
        """Source of every default, where nothing else is said: the official code, Pascal VOC."""

        threshold: Annotated[float, Field(ge=0, le=1)] = 0.95  # confidence in [0, 1]; 0 on Cityscapes
        strong_weight: Annotated[float, Field(ge=0)] = 0.25  # of each strong view
        feature_weight: Annotated[float, Field(ge=0)] = 0.5  # of the perturbed features
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5  # probability of a channel
        partner: Literal["same", "other"] = "other"  # images that CutMix takes its boxes from; our choice, see above
        mining: Mining | None = None  # of hard pixels, in the supervised loss; Mining() on Cityscapes

    def __init__(self, config: Config, task: Task) -> None:
        super().__init__(config, task)
        self.config = config
        self.ignore_index = task.ignore_index
        self.views = Views(crops=1, strong=_VIEWS, partner=config.partner)
        self.network = task.build_network()

    def forward(self, batch: Batch, progress: Progress) -> StepOutput:
        """Return the losses of labelled images, strong views and perturbed features."""
        config = self.config
        (crop,), (partner,) = batch.unlabeled, batch.partner
        size = crop.weak.shape[-2], crop.weak.shape[-1]
        boxes = [cutmix_boxes(crop.seeds, size, view).to(crop.weak.device) for view in range(_VIEWS)]
        taught = teach(self.network, partner.weak, partner.valid)

        images = batch.labeled.image, crop.weak, crop.seeds
        logits_x, logits_w, logits_fp = predict_perturbed(self.network, *images, config.dropout)
        mixed = [paste(crop.strong[view], partner.strong[view], boxes[view]) for view in range(_VIEWS)]
        logits_s = self.network(torch.cat(mixed)).chunk(_VIEWS)

        confidence, label = pseudo_labels(logits_w)  # in training mode, as in the reference
        own = Target(label, confidence, crop.valid)
        supervised = supervised_cross_entropy(logits_x, batch.labeled.mask, self.ignore_index, config.mining)
        losses = {"supervised": supervised / 2}
        for view in range(_VIEWS):
            strong = confident_cross_entropy(logits_s[view], *own.pasted(taught, boxes[view]), config.threshold)
            losses[f"strong_{view + 1}"] = config.strong_weight * strong / 2
        losses["feature"] = config.feature_weight * confident_cross_entropy(logits_fp, *own, config.threshold) / 2
        return StepOutput(losses, {"coverage": coverage(confidence, crop.valid, config.threshold)})

    def parameter_groups(self) -> list[ParameterGroup]:
        """Return encoder and decoder."""
        return self.network.parameter_groups()

    def predictors(self) -> Mapping[str, nn.Module]:
        """Return the network."""
        return {"network": self.network}


def _published(encoder: str, recipe: Recipe, rule: str, **method: Any) -> Published:
    network = {"name": "deeplabv3plus", "encoder": encoder, "output_stride": 16, "rates": [6, 12, 18]}
    source = "LiheYoung/UniMatch at 0324f3d, configs/"
    return Published(source=source, recipe=recipe, network=network, method={"partner": "same"} | method, rule=rule)


def _recipe(lr: float, decoder: float, epochs: int, crop: int) -> Recipe:
    """Return what all data sets share in the reference: 4 GPUs with 2 labelled and 2 unlabelled images each."""
    return Recipe(
        optimizer=SGD(name="sgd", lr=lr, momentum=0.9, weight_decay=1e-4, groups={"decoder": GroupRule(lr_multiplier=decoder)}),
        schedule=Schedule(name="poly", power=0.9, lag=1),  # set after the step, so that the first two steps share a rate
        epochs=Epochs(count=epochs, over="unlabeled"),  # the reference fills up to 4 processes first: at most one step more
        batch=BatchSize(labeled=8, unlabeled=8),
        crop=(crop, crop),
        augmentation=Augmentation(
            scale=Scale(side="long", low=0.5, high=2.0),
            flip=0.5,
            strong=(
                Jitter(name="jitter", probability=0.8, brightness=0.5, contrast=0.5, saturation=0.5, hue=0.25),
                Grayscale(name="grayscale", probability=0.2),
                Blur(name="blur", probability=0.5, radius=(0.1, 2.0)),
            ),
        ),
        normalization=Normalization(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
        norm="syncbn",
    )


UniMatch.published = {
    "voc": _published("resnet101s", _recipe(lr=0.001, decoder=10, epochs=80, crop=321), "whole-best"),
    "cityscapes": _published(
        "resnet101s",
        _recipe(lr=0.005, decoder=1, epochs=240, crop=801),
        "sliding-801-best",
        threshold=0.0,
        mining=Mining().model_dump(),
    ),
    "coco": _published("xception65", _recipe(lr=0.004, decoder=10, epochs=30, crop=513), "whole-best"),
}
