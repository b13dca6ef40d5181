"""FixMatch for segmentation (Sohn et al. 2020; as the baseline of UniMatch, Yang et al. 2023).

Papers: arXiv 2001.07685 (classification), 2208.09910 (segmentation). Read: UniMatch's code at 0324f3d, whose FixMatch is
UniMatch with one strong view and no feature stream.

A confident prediction on the weak view of an unlabelled image is the target of its strong view. The strong view is mixed
by CutMix with a partner, whose pseudo-label comes from the same network in evaluation mode. There is no mean teacher.

Deviations
- Partners are other images. The reference takes another view of the same image, by an oversight; its author reports the same
  results either way (UniMatch issues 34, 51, 85). ``partner = "same"`` is what the reference runs.
- A process averages and mines over all its images of a step; ``unimatch.py`` says how many these are in the reference.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import nn

from semibench.methods.blocks.losses import confident_cross_entropy, supervised_cross_entropy
from semibench.methods.blocks.mining import Mining
from semibench.methods.blocks.mixing import cutmix_boxes, paste
from semibench.methods.blocks.pseudo_labels import Target, coverage, pseudo_labels, teach
from semibench.methods.method import Batch, Method, Progress, StepOutput, Task, Views
from semibench.methods.networks.base import ParameterGroup
from semibench.methods.unimatch import UniMatch
from semibench.records import Record


class FixMatch(Method):
    """One network that teaches itself."""

    provenance = "official code"
    published = UniMatch.published  # the same configurations, which have nothing of what UniMatch adds

    class Config(Record):
        """Source of every default, where nothing else is said: UniMatch's code, Pascal VOC."""

        threshold: Annotated[float, Field(ge=0, le=1)] = 0.95  # confidence in [0, 1]; 0 on Cityscapes
        partner: Literal["same", "other"] = "other"  # images that CutMix takes its boxes from; our choice, see above
        mining: Mining | None = None  # of hard pixels, in the supervised loss; Mining() on Cityscapes

    def __init__(self, config: Config, task: Task) -> None:
        super().__init__(config, task)
        self.config = config
        self.ignore_index = task.ignore_index
        self.views = Views(crops=1, strong=1, partner=config.partner)
        self.network = task.build_network()

    def forward(self, batch: Batch, progress: Progress) -> StepOutput:
        """Return both losses, each weighted by one half."""
        config = self.config
        (crop,), (partner,) = batch.unlabeled, batch.partner
        boxes = cutmix_boxes(crop.seeds, (crop.weak.shape[-2], crop.weak.shape[-1])).to(crop.weak.device)
        taught = teach(self.network, partner.weak, partner.valid)

        # Labelled and weak images share one forward pass, and with it their batch statistics, as in the reference.
        n_labeled = len(batch.labeled.image)
        logits = self.network(torch.cat([batch.labeled.image, crop.weak]))
        logits_strong = self.network(paste(crop.strong[0], partner.strong[0], boxes))

        confidence, label = pseudo_labels(logits[n_labeled:])
        target = Target(label, confidence, crop.valid).pasted(taught, boxes)
        supervised = supervised_cross_entropy(logits[:n_labeled], batch.labeled.mask, self.ignore_index, config.mining)
        consistency = confident_cross_entropy(logits_strong, *target, config.threshold)
        return StepOutput(
            losses={"supervised": supervised / 2, "consistency": consistency / 2},
            scalars={"coverage": coverage(target.confidence, target.valid, config.threshold)},
        )

    def parameter_groups(self) -> list[ParameterGroup]:
        """Return encoder and decoder."""
        return self.network.parameter_groups()

    def predictors(self) -> Mapping[str, nn.Module]:
        """Return the network."""
        return {"network": self.network}
