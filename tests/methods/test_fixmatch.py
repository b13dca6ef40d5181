"""FixMatch: both losses by hand on images of 2 x 2 pixels, and who teaches whom in which mode.

Logits (0, ln 9) are probabilities (0.1, 0.9): label 1 at a confidence of 0.9. The network turns its signs in evaluation
mode, so that there the same image is label 0 at 0.9. The cross-entropy of logits (0, ln 3) is ln 4/3 against label 1 and
ln 4 against label 0.
"""

from collections.abc import Callable
from math import log

import pytest
import torch
from torch import Tensor

from semibench.methods.fixmatch import FixMatch
from semibench.methods.method import Batch, Crop, Labeled, Progress, StepOutput, Task, Views

START = Progress(0, 10)
SURE, UNSURE = log(9), log(1.5)  # confidence 0.9 and 0.6
NOWHERE, EVERYWHERE, LEFT = ([[False, False]] * 2, [[True, True]] * 2, [[True, False]] * 2)

Picture = Callable[..., Tensor]


@pytest.fixture
def build(readable_task: Task) -> Callable[..., FixMatch]:
    def with_values(**values: object) -> FixMatch:
        return FixMatch(FixMatch.Config.model_validate({"threshold": 0.8} | values), readable_task).train()

    return with_values


@pytest.fixture
def set_boxes(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Decide where CutMix pastes: one box for each unlabelled image."""

    def decide(*boxes: list[list[bool]]) -> None:
        monkeypatch.setattr("semibench.methods.fixmatch.cutmix_boxes", lambda seeds, size: torch.tensor(boxes))

    return decide


def crop(weak: Tensor, strong: Tensor, valid: Tensor | None = None) -> Crop:
    if valid is None:
        valid = torch.ones(len(weak), 2, 2, dtype=torch.bool)
    return Crop(weak, (strong,), valid, torch.arange(len(weak)))


def batch(labeled: Tensor, own: Crop, partner: Crop) -> Batch:
    masks = torch.ones(len(labeled), 2, 2, dtype=torch.int64)
    return Batch(Labeled(labeled, masks, torch.arange(len(labeled))), (own,), (partner,))


def consistency(output: StepOutput) -> float:
    return output.losses["consistency"].item()


def test_the_total_is_half_of_the_sum_of_both_losses(
    build: Callable[..., FixMatch], set_boxes: Callable[..., None], picture: Picture
) -> None:
    set_boxes(NOWHERE)
    output = build()(batch(picture(0.0), crop(picture(SURE), picture(log(3))), crop(picture(SURE), picture(0.0))), START)
    assert sum(output.losses.values()).item() == pytest.approx((log(2) + log(4 / 3)) / 2)
    assert output.losses["supervised"].item() == pytest.approx(log(2) / 2)


def test_where_nothing_is_pasted_the_own_label_in_training_mode_counts(
    build: Callable[..., FixMatch], set_boxes: Callable[..., None], picture: Picture
) -> None:
    set_boxes(NOWHERE)
    output = build()(batch(picture(0.0), crop(picture(SURE), picture(log(3))), crop(picture(SURE), picture(9.0))), START)
    assert consistency(output) == pytest.approx(log(4 / 3) / 2)


def test_where_the_partner_is_pasted_its_label_in_evaluation_mode_counts(
    build: Callable[..., FixMatch], set_boxes: Callable[..., None], picture: Picture
) -> None:
    set_boxes(EVERYWHERE)
    output = build()(batch(picture(0.0), crop(picture(SURE), picture(9.0)), crop(picture(SURE), picture(log(3)))), START)
    assert consistency(output) == pytest.approx(log(4) / 2)  # label 0 on logits (0, ln 3)


def test_image_label_confidence_and_validity_are_mixed_with_one_box(
    build: Callable[..., FixMatch], set_boxes: Callable[..., None], picture: Picture
) -> None:
    set_boxes(LEFT)
    own = crop(picture(SURE), picture([[9.0, log(3)], [9.0, log(3)]]), torch.tensor([[[False, True], [False, False]]]))
    partner = crop(picture([[SURE, 0.0], [UNSURE, 0.0]]), picture([[log(3), 9.0]] * 2), torch.tensor([[[True, False]] * 2]))
    output = build()(batch(picture(0.0), own, partner), START)
    # Left: partner, sure above (label 0, ln 4) and unsure below (0). Right: own, valid above (label 1, ln 4/3), padding below.
    assert consistency(output) == pytest.approx((log(4) + 0 + log(4 / 3)) / 3 / 2)
    assert output.scalars["coverage"].item() == pytest.approx(2 / 3)


def test_padding_is_not_counted(build: Callable[..., FixMatch], set_boxes: Callable[..., None], picture: Picture) -> None:
    set_boxes(NOWHERE)
    valid = torch.tensor([[[True, True], [True, False]]])
    own = crop(picture(SURE), picture([[0.0, 0.0], [0.0, -50.0]]), valid)
    output = build()(batch(picture(0.0), own, crop(picture(0.0), picture(0.0))), START)
    assert consistency(output) == pytest.approx(log(2) / 2)


def test_pixels_below_the_threshold_add_nothing_but_are_counted(
    build: Callable[..., FixMatch], set_boxes: Callable[..., None], picture: Picture
) -> None:
    set_boxes(NOWHERE)
    own = crop(picture([[SURE, UNSURE], [UNSURE, UNSURE]]), picture(0.0))
    output = build()(batch(picture(0.0), own, crop(picture(0.0), picture(0.0))), START)
    assert consistency(output) == pytest.approx(log(2) / 4 / 2)
    assert output.scalars["coverage"].item() == 0.25


def test_a_threshold_of_zero_is_plain_cross_entropy_over_valid_pixels(
    build: Callable[..., FixMatch], set_boxes: Callable[..., None], picture: Picture
) -> None:
    set_boxes(NOWHERE)
    own = crop(picture([[SURE, UNSURE], [-UNSURE, -SURE]]), picture(log(3)))
    output = build(threshold=0)(batch(picture(0.0), own, crop(picture(0.0), picture(0.0))), START)
    assert consistency(output) == pytest.approx((2 * log(4 / 3) + 2 * log(4)) / 4 / 2)


def test_there_may_be_more_unlabelled_images_than_labelled_ones(
    build: Callable[..., FixMatch], set_boxes: Callable[..., None], picture: Picture
) -> None:
    set_boxes(NOWHERE, NOWHERE, NOWHERE)
    own = crop(picture(SURE, -SURE, UNSURE), picture(log(3), log(3), 0.0))
    output = build()(batch(picture(log(3)), own, crop(picture(0, 0, 0), picture(0, 0, 0))), START)
    assert output.losses["supervised"].item() == pytest.approx(log(4 / 3) / 2)
    assert consistency(output) == pytest.approx((log(4 / 3) + log(4) + 0) / 3 / 2)


def test_the_teacher_predicts_in_evaluation_mode_without_a_graph_and_the_student_in_training_mode(
    build: Callable[..., FixMatch], set_boxes: Callable[..., None], picture: Picture
) -> None:
    set_boxes(LEFT)
    method = build()
    own, partner = crop(picture(1.0), picture(2.0)), crop(picture(3.0), picture(4.0))
    method(batch(picture(5.0), own, partner), START)
    taught, joint, strong = method.network.calls
    assert (taught.is_training, taught.has_gradient) == (False, False)
    assert all(call.is_training and call.has_gradient for call in (joint, strong))
    assert torch.equal(taught.image, partner.weak)
    assert torch.equal(joint.image, picture(5.0, 1.0))
    assert torch.equal(strong.image, picture([[4.0, 2.0], [4.0, 2.0]]))
    assert method.network.training


def test_batch_statistics_come_from_training_passes_alone(
    build: Callable[..., FixMatch], set_boxes: Callable[..., None], picture: Picture
) -> None:
    set_boxes(NOWHERE)
    method = build()
    method(batch(picture(2.0), crop(picture(4.0), picture(5.0)), crop(picture(1000.0), picture(1000.0))), START)
    # Momentum 0.1: 0 -> 0.1 * mean(2, 4) = 0.3 -> 0.9 * 0.3 + 0.1 * 5
    assert method.network.encoder.running_mean[1].item() == pytest.approx(0.77)
    assert method.network.encoder.num_batches_tracked == 2


def test_labelled_images_without_any_label_leave_the_consistency_loss(
    build: Callable[..., FixMatch], set_boxes: Callable[..., None], picture: Picture
) -> None:
    set_boxes(NOWHERE)
    step = batch(picture(3.0), crop(picture(SURE), picture(0.0)), crop(picture(0.0), picture(0.0)))
    void = step._replace(labeled=step.labeled._replace(mask=torch.full((1, 2, 2), 255)))
    output = build()(void, START)
    assert output.losses["supervised"].item() == 0
    assert consistency(output) == pytest.approx(log(2) / 2)


@pytest.mark.parametrize("partner", ["same", "other"])
def test_it_asks_for_one_strong_view_and_for_the_partners_of_its_configuration(
    build: Callable[..., FixMatch], partner: str
) -> None:
    assert build(partner=partner).views == Views(crops=1, strong=1, partner=partner)


def test_where_to_paste_depends_on_the_seeds_of_the_images_alone(build: Callable[..., FixMatch]) -> None:
    method = build()
    blank, ones, valid = torch.zeros(16, 3, 16, 16), torch.ones(16, 3, 16, 16), torch.ones(16, 16, 16, dtype=torch.bool)
    step = Batch(Labeled(blank, valid.long(), torch.arange(16)), (crop(blank, blank, valid),), (crop(ones, ones, valid),))
    for state in (0, 1):
        torch.manual_seed(state)
        method(step, START)
    _, _, first, _, _, second = method.network.calls
    assert torch.equal(first.image, second.image)
    assert 0 < first.image.mean() < 1
