"""MaskMatch: three losses by hand on images of 2 x 2 pixels, and what is hidden from whom.

Logits (0, ln 9) are probabilities (0.1, 0.9). The network turns its signs in evaluation mode, so that the teacher says
label 0 at 0.9 of an image of ln 9. The cross-entropy of logits (0, ln 3) is ln 4/3 against label 1 and ln 4 against label 0;
hidden pixels have logits (0, 0), whose cross-entropy is ln 2.

Elsewhere: masks, ensembles of scales, the loss, moving averages and boxes (tests/methods/blocks); what it shares with other
methods (test_maskmatch_parts.py).
"""

from collections.abc import Callable
from math import log

import pytest
import torch
from torch import Tensor

from semibench.methods.blocks.masking import patch_masks
from semibench.methods.maskmatch import MaskMatch
from semibench.methods.method import Batch, Crop, Labeled, Progress, StepOutput, Task, Views

START = Progress(0, 10)
SURE = log(9)  # confidence 0.9
NOWHERE, EVERYWHERE, LEFT = ([[False, False]] * 2, [[True, True]] * 2, [[True, False]] * 2)

Picture = Callable[..., Tensor]
Build = Callable[..., MaskMatch]
Decide = Callable[..., None]


@pytest.fixture
def build(readable_task: Task) -> Build:
    def with_values(**values: object) -> MaskMatch:
        defaults = {"threshold": 0.8, "scales": (1.0,), "patch": 1}
        return MaskMatch(MaskMatch.Config.model_validate(defaults | values), readable_task).train()

    return with_values


@pytest.fixture
def set_boxes(monkeypatch: pytest.MonkeyPatch) -> Decide:
    """Decide where CutMix pastes: one box for each unlabelled image."""

    def decide(*boxes: list[list[bool]]) -> None:
        monkeypatch.setattr("semibench.methods.maskmatch.cutmix_boxes", lambda seeds, size: torch.tensor(boxes))

    return decide


@pytest.fixture
def set_visible(monkeypatch: pytest.MonkeyPatch) -> Decide:
    """Decide what the student may see: one mask for each unlabelled image."""

    def decide(*masks: list[list[bool]]) -> None:
        visible = torch.tensor(masks).unsqueeze(1)
        monkeypatch.setattr("semibench.methods.maskmatch.patch_masks", lambda seeds, size, side, ratio: visible)

    return decide


def batch(labeled: Tensor, weak: Tensor, strong: Tensor, valid: Tensor | None = None) -> Batch:
    masks = torch.ones(len(labeled), *labeled.shape[-2:], dtype=torch.int64)
    if valid is None:
        valid = torch.ones(len(weak), *weak.shape[-2:], dtype=torch.bool)
    crop = Crop(weak, (strong,), valid, torch.arange(len(weak)))
    return Batch(Labeled(labeled, masks, torch.arange(len(labeled))), (crop,))


def losses(output: StepOutput) -> dict[str, float]:
    return {name: loss.item() for name, loss in output.losses.items()}


# The losses.


def test_the_total_is_half_of_the_labelled_loss_and_half_each_of_the_strong_and_the_masked_view(
    build: Build, set_boxes: Decide, set_visible: Decide, picture: Picture
) -> None:
    set_boxes(NOWHERE)
    set_visible(LEFT)
    output = build()(batch(picture(0.0), picture(SURE), picture(log(3))), START)
    assert losses(output) == pytest.approx(
        {
            "supervised": log(2) / 2,
            "consistency": 0.5 * log(4) / 2,
            "masked": 0.5 * (2 * log(4) + 2 * log(2)) / 4 / 2,  # left as shown, right hidden; both counted
        }
    )


def test_pixels_below_the_threshold_add_nothing_but_are_counted_and_padding_is_not(
    build: Build, set_boxes: Decide, set_visible: Decide, picture: Picture
) -> None:
    set_boxes(NOWHERE)
    set_visible(NOWHERE)
    valid = torch.tensor([[[True, True], [True, False]]])
    output = build()(batch(picture(0.0), picture([[SURE, 0.0], [0.0, SURE]]), picture(0.0), valid), START)
    assert losses(output)["consistency"] == pytest.approx(0.5 * log(2) / 3 / 2)
    assert losses(output)["masked"] == pytest.approx(0.5 * log(2) / 3 / 2)
    assert output.scalars["coverage"].item() == pytest.approx(1 / 3)


def test_the_target_of_the_masked_view_is_not_mixed(
    build: Build, set_boxes: Decide, set_visible: Decide, picture: Picture
) -> None:
    set_boxes(EVERYWHERE, EVERYWHERE)
    set_visible(EVERYWHERE, EVERYWHERE)
    strong = picture(log(3), log(3))
    output = build()(batch(picture(0.0), picture(SURE, -SURE), strong), START)
    assert losses(output)["masked"] == pytest.approx(0.5 * (log(4) + log(4 / 3)) / 2 / 2)  # labels 0 and 1


def test_a_perfect_student_has_no_loss(build: Build, set_boxes: Decide, picture: Picture) -> None:
    set_boxes(NOWHERE)
    output = build(hidden=0)(batch(picture(0.0), picture([[SURE, -SURE]] * 2), picture([[-50.0, 50.0]] * 2)), START)
    assert losses(output)["consistency"] < 1e-6
    assert losses(output)["masked"] < 1e-6


def test_where_no_pixel_is_confident_the_unlabelled_losses_and_their_gradients_are_zero(build: Build, picture: Picture) -> None:
    method = build(threshold=0.95)
    output = method(batch(picture(0.0), picture(SURE), picture(1.0)), START)
    (output.losses["consistency"] + output.losses["masked"]).backward()
    assert losses(output)["consistency"] == losses(output)["masked"] == 0
    assert method.network.weight.grad == 0


# What is hidden from whom.


def test_the_student_sees_zeros_where_pixels_are_hidden_and_the_strong_view_elsewhere(
    build: Build, set_boxes: Decide, set_visible: Decide, picture: Picture
) -> None:
    set_boxes(NOWHERE)
    set_visible(LEFT)
    method = build()
    method(batch(picture(0.0), picture(SURE), picture(-0.3)), START)
    _, masked = method.network.calls
    assert torch.equal(masked.image, picture([[-0.3, 0.0]] * 2))
    assert masked.is_training
    assert masked.has_gradient


def test_what_is_under_hidden_patches_changes_nothing(build: Build, set_boxes: Decide, picture: Picture) -> None:
    set_boxes(NOWHERE)
    method = build(hidden=0.5)
    visible = patch_masks(torch.arange(1), (2, 2), 1, 0.5)
    values = []
    for under in (3.0, -70.0):
        strong = torch.where(visible, picture(0.4), picture(under))
        values.append(losses(method(batch(picture(0.0), picture(SURE), strong), START))["masked"])
    assert values[0] == values[1]


def test_the_teacher_sees_the_whole_weak_view_in_evaluation_mode_without_a_graph(build: Build, picture: Picture) -> None:
    method = build()
    step = batch(picture(5.0), picture(1.0), picture(2.0))
    method(step, START)
    (taught,) = method.teacher.network.calls
    assert taught.image is step.unlabeled[0].weak
    assert (taught.is_training, taught.has_gradient) == (False, False)
    assert len(method.network.calls) == 2


def test_the_teacher_is_shown_every_scale_once(build: Build) -> None:
    method = build(scales=(0.5, 1.0, 2.0))
    weak = torch.randn(2, 3, 33, 33)
    method(batch(weak, weak, weak), START)
    assert [tuple(call.image.shape[-2:]) for call in method.teacher.network.calls] == [(17, 17), (33, 33), (65, 65)]


def test_with_nothing_hidden_the_masked_view_is_a_second_strong_view(build: Build, set_boxes: Decide, picture: Picture) -> None:
    set_boxes(NOWHERE, NOWHERE)
    method = build(hidden=0)
    strong = picture([[1.0, -2.0], [0.5, 0.0]], 0.7)
    values = losses(method(batch(picture(0.0), picture(SURE, -SURE), strong), START))
    assert torch.equal(method.network.calls[-1].image, strong)
    assert values["masked"] == pytest.approx(values["consistency"])


def test_running_statistics_do_not_depend_on_masked_images(
    build: Build, set_boxes: Decide, set_visible: Decide, picture: Picture
) -> None:
    set_boxes(NOWHERE)
    set_visible(EVERYWHERE)
    method = build(masked_view="weak")
    method(batch(picture(2.0), picture(1000.0), picture(4.0)), START)
    assert method.network.encoder.running_mean[1].item() == pytest.approx(0.3)  # momentum 0.1 of the mean of 2 and 4
    assert method.network.encoder.num_batches_tracked == 1


# CutMix with the next image.


def test_a_full_box_exchanges_two_images_with_their_labels_and_an_empty_one_changes_nothing(
    build: Build, set_boxes: Decide, picture: Picture
) -> None:
    method = build(masked_weight=0)
    step = batch(picture(0.0), picture(SURE, -SURE), picture(log(3), -log(3)))  # labels 0 and 1 on logits of 1 and 0
    values = []
    for box in (NOWHERE, EVERYWHERE):
        set_boxes(box, box)
        values.append(losses(method(step, START))["consistency"])
    plain, exchanged = (call.image[1:] for call in method.network.calls)
    assert torch.equal(plain, picture(log(3), -log(3)))
    assert torch.equal(exchanged, picture(-log(3), log(3)))
    assert values == pytest.approx([0.5 * log(4) / 2] * 2)


def test_image_label_confidence_and_validity_are_mixed_with_one_box(build: Build, set_boxes: Decide, picture: Picture) -> None:
    set_boxes(LEFT, NOWHERE)
    valid = torch.tensor([[[False, True]] * 2, [[True, True], [False, True]]])
    weak = picture([[SURE, SURE]] * 2, [[-SURE, 0.0], [SURE, 0.0]])
    output = build(masked_weight=0)(batch(picture(0.0), weak, picture(log(3), log(3)), valid), START)
    # First image, left from the second: label 1 (ln 4/3) and padding; right its own label 0 twice (ln 4).
    # Second image: label 1 (ln 4/3), padding, and two unsure pixels.
    assert losses(output)["consistency"] == pytest.approx(0.5 * (2 * log(4 / 3) + 2 * log(4)) / 6 / 2)


def test_a_single_image_is_its_own_partner(build: Build, set_boxes: Decide, picture: Picture) -> None:
    set_boxes(LEFT)
    method = build()
    method(batch(picture(0.0), picture(SURE), picture(3.0)), START)
    assert torch.equal(method.network.calls[0].image, picture(0.0, 3.0))


# Options.


@pytest.mark.parametrize(("view", "shown"), [("weak", SURE), ("strong", 3.0), ("strong_cutmix", 4.0)])
def test_the_view_that_is_masked_can_be_chosen(
    build: Build, set_boxes: Decide, set_visible: Decide, picture: Picture, view: str, shown: float
) -> None:
    set_boxes(EVERYWHERE, EVERYWHERE)
    set_visible(EVERYWHERE, EVERYWHERE)
    method = build(masked_view=view)
    output = method(batch(picture(0.0), picture(SURE, -SURE), picture(3.0, 4.0)), START)
    assert method.network.calls[-1].image[0, 1, 0, 0].item() == pytest.approx(shown)
    if view == "strong_cutmix":  # image and target are mixed alike
        assert losses(output)["masked"] == pytest.approx(losses(output)["consistency"])


def test_the_sums_over_masked_and_visible_regions_are_that_over_all_pixels(
    build: Build, set_boxes: Decide, set_visible: Decide, picture: Picture
) -> None:
    set_boxes(NOWHERE)
    set_visible([[True, False], [False, True]])
    valid = torch.tensor([[[True, True], [False, True]]])
    step = batch(picture(0.0), picture([[SURE, SURE], [SURE, 0.0]]), picture(0.8), valid)
    sums = {}
    for region, count in {"all": 3, "masked": 1, "visible": 2}.items():
        sums[region] = count * losses(build(masked_region=region)(step, START))["masked"]
    assert sums["masked"] + sums["visible"] == pytest.approx(sums["all"])
    assert min(sums.values()) > 0


def test_without_a_masked_loss_there_is_no_masked_pass(build: Build, picture: Picture) -> None:
    method = build(masked_weight=0)
    output = method(batch(picture(0.0), picture(SURE), picture(1.0)), START)
    assert output.losses.keys() == {"supervised", "consistency"}
    assert len(method.network.calls) == 1


def test_it_asks_for_one_strong_view_and_no_partners(build: Build) -> None:
    assert build().views == Views(crops=1, strong=1)


# The teacher.


def test_the_teacher_gets_no_gradient_and_only_the_student_is_trained(build: Build, picture: Picture) -> None:
    method = build()
    sum(method(batch(picture(0.0), picture(SURE), picture(1.0)), START).losses.values()).backward()
    assert all(parameter.grad is None for parameter in method.teacher.parameters())
    trained = [parameter for group in method.parameter_groups() for parameter in group.parameters]
    assert {id(parameter) for parameter in trained} == {id(parameter) for parameter in method.network.parameters()}


def test_the_teacher_follows_after_the_step_and_its_first_step_is_the_student(build: Build) -> None:
    method = build()
    weights = []
    for step, weight in enumerate((3.0, 5.0, 8.0)):
        torch.nn.init.constant_(method.network.weight, weight)
        weights.append(method.teacher.network.weight.item())
        method.after_step(Progress(step, 10))
    assert weights == [1.0, 3.0, 4.0]  # unchanged by the step itself; then decays of 0 and 1/2
    assert method.teacher.network.weight.item() == pytest.approx(2 / 3 * 4 + 8 / 3)


def test_a_decay_of_zero_lets_the_student_teach_itself(build: Build) -> None:
    method = build(ema_decay=0)
    torch.nn.init.constant_(method.network.weight, 7.0)
    method.after_step(Progress(500, 1000))
    assert method.teacher.network.weight == 7


def test_the_teacher_is_the_headline_and_the_student_stands_beside_it(build: Build) -> None:
    method = build()
    assert list(method.predictors().items()) == [("teacher", method.teacher), ("student", method.network)]
