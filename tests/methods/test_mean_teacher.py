"""Mean Teacher: both losses by hand on images of 2 x 2 pixels, the ramp, and who follows whom.

The network turns its signs in evaluation mode: logits (0, ln 9) of the weak view are probabilities (0.9, 0.1) of the teacher.
"""

from collections.abc import Callable
from math import exp, log

import pytest
import torch
from torch import Tensor

from semibench.methods.mean_teacher import MeanTeacher
from semibench.methods.method import Batch, Crop, Labeled, Progress, StepOutput, Task, Views

HALFWAY = Progress(50, 100)  # beyond the ramp
SURE = log(9)

Picture = Callable[..., Tensor]
Build = Callable[..., MeanTeacher]


@pytest.fixture
def build(readable_task: Task) -> Build:
    def with_values(**values: object) -> MeanTeacher:
        return MeanTeacher(MeanTeacher.Config.model_validate({"weight": 10} | values), readable_task).train()

    return with_values


def batch(labeled: Tensor, weak: Tensor, strong: Tensor, valid: list[list[bool]] | None = None) -> Batch:
    mask = torch.ones(len(labeled), 2, 2, dtype=torch.int64)
    is_valid = torch.tensor([valid or [[True, True]] * 2] * len(weak))
    crop = Crop(weak, (strong,), is_valid, torch.arange(len(weak)))
    return Batch(Labeled(labeled, mask, torch.arange(len(labeled))), (crop,))


def consistency(output: StepOutput) -> float:
    return output.losses["consistency"].item()


def test_the_consistency_is_the_mean_square_difference_of_probabilities_over_classes_and_pixels(
    build: Build, picture: Picture
) -> None:
    output = build()(batch(picture(0.0), picture([[SURE, -SURE]] * 2), picture([[0.0, SURE]] * 2)), HALFWAY)
    # Teacher (0.9, 0.1) and (0.1, 0.9), student (0.5, 0.5) and (0.1, 0.9).
    assert consistency(output) == pytest.approx(10 * (0.16 + 0) / 2)
    assert output.losses["supervised"].item() == pytest.approx(log(2))


def test_padding_is_not_counted(build: Build, picture: Picture) -> None:
    step = batch(picture(0.0), picture(SURE), picture([[0.0, 70.0], [0.0, 0.0]]), [[True, False], [True, True]])
    assert consistency(build()(step, HALFWAY)) == pytest.approx(10 * 0.16)


def test_networks_that_agree_have_no_consistency_loss(build: Build, picture: Picture) -> None:
    assert consistency(build()(batch(picture(0.0), picture(SURE), picture(-SURE)), HALFWAY)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("ramp", "step", "weight"),
    [(0.1, 0, exp(-5)), (0.1, 5, exp(-1.25)), (0.1, 10, 1.0), (0.1, 99, 1.0), (0.0, 0, 1.0)],
)
def test_the_weight_rises_over_the_ramp_and_stays(
    build: Build, picture: Picture, ramp: float, step: int, weight: float
) -> None:
    output = build(ramp=ramp)(batch(picture(0.0), picture(SURE), picture(0.0)), Progress(step, 100))
    assert consistency(output) == pytest.approx(weight * 10 * 0.16)


def test_the_teacher_sees_the_weak_view_and_the_student_labelled_and_strong_images_in_one_pass(
    build: Build, picture: Picture
) -> None:
    method = build()
    step = batch(picture(5.0), picture(1.0), picture(2.0))
    sum(method(step, HALFWAY).losses.values()).backward()
    (taught,), (student,) = method.teacher.network.calls, method.network.calls
    assert taught.image is step.unlabeled[0].weak
    assert (taught.is_training, taught.has_gradient) == (False, False)
    assert torch.equal(student.image, picture(5.0, 2.0))
    assert all(parameter.grad is None for parameter in method.teacher.parameters())


def test_the_teacher_follows_half_of_the_way_first_and_then_ever_less(build: Build) -> None:
    method, weights = build(), []
    for step, weight in enumerate((3.0, 5.0)):
        torch.nn.init.constant_(method.network.weight, weight)
        method.after_step(Progress(step, 10))
        weights.append(method.teacher.network.weight.item())
    assert weights == pytest.approx([2.0, 3.0])
    torch.nn.init.constant_(method.network.weight, 13.0)
    method.after_step(Progress(1000, 2000))
    assert method.teacher.network.weight.item() == pytest.approx(0.97 * 3 + 0.03 * 13)


def test_the_teacher_is_the_headline_and_it_asks_for_one_strong_view(build: Build) -> None:
    method = build()
    assert list(method.predictors().items()) == [("teacher", method.teacher), ("student", method.network)]
    assert method.views == Views(crops=1, strong=1)
