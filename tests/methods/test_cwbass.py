"""CW-BASS: its losses by hand on images of 2 x 2 pixels, the threshold, the ramp, and what decay changes.

Logits (0, ln 9) are probabilities (0.1, 0.9). The network turns its signs in evaluation mode, so that the teacher says
label 0 at 0.9 of an image of ln 9, on which the student's cross-entropy is ln 10. In 2 x 2 pixels zero padding makes every
pixel a boundary; with replicated edges a map of one class has none.

Elsewhere, in tests/methods/blocks: the dynamic threshold (test_pseudo_labels.py), boundaries (test_boundaries.py) and the
moving average (test_ema.py).
"""

from collections.abc import Callable
from math import exp, log

import pytest
import torch
from torch import Tensor

from semibench.harness.optimizers import build_optimizer, set_learning_rate
from semibench.harness.schedules import multiplier
from semibench.methods.cwbass import CWBASS
from semibench.methods.method import Batch, Crop, Labeled, Progress, StepOutput, Task, Views

HALFWAY = Progress(50, 100)  # beyond the ramp
SURE = log(9)  # confidence 0.9

Picture = Callable[..., Tensor]
Build = Callable[..., CWBASS]


@pytest.fixture
def build(readable_task: Task) -> Build:
    def with_values(**values: object) -> CWBASS:
        return CWBASS(CWBASS.Config.model_validate({"boundary_padding": "replicate"} | values), readable_task).train()

    return with_values


def batch(labeled: Tensor, weak: Tensor, strong: Tensor | None = None) -> Batch:
    masks = torch.ones(len(labeled), *labeled.shape[-2:], dtype=torch.int64)
    valid = torch.ones(len(weak), *weak.shape[-2:], dtype=torch.bool)
    crop = Crop(weak, () if strong is None else (strong,), valid, torch.arange(len(weak)))
    return Batch(Labeled(labeled, masks, torch.arange(len(labeled))), (crop,))


def losses(output: StepOutput) -> dict[str, float]:
    return {name: loss.item() for name, loss in output.losses.items()}


def unlabeled(output: StepOutput) -> float:
    return losses(output)["weighted"] + losses(output)["boundary"]


# The threshold.


@pytest.mark.parametrize(("margin", "kept"), [(0.0, 0.0), (1e-4, 1.0)])
def test_a_pixel_at_the_threshold_is_ignored_and_one_just_above_is_kept(
    build: Build, picture: Picture, margin: float, kept: float
) -> None:
    step = batch(picture(0.0), picture(SURE))
    method = build(fixed_threshold=0.5)
    confidence = method.teacher(step.unlabeled[0].weak).softmax(dim=1).max(dim=1).values
    output = build(fixed_threshold=confidence[0, 0, 0].item() - margin)(step, HALFWAY)
    assert output.scalars["coverage"] == kept


def test_the_threshold_is_one_for_the_whole_batch_and_logged(build: Build, picture: Picture) -> None:
    output = build()(batch(picture(0.0), picture(SURE, 0.0)), HALFWAY)
    assert output.scalars["threshold"].item() == pytest.approx(0.6 / (1 + exp(-0.5 * 0.2)))  # mean of 0.9 and 0.5
    assert output.scalars["coverage"] == 1


# The losses.


def test_the_total_is_the_labelled_loss_the_weighted_one_and_half_of_the_one_on_boundaries(
    build: Build, picture: Picture
) -> None:
    output = build(boundary_padding="zero")(batch(picture(log(3)), picture(SURE)), HALFWAY)
    expected = {"supervised": log(4 / 3), "weighted": 0.9 * log(10), "boundary": 0.5 * log(10)}
    assert losses(output) == pytest.approx(expected)


def test_each_mean_is_over_the_pixels_that_it_counts(build: Build, picture: Picture) -> None:
    # Confidences 0.9, 0.9, 0.6, 0.5 of which the threshold leaves the first two; labels 0, 1, 0, 0.
    weak = picture([[SURE, -SURE], [log(1.5), 0.0]])
    output = build(fixed_threshold=0.7)(batch(picture(0.0), weak), HALFWAY)
    assert losses(output)["weighted"] == pytest.approx(0.9 * log(10))
    assert losses(output)["boundary"] == pytest.approx(0.5 * log(10))
    assert output.scalars["coverage"] == 0.5


@pytest.mark.parametrize(("gamma", "weight"), [(0.0, 1.0), (1.0, 0.9), (2.0, 0.81)])
def test_a_pixel_weighs_its_confidence_to_the_power_of_gamma(
    build: Build, picture: Picture, gamma: float, weight: float
) -> None:
    output = build(gamma=gamma)(batch(picture(0.0), picture(SURE)), HALFWAY)
    assert losses(output)["weighted"] == pytest.approx(weight * log(10))


@pytest.mark.parametrize("values", [{"gamma": 3.0}, {"decay": "constant"}, {"decay": "progressive"}], ids=str)
def test_neither_gamma_nor_decay_weighs_the_loss_on_boundaries(
    build: Build, picture: Picture, values: dict[str, object]
) -> None:
    step = batch(picture(0.0), picture([[SURE, -SURE], [0.3, 1.0]]))
    plain, changed = build()(step, HALFWAY), build(**values)(step, HALFWAY)
    assert losses(changed)["boundary"] == losses(plain)["boundary"] > 0
    assert losses(changed)["weighted"] < losses(plain)["weighted"]


def test_a_full_confidence_gives_plain_cross_entropy(build: Build, picture: Picture) -> None:
    output = build()(batch(picture(0.0), picture(60.0)), HALFWAY)
    assert losses(output)["weighted"] == pytest.approx(60.0)


def test_padding_is_learned_and_counted_as_in_the_reference(build: Build, picture: Picture) -> None:
    step = batch(picture(0.0), picture([[SURE, 0.0]] * 2))
    (crop,) = step.unlabeled
    padded = step._replace(unlabeled=(crop._replace(valid=torch.zeros_like(crop.valid)),))
    method = build()
    outputs = [method(each, HALFWAY) for each in (step, padded)]
    assert losses(outputs[0]) == losses(outputs[1])
    assert outputs[0].scalars == outputs[1].scalars


def test_without_boundaries_the_weighted_loss_is_all(build: Build, picture: Picture) -> None:
    output = build()(batch(picture(0.0), picture(SURE)), HALFWAY)
    assert losses(output)["boundary"] == 0
    assert losses(output)["weighted"] > 0


def test_boundaries_are_found_before_pixels_are_left_out(build: Build, picture: Picture) -> None:
    weak = picture([[SURE, -log(1.5)]] * 2)  # a border between a sure and an unsure class
    output = build(fixed_threshold=0.7)(batch(picture(0.0), weak), HALFWAY)
    assert losses(output)["boundary"] == pytest.approx(0.5 * log(10))


def test_where_no_pixel_is_kept_the_unlabelled_losses_and_their_gradients_are_zero(build: Build, picture: Picture) -> None:
    method = build(fixed_threshold=0.95)
    output = method(batch(picture(0.0), picture(SURE)), HALFWAY)
    (output.losses["weighted"] + output.losses["boundary"]).backward()
    assert unlabeled(output) == 0
    assert method.network.weight.grad == 0


def test_what_the_student_says_of_ignored_pixels_changes_neither_loss_nor_gradient(build: Build, picture: Picture) -> None:
    method = build(fixed_threshold=0.7, boundary_padding="zero")
    results = []
    for value in (log(1.5), -log(1.5)):  # confidence 0.6; either way one of two classes
        output = method(batch(picture(0.0), picture([[SURE, SURE], [SURE, value]])), HALFWAY)
        results.append((unlabeled(output), *torch.autograd.grad(sum(output.losses.values()), method.network.weight)))
    assert results[0] == results[1]


def test_a_perfect_student_has_no_unlabelled_loss(readable_task: Task, picture: Picture) -> None:
    method = CWBASS(CWBASS.Config(), readable_task).train()
    method.teacher.network.weight.fill_(-1)  # turned once more in evaluation mode: it says what the student says
    output = method(batch(picture(0.0), picture([[50.0, -50.0], [50.0, 50.0]])), HALFWAY)
    assert unlabeled(output) < 1e-6
    assert output.scalars["coverage"] == 1


# Ramp and decay.


@pytest.mark.parametrize(
    ("ramp", "step", "weight"),
    [(0.1, 0, 0.0), (0.1, 5, 0.5), (0.1, 10, 1.0), (0.1, 99, 1.0), (0.0, 0, 1.0)],
)
def test_the_unlabelled_losses_rise_over_the_ramp_and_stay(
    build: Build, picture: Picture, ramp: float, step: int, weight: float
) -> None:
    method = build(ramp=ramp, boundary_padding="zero")
    output = method(batch(picture(0.0), picture(SURE)), Progress(step, 100))
    assert unlabeled(output) == pytest.approx(weight * (0.9 + 0.5) * log(10))
    assert losses(output)["supervised"] == pytest.approx(log(2))


def test_the_unlabelled_weight_scales_both_unlabelled_losses(build: Build, picture: Picture) -> None:
    output = build(unlabeled_weight=3, boundary_padding="zero")(batch(picture(0.0), picture(SURE)), HALFWAY)
    assert unlabeled(output) == pytest.approx(3 * (0.9 + 0.5) * log(10))


@pytest.mark.parametrize(("gamma", "ratio"), [(1.0, 0.9), (2.0, 0.81)])
def test_constant_decay_scales_the_weighted_loss_alone(build: Build, picture: Picture, gamma: float, ratio: float) -> None:
    step = batch(picture(0.0), picture([[SURE, -SURE], [0.3, 1.0]]))
    plain, decayed = (build(gamma=gamma, decay=decay)(step, HALFWAY) for decay in ("none", "constant"))
    assert losses(decayed)["weighted"] == pytest.approx(ratio * losses(plain)["weighted"])
    assert losses(decayed)["boundary"] == losses(plain)["boundary"]
    assert decayed.scalars == plain.scalars


@pytest.mark.parametrize(("step", "tenths"), [(0, 0), (9, 0), (10, 1), (55, 5), (99, 9)])
def test_progressive_decay_shrinks_weights_below_the_mean_with_each_tenth_of_the_run(
    build: Build, picture: Picture, step: int, tenths: int
) -> None:
    method = build(decay="progressive", ramp=0)
    output = method(batch(picture(0.0), picture([[SURE, 0.0]] * 2)), Progress(step, 100))
    # Confidences 0.9 and 0.5, mean 0.7; cross-entropies ln 10 and ln 2.
    assert losses(output)["weighted"] == pytest.approx((0.9 * log(10) + 0.5 * 0.9**tenths * log(2)) / 2)


# Views, teacher and student.


def test_teacher_and_student_see_the_same_view_and_labelled_images_pass_alone(build: Build, picture: Picture) -> None:
    method = build()
    step = batch(picture(5.0), picture(1.0))
    method(step, HALFWAY)
    (taught,) = method.teacher.network.calls
    labeled, student = method.network.calls
    assert taught.image is student.image is step.unlabeled[0].weak
    assert labeled.image is step.labeled.image
    assert (taught.is_training, taught.has_gradient) == (False, False)
    assert student.is_training
    assert student.has_gradient


def test_with_strong_views_a_hole_is_cut_that_is_not_learned(build: Build) -> None:
    method = build(view="strong", gamma=0)
    second = torch.zeros(16, 3, 16, 16)
    second[:, 1] = 1
    weak, strong = SURE * second, log(3) * second
    output = method(batch(torch.zeros(1, 3, 16, 16), weak, strong), HALFWAY)
    (taught,), (_, student) = method.teacher.network.calls, method.network.calls
    hole = student.image[:, 1] == 0
    assert torch.equal(taught.image, weak)
    assert 0 < hole.float().mean() < 0.4
    assert torch.equal(student.image[:, 1][~hole], strong[:, 1][~hole])
    assert losses(output)["weighted"] == pytest.approx(log(4))  # of shown pixels alone; ln 2 in the hole
    assert output.scalars["coverage"].item() == pytest.approx(1 - hole.float().mean().item())


@pytest.mark.parametrize(("view", "strong"), [("weak", 0), ("strong", 1)])
def test_it_asks_for_a_strong_view_only_if_the_student_sees_one(build: Build, view: str, strong: int) -> None:
    assert build(view=view).views == Views(crops=1, strong=strong)


def test_the_teacher_gets_no_gradient_and_is_no_trained_parameter(build: Build, picture: Picture) -> None:
    method = build()
    weak = picture(SURE).requires_grad_()
    sum(method(batch(picture(0.0), weak), HALFWAY).losses.values()).backward()
    assert all(parameter.grad is None for parameter in method.teacher.parameters())
    assert not any(parameter.requires_grad for parameter in method.teacher.parameters())
    trained = [parameter for group in method.parameter_groups() for parameter in group.parameters]
    assert {id(parameter) for parameter in trained} == {id(parameter) for parameter in method.network.parameters()}


def test_the_teacher_s_answer_does_not_depend_on_the_student_s_pass(build: Build, picture: Picture) -> None:
    method = build()
    before = method.teacher(picture(3.0))
    method(batch(picture(100.0), picture(SURE)), HALFWAY)
    assert torch.equal(method.teacher(picture(3.0)), before)


def test_after_a_step_the_teacher_has_moved_by_a_thousandth_and_copied_the_statistics(build: Build, picture: Picture) -> None:
    method = build()
    method(batch(picture(100.0), picture(SURE)), HALFWAY)
    torch.nn.init.constant_(method.network.weight, 5.0)
    method.after_step(Progress(0, 100))
    assert method.teacher.network.weight.item() == pytest.approx(0.999 + 0.005, abs=1e-7)
    for average, current in zip(method.teacher.network.buffers(), method.network.buffers(), strict=True):
        assert torch.equal(average, current)
    assert method.teacher.network.encoder.num_batches_tracked == 2


def test_the_student_is_the_headline(build: Build) -> None:
    method = build()
    assert list(method.predictors().items()) == [("student", method.network), ("teacher", method.teacher)]


def test_its_recipes_have_the_reference_s_rates_and_ramps_of_five_epochs() -> None:
    for name, rate, epochs in (("voc", 0.001, 80), ("cityscapes", 0.004 / 16 * 8, 240)):
        published = CWBASS.published[name]
        optimizer, schedule = published.recipe.optimizer, published.recipe.schedule
        assert optimizer.lr == rate
        assert optimizer.groups["decoder"].lr_multiplier == 10
        assert multiplier(schedule, 0, 1000) == 1
        assert multiplier(schedule, 999, 1000) > 0
        assert published.method["ramp"] * epochs == 5
        assert published.recipe.total_steps(100, 1600) == epochs * (1600 // published.recipe.batch.unlabeled)


@pytest.mark.parametrize("name", ["voc", "cityscapes"])
def test_the_head_learns_ten_times_as_fast_as_the_encoder_at_every_step(build: Build, name: str) -> None:
    recipe = CWBASS.published[name].recipe
    optimizer = build_optimizer(build(), recipe.optimizer)
    for step in (0, 1, 500, 999):
        set_learning_rate(optimizer, recipe.optimizer.lr * multiplier(recipe.schedule, step, 1000))
        encoder, head = (group["lr"] for group in optimizer.param_groups)
        assert head == pytest.approx(10 * encoder)
        assert encoder > 0
