"""CW-BASS (Tarubinga et al. 2025): confidence-weighted and boundary-aware pseudo-labels of a mean teacher.

Paper: arXiv 2502.15152; its abstract was read, the body was not readable. Read: the official code, ``psychofict/CW-BASS`` at
4cad82c, whose defaults these are, and for the network ST++ (``LiheYoung/ST-PlusPlus``). The first code that the authors
published cannot have produced the paper's numbers (it never used unlabelled images), the current one trains otherwise; so the
code behind the table is not public.

A moving average of the student labels the very view that the student sees. Pixels above a threshold that follows the batch's
mean confidence are learned, weighted by their confidence; those of them where classes meet are learned once more:

    L = L_sup + lambda_u * ramp * (L_cw + 0.5 L_bd)
    L_cw = mean of confidence^gamma * CE,  L_bd = mean of CE on boundaries, each over the pixels that it counts

Deviations and choices
- The paper's "progressive" decay has no formula: the code multiplies all weights by 0.9 if asked to. ``decay = "progressive"``
  is our variant, after a secondary description: weights below the batch's mean shrink by 0.9 with each tenth of the run.
- ``view = "strong"`` is ours too, from functions that the code has and never calls; the hole that it cuts is of the mean color
  instead of black, and of the size of a CutMix box.
- The ramp is a share of the run instead of 5 epochs; of 80 or 240 epochs it is the same.
- The shorter list is drawn anew, where the reference repeats its batches within an epoch.
- With the code's defaults the threshold stays between 0.3 and 0.3373, so that it leaves out next to nothing; to compare with a
  threshold that does is what our option ``fixed_threshold`` is for.
- On Cityscapes crop and batch (801 pixels, 8 images) are of the configuration file, which the code reads in part. The rate is
  by the code's rule, 0.004 for 16 images. The code's own values are 721 pixels and 16 images.
- Several processes of the reference normalize apart from each other. Its network has a dropout that ours has not.
- Left out: a first stage without unlabelled images, which the project page speaks of and the code does not have.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from semibench.methods.blocks.boundaries import class_boundaries
from semibench.methods.blocks.ema import Teacher
from semibench.methods.blocks.losses import masked_mean, supervised_cross_entropy
from semibench.methods.blocks.mixing import cutmix_boxes
from semibench.methods.blocks.pseudo_labels import dynamic_threshold, teach
from semibench.methods.method import Batch, Crop, Method, Progress, StepOutput, Task, Views
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

NonNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class CWBASS(Method):
    """A student that trusts its moving average as far as that trusts itself."""

    provenance = "official code"

    class Config(Record):
        """Source of every default, where nothing else is said: the official code."""

        gamma: NonNegative = 1.0  # exponent of the confidence as a weight
        base_threshold: NonNegative = 0.6  # T0
        sensitivity: float = 0.5  # beta, of the threshold to the mean confidence
        fixed_threshold: Share | None = None  # instead of the dynamic one, as a control; our option
        unlabeled_weight: NonNegative = 1.0  # lambda_u; not in the paper's abstract
        boundary_weight: NonNegative = 0.5
        boundary_padding: Literal["zero", "replicate"] = "zero"  # zero marks the frame of the crop; replicate is our option
        ramp: Share = 5 / 80  # share of the run over which lambda_u rises from 0; 5 epochs, not in the paper's abstract
        decay: Literal["none", "constant", "progressive"] = "none"  # of weights; progressive is our variant, see above
        decay_factor: Share = 0.9
        ema_decay: Share = 0.999  # of the teacher; not in the paper's abstract
        view: Literal["weak", "strong"] = "weak"  # what the student sees; strong is our option, see above

    def __init__(self, config: Config, task: Task) -> None:
        super().__init__(config, task)
        self.config = config
        self.ignore_index = task.ignore_index
        self.n_classes = task.n_classes
        self.views = Views(crops=1, strong=1 if config.view == "strong" else 0)
        self.network = task.build_network()
        self.teacher = Teacher(self.network)

    def forward(self, batch: Batch, progress: Progress) -> StepOutput:
        """Return the labelled, the confidence-weighted and the boundary loss."""
        config = self.config
        (crop,) = batch.unlabeled
        image, is_shown = self._view(crop)
        label, confidence, _ = teach(self.teacher, crop.weak, crop.valid)  # padding is learned too, as in the reference
        is_boundary = class_boundaries(label, self.n_classes, config.boundary_padding)  # before any pixel is left out
        threshold = self._threshold(confidence)
        is_kept = (confidence > threshold) & is_shown

        # Two passes, each with its own batch statistics, as in the reference.
        supervised = supervised_cross_entropy(self.network(batch.labeled.image), batch.labeled.mask, self.ignore_index)
        pixelwise = F.cross_entropy(self.network(image).float(), label, reduction="none")
        weight = self._decayed(confidence, progress) ** config.gamma
        ramp = min(1.0, progress.fraction / config.ramp) if config.ramp else 1.0
        scale = config.unlabeled_weight * ramp
        return StepOutput(
            losses={
                "supervised": supervised,
                "weighted": scale * masked_mean(weight * pixelwise, is_kept),  # L_cw
                "boundary": scale * config.boundary_weight * masked_mean(pixelwise, is_kept & is_boundary),  # L_bd
            },
            scalars={"threshold": threshold, "coverage": is_kept.float().mean()},
        )

    def after_step(self, progress: Progress) -> None:
        """Let the teacher follow."""
        self.teacher.follow(self.network, self.config.ema_decay)

    def parameter_groups(self) -> list[ParameterGroup]:
        """Return encoder and decoder of the student."""
        return self.network.parameter_groups()

    def predictors(self) -> Mapping[str, nn.Module]:
        """Return student and teacher; the reference never evaluates the latter."""
        return {"student": self.network, "teacher": self.teacher}

    def _view(self, crop: Crop) -> tuple[Tensor, Tensor]:
        """Return what the student sees, and where (M, H, W) that is the picture."""
        if self.config.view == "weak":
            return crop.weak, torch.ones_like(crop.valid)
        hole = cutmix_boxes(crop.seeds, (crop.weak.shape[-2], crop.weak.shape[-1])).to(crop.weak.device)
        return torch.where(hole.unsqueeze(1), 0.0, crop.strong[0]), ~hole

    def _threshold(self, confidence: Tensor) -> Tensor:
        if self.config.fixed_threshold is not None:
            return confidence.new_tensor(self.config.fixed_threshold)
        return dynamic_threshold(confidence, self.config.base_threshold, self.config.sensitivity)

    def _decayed(self, confidence: Tensor, progress: Progress) -> Tensor:
        """Return the confidence (M, H, W) as a weight."""
        factor = self.config.decay_factor
        match self.config.decay:
            case "none":
                return confidence
            case "constant":
                return factor * confidence
            case "progressive":
                tenths = 10 * progress.step // progress.total
                return torch.where(confidence < confidence.mean(), factor**tenths * confidence, confidence)


def _published(*, lr: float, epochs: int, batch: int, crop: int, long_side: int) -> Published:
    recipe = Recipe(
        optimizer=SGD(name="sgd", lr=lr, momentum=0.9, weight_decay=1e-4, groups={"decoder": GroupRule(lr_multiplier=10)}),
        schedule=Schedule(name="poly", power=0.9),
        epochs=Epochs(count=epochs, over="unlabeled"),  # the longer list, in every partition below one half
        batch=BatchSize(labeled=batch, unlabeled=batch),
        crop=(crop, crop),
        augmentation=Augmentation(
            scale=Scale(side="long", low=0.5, high=2.0, base=long_side),
            flip=0.5,
            strong=(  # for view = "strong" alone
                Jitter(name="jitter", probability=0.8, brightness=0.5, contrast=0.5, saturation=0.5, hue=0.25),
                Grayscale(name="grayscale", probability=0.2),
                Blur(name="blur", probability=0.5, radius=(0.1, 2.0)),
            ),
        ),
        normalization=Normalization(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
        norm="bn",
    )
    network = {"name": "deeplabv3plus", "encoder": "resnet50", "output_stride": 8, "rates": [12, 24, 36]}
    source = "psychofict/CW-BASS at 4cad82c, main.py; network: LiheYoung/ST-PlusPlus, there with dropout"
    return Published(source=source, recipe=recipe, network=network, method={"ramp": 5 / epochs}, rule="whole-best")


CWBASS.published = {
    "voc": _published(lr=0.001, epochs=80, batch=16, crop=321, long_side=400),
    "cityscapes": _published(lr=0.002, epochs=240, batch=8, crop=801, long_side=2048),
}
