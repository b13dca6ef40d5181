"""MGD, multi-granularity distillation (Qin et al. 2022): two complementary teachers and a light student.

Paper: arXiv 2208.10169 (ECCV 2022); its body was not read. Read: the official code, ``JayQine/MGD-SSSS``, 1/8 partitions.
Equations are the code's, names of the losses the paper's. Train two teachers with ``cps`` on the same protocol, then name
their runs:

    semibench run --method mgd ... --set method.teachers.deep=runs/... --set method.teachers.wide=runs/...

A deep and thin teacher D (ResNet-101) and a wide and shallow one W (called Wide ResNet-34, in fact wide_resnet50_2) are frozen.
s: the student's logits; d: D's; x: labelled images; u: CutMix of u0 and u1; q_T: labels of x by teacher T, p_T: of u0 and u1,
mixed likewise; gap: the average over an image; A: cosines between 7 x 7 regions of the map before the classifier.

    L = CE(s_x, y)                                                        supervised
      + sum over T in {D, W} of [CE(s_u, p_T) + CE(s_x, q_T)]             pixel level
      + lambda_1 mean |gap(s_u) - gap(d_u)|                               image level
      + lambda_2 mean (A_s - A_W)^2                                       region level

Deviations
- The reference sums the image level over a process's batch and classes; here it is the mean, with weights to match.
- Reverse terms, the teacher against the student's label, have no gradient and are left out. Two passes of the student serve
  them alone, but move its running statistics: ``student_bn_passes`` does them, as the published recipes do.
- Teachers normalize with the statistics of a batch, as in the reference, but do not add them to their running ones.
- A teacher may be missing; its terms are then dropped, without new weights for the others.
- Published recipes are for one process: the reference divides gradients by the number of processes once too often, so rates
  are divided by it here and weight decay is multiplied. Weight decay also acts on norms and biases, the scale of images is
  uniform where the reference has 0.5, 0.75, 1, 1.5, 1.75 or 2, and padding is at the right and bottom, not around.
- Published networks have the decoder of ``deeplabv3plus``, not the reference's of the same family.

The abstract claims gains on Cityscapes 1/16 and no score: 11.5 points for ResNet-18 and 4.6 for MobileNet-v2, presumably over
training on labelled images alone.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Literal, Self

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import nn

from semibench.errors import UsageError
from semibench.methods import cps
from semibench.methods.blocks.distillation import image_level, region_level
from semibench.methods.blocks.ema import Teacher
from semibench.methods.blocks.losses import supervised_cross_entropy
from semibench.methods.blocks.mining import Mining
from semibench.methods.blocks.mixing import paste, toggled_boxes
from semibench.methods.method import Batch, Method, Progress, StepOutput, Task, Views
from semibench.methods.networks._frozen import Frozen
from semibench.methods.networks._pyramid import PyramidNetwork
from semibench.methods.networks.base import ParameterGroup
from semibench.protocols.recipe import Published
from semibench.records import Located, Record

Weight = Annotated[float, Field(ge=0)]

NETWORK = {
    "name": "deeplabv3plus",
    "encoder": "resnet18c",  # or mobilenetv2 with output_stride 32, multi_grid (2, 4, 8), low_channels 24 and lr 0.0035 on VOC
    "output_stride": 16,
    "multi_grid": [1, 2],
    "rates": [6, 12, 18],
}
SOURCE = "JayQine/MGD-SSSS, 1/8 partitions, student ResNet-18"


class MultiGranularityDistillation(Method):
    """A student of two frozen teachers."""

    provenance = "official code"
    views = Views(crops=1, partner="other")
    published = {
        "voc": Published(
            source=SOURCE,
            recipe=cps.recipe(0.0025, 4e-4, 34, 8, 512),
            network=NETWORK,
            method={"student_bn_passes": True},
            rule="whole-best",
        ),
        "cityscapes": Published(
            source=SOURCE,
            recipe=cps.recipe(0.0025, 8e-4, 137, 16, 800),
            network=NETWORK,
            method={
                "image_weight": 0.038,  # 0.001 of a sum over 2 images and 19 classes
                "student_bn_passes": True,
                "mining": {"threshold": 0.7, "kept_per_image": 50_000},
            },
            rule="sliding-800-cps-best",
        ),
    }

    class Config(Record):
        """Source of every default, where nothing else is said: the official code, Pascal VOC, student ResNet-18."""

        teachers: Annotated[dict[Literal["deep", "wide"], str], Located()] = {}  # folder of a run, or one of its checkpoints
        image_weight: Weight = 0.084  # lambda_1: 0.002 of a sum over 2 images and 21 classes; MobileNet-v2 0.021
        region_weight: Weight = 100.0  # lambda_2; MobileNet-v2 50
        teacher_statistics: Literal["batch", "running"] = "batch"  # of the teachers' normalization; running for batches of one
        student_bn_passes: bool = False  # run the student on u0 and u1 for its running statistics alone; the code: True
        mining: Mining | None = None  # of hard pixels, in the supervised loss; 50,000 an image are kept on Cityscapes

    def __init__(self, config: Config, task: Task) -> None:
        super().__init__(config, task)
        self.config = config
        self.ignore_index = task.ignore_index
        if not config.teachers:
            raise UsageError(
                "method 'mgd' has no teachers", "Train two with --method cps; set method.teachers.deep and .wide to their runs."
            )
        self.network = _checked(task.build_network(), "the student")
        self.deep = self._load("deep", task)
        self.wide = self._load("wide", task)

    def forward(self, batch: Batch, progress: Progress) -> StepOutput:
        """Return the supervised loss and those of the three granularities."""
        (own,), (other,) = batch.unlabeled, batch.partner
        size = (own.weak.shape[-2], own.weak.shape[-1])
        boxes = toggled_boxes(own.seeds, size).to(own.weak.device)
        mixed = paste(own.weak, other.weak, boxes)
        if self.config.student_bn_passes:
            with torch.no_grad():
                _ = self.network(own.weak), self.network(other.weak)

        represented = self.network.represent(self.network.encode(mixed))
        logits_u = self.network.resize(self.network.classify(represented).float(), size)
        logits_x = self.network(batch.labeled.image)
        losses = {
            "supervised": supervised_cross_entropy(logits_x, batch.labeled.mask, self.ignore_index, self.config.mining),
            "pixel": logits_u.new_zeros(()),
        }
        for teacher in filter(None, (self.deep, self.wide)):  # labels have no threshold, and padding has some too
            label_u = paste(teacher.label(own.weak), teacher.label(other.weak), boxes)
            label_x = teacher.label(batch.labeled.image)
            losses["pixel"] = losses["pixel"] + F.cross_entropy(logits_u, label_u) + F.cross_entropy(logits_x, label_x)
        if self.deep and self.config.image_weight:
            losses["image"] = self.config.image_weight * image_level(logits_u, self.deep(mixed))
        if self.wide and self.config.region_weight:
            losses["region"] = self.config.region_weight * region_level(represented, self.wide.represent(mixed))
        return StepOutput(losses)

    def parameter_groups(self) -> list[ParameterGroup]:
        """Return encoder and decoder of the student."""
        return self.network.parameter_groups()

    def predictors(self) -> Mapping[str, nn.Module]:
        """Return the student."""
        return {"student": self.network}

    def _load(self, role: Literal["deep", "wide"], task: Task) -> Frozen[PyramidNetwork] | None:
        if role not in self.config.teachers:
            return None
        predictor = task.load_teacher(self.config.teachers[role])
        network = predictor.network if isinstance(predictor, Teacher) else predictor  # of a method that has one itself
        return Frozen(_checked(network, f"the {role} teacher"), self.config.teacher_statistics)

    @classmethod
    def example(cls, task: Task) -> Self:
        """Return an instance whose teachers are fresh and always the same."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            fresh = {"deep": task.build_network(), "wide": task.build_network()}
        return cls(cls.Config(teachers={"deep": "deep", "wide": "wide"}), replace(task, load_teacher=fresh.__getitem__))


def _checked(network: nn.Module, what: str) -> PyramidNetwork:
    if not isinstance(network, PyramidNetwork):
        raise UsageError(
            f"{what} of method 'mgd' is a {type(network).__name__}, which has no map before its classifier",
            "Take deeplabv3plus or deeplabv3 as its network.",
        )
    return network
