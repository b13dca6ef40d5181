"""MaskMatch (Pan et al. 2023), a reconstruction: FixMatch with a teacher of several scales and images shown in part.

Paper: arXiv 2312.08631. Read: its abstract. The paper was not readable and no code is public, so nearly every number here is
our choice, guided by MIC (``lhoyer/MIC``, masking in domain adaptation) and by UniMatch's code. The authors report no number
that this could be held against, and their settings on data sets are unknown: there is no published recipe. Other methods
called MaskMatch (arXiv 2405.06227) or Mask-Match have nothing to do with this one.

From the abstract: a student sees an unlabelled image of which as little as 30 % is visible and predicts the segmentation of
all of it; a teacher labels the complete image, as the mean over several scales; that label serves this task and the usual
weak-to-strong consistency alike. The total is (L_x + w_s L_s + w_m L_m) / 2, each unlabelled loss divided by the number of
all valid pixels; with w_s = 1, w_m = 0 and one scale it is FixMatch with a mean teacher.

Both parts fit other methods, as the authors claim: ``teach(..., scales)`` wherever a method labels images, and
``masked_consistency`` as one more loss, over ``patch_masks``.

Our choices besides the values below: masks of an exact number of patches, independent of each other; hard labels without a
temperature; CutMix with the next image of the batch, which needs no second pass of the teacher (none with one image); batch
statistics of masked images stay out of the running ones; labelled images are never masked; nothing ramps up.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from semibench.methods.blocks.ema import Teacher, warmed_up
from semibench.methods.blocks.losses import confident_cross_entropy, supervised_cross_entropy
from semibench.methods.blocks.masking import masked_consistency, patch_masks
from semibench.methods.blocks.mining import Mining
from semibench.methods.blocks.mixing import cutmix_boxes, paste
from semibench.methods.blocks.pseudo_labels import Target, coverage, teach
from semibench.methods.method import Batch, Crop, Method, Progress, StepOutput, Task, Views
from semibench.methods.networks.base import ParameterGroup
from semibench.records import Record

Weight = Annotated[float, Field(ge=0)]


class MaskMatch(Method):
    """A student that is shown little, and its moving average that is shown all."""

    provenance = "reconstruction"
    views = Views(crops=1, strong=1)

    class Config(Record):
        """Source of every default, where nothing else is said: our choice, the sources are silent."""

        threshold: Annotated[float, Field(ge=0, le=1)] = 0.95  # confidence in [0, 1]; UniMatch's code; 0 there on Cityscapes
        strong_weight: Weight = 0.5  # of the strong view
        masked_weight: Weight = 0.5  # of the masked view; both sum to FixMatch's weight
        hidden: Annotated[float, Field(ge=0, le=1)] = 0.7  # share of patches; abstract: 30 % visible; as MIC
        patch: PositiveInt = 32  # side in pixels, a multiple of the output stride; 64 for crops above 513, as MIC
        masked_view: Literal["weak", "strong", "strong_cutmix"] = "strong"  # what is masked; as MIC
        masked_region: Literal["all", "masked", "visible"] = "all"  # pixels of the masked loss; abstract, MIC
        scales: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)] = (0.75, 1.0, 1.25)  # of the teacher
        ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.999  # of the teacher, as MIC; 0 = the student itself
        mining: Mining | None = None  # of hard pixels, in the supervised loss; UniMatch's code: Mining() on Cityscapes

    def __init__(self, config: Config, task: Task) -> None:
        super().__init__(config, task)
        self.config = config
        self.ignore_index = task.ignore_index
        self.network = task.build_network()
        self.teacher = Teacher(self.network)

    def forward(self, batch: Batch, progress: Progress) -> StepOutput:
        """Return the losses of labelled images, of the strong view and of the masked view."""
        config = self.config
        (crop,) = batch.unlabeled
        boxes = cutmix_boxes(crop.seeds, (crop.weak.shape[-2], crop.weak.shape[-1])).to(crop.weak.device)
        own = teach(self.teacher, crop.weak, crop.valid, config.scales)
        mixed = own.pasted(Target(*(value.roll(1, dims=0) for value in own)), boxes)
        strong = paste(crop.strong[0], crop.strong[0].roll(1, dims=0), boxes)

        n_labeled = len(batch.labeled.image)
        logits = self.network(torch.cat([batch.labeled.image, strong]))
        supervised = supervised_cross_entropy(logits[:n_labeled], batch.labeled.mask, self.ignore_index, config.mining)
        consistency = confident_cross_entropy(logits[n_labeled:], *mixed, config.threshold)
        losses = {"supervised": supervised / 2, "consistency": config.strong_weight * consistency / 2}
        if config.masked_weight:
            view = {"weak": crop.weak, "strong": crop.strong[0], "strong_cutmix": strong}[config.masked_view]
            target = mixed if config.masked_view == "strong_cutmix" else own
            losses["masked"] = config.masked_weight * self._masked(view, target, crop) / 2
        return StepOutput(losses, {"coverage": coverage(own.confidence, own.valid, config.threshold)})

    def after_step(self, progress: Progress) -> None:
        """Let the teacher follow."""
        self.teacher.follow(self.network, warmed_up(self.config.ema_decay, progress.step))

    def parameter_groups(self) -> list[ParameterGroup]:
        """Return encoder and decoder of the student."""
        return self.network.parameter_groups()

    def predictors(self) -> Mapping[str, nn.Module]:
        """Return teacher and student."""
        return {"teacher": self.teacher, "student": self.network}

    def _masked(self, view: Tensor, target: Target, crop: Crop) -> Tensor:
        """Return the loss of a view of which patches are hidden, over the region of the configuration."""
        config = self.config
        visible = patch_masks(crop.seeds, (view.shape[-2], view.shape[-1]), config.patch, config.hidden).to(view.device)
        region = {"all": target.valid, "masked": target.valid & ~visible[:, 0], "visible": target.valid & visible[:, 0]}
        counted = target._replace(valid=region[config.masked_region])
        return masked_consistency(self.network, view, visible, counted, config.threshold)
