"""Mean Teacher (Tarvainen and Valpola 2017), carried over to segmentation: the ancestor of methods with an averaged teacher.

Paper: arXiv 1703.01780, on classification. Read: the official code, ``CuriousAI/mean-teacher``, its PyTorch part (main.py at
516ce35, experiments/cifar10_test.py at 59f8fd6); the paper was not.

The student sees a strong view, its moving average the weak view of the same pixels; the mean square difference of their
probabilities is a loss whose weight rises in a ramp: L = L_x + w * exp(-5 (1 - t)^2) * mean (p - q)^2.

Deviations, all for segmentation
- The mean is over valid pixels instead of images. Views of a pair share their geometry and differ in colors.
- The labelled loss is the mean over labelled pixels; the code divides by all images of a batch, 31 of 128 of them labelled,
  which makes its consistency weigh four times as much.
- Unlabelled images alone are compared; the code compares labelled ones too.
- The teacher starts as a copy and is in evaluation mode with copied statistics; the code starts it from other random
  weights and keeps it in training mode, with statistics of its own.
- Left out: the second output that the code's CIFAR-10 network has for the consistency.
"""

from collections.abc import Mapping
from math import exp
from typing import Annotated

import torch
from pydantic import Field
from torch import nn

from semibench.methods.blocks.ema import Teacher, warmed_up
from semibench.methods.blocks.losses import masked_mean, supervised_cross_entropy
from semibench.methods.method import Batch, Method, Progress, StepOutput, Task, Views
from semibench.methods.networks.base import ParameterGroup
from semibench.records import Record


class MeanTeacher(Method):
    """A student that is to say the same as its moving average."""

    provenance = "official code"
    views = Views(crops=1, strong=1)

    class Config(Record):
        """Source of every default: the official code's CIFAR-10 experiment."""

        weight: Annotated[float, Field(ge=0)] = 100.0  # of the consistency, after the ramp
        ramp: Annotated[float, Field(ge=0, le=1)] = 5 / 180  # share of the run over which the weight rises; 5 epochs of 180
        ema_decay: Annotated[float, Field(ge=0, le=1)] = 0.97  # of the teacher

    def __init__(self, config: Config, task: Task) -> None:
        super().__init__(config, task)
        self.config = config
        self.ignore_index = task.ignore_index
        self.network = task.build_network()
        self.teacher = Teacher(self.network)

    def forward(self, batch: Batch, progress: Progress) -> StepOutput:
        """Return the losses of labelled images and of the difference between both networks."""
        (crop,) = batch.unlabeled
        taught = self.teacher(crop.weak).softmax(dim=1)
        n_labeled = len(batch.labeled.image)
        logits = self.network(torch.cat([batch.labeled.image, crop.strong[0]]))
        supervised = supervised_cross_entropy(logits[:n_labeled], batch.labeled.mask, self.ignore_index)
        difference = (logits[n_labeled:].softmax(dim=1) - taught).square().mean(dim=1)  # over classes
        weight = self.config.weight * self._ramp(progress)
        return StepOutput({"supervised": supervised, "consistency": weight * masked_mean(difference, crop.valid)})

    def after_step(self, progress: Progress) -> None:
        """Let the teacher follow; its first step is half of the way, as in the code."""
        self.teacher.follow(self.network, warmed_up(self.config.ema_decay, progress.step + 1))

    def parameter_groups(self) -> list[ParameterGroup]:
        """Return encoder and decoder of the student."""
        return self.network.parameter_groups()

    def predictors(self) -> Mapping[str, nn.Module]:
        """Return teacher and student."""
        return {"teacher": self.teacher, "student": self.network}

    def _ramp(self, progress: Progress) -> float:
        done = min(progress.fraction / self.config.ramp, 1.0) if self.config.ramp else 1.0
        return exp(-5 * (1 - done) ** 2)
