"""UniMatch: four losses by hand on images of 2 x 2 pixels, and who teaches whom in which mode.

Logits (0, ln 9) are probabilities (0.1, 0.9): label 1 at a confidence of 0.9. The network turns its signs in evaluation
mode, so that there the same image is label 0 at 0.9. The cross-entropy of logits (0, ln 3) is ln 4/3 against label 1 and
ln 4 against label 0. Dropping channels is replaced by setting the features to a given picture.

Elsewhere: geometry and colors of views (tests/harness/test_transforms.py and test_loading.py), where padding of unlabelled
images is ``Crop.valid`` instead of a mask value of 254; boxes and mining (tests/methods/blocks); the network
(tests/methods/networks/test_deeplabv3plus.py); published recipes (test_unimatch_published.py).
"""

from collections.abc import Callable, Sequence
from math import log

import pytest
import torch
from torch import Tensor

from semibench.methods.fixmatch import FixMatch
from semibench.methods.method import Batch, Crop, Labeled, Method, Progress, StepOutput, Task, Views
from semibench.methods.networks.deeplabv3plus import DeepLabV3Plus
from semibench.methods.unimatch import UniMatch

START = Progress(0, 10)
SURE, UNSURE = log(9), log(1.5)  # confidence 0.9 and 0.6
NOWHERE, EVERYWHERE, LEFT = ([[False, False]] * 2, [[True, True]] * 2, [[True, False]] * 2)

Picture = Callable[..., Tensor]
Build = Callable[..., UniMatch]
SetBoxes = Callable[..., None]
SetDropped = Callable[[Tensor], None]


@pytest.fixture
def build(readable_task: Task) -> Build:
    def with_values(**values: object) -> UniMatch:
        return UniMatch(UniMatch.Config.model_validate({"threshold": 0.8} | values), readable_task).train()

    return with_values


@pytest.fixture
def set_boxes(monkeypatch: pytest.MonkeyPatch) -> SetBoxes:
    """Decide where CutMix pastes into the single unlabelled image: one box for each strong view."""

    def decide(*boxes: list[list[bool]]) -> None:
        monkeypatch.setattr("semibench.methods.unimatch.cutmix_boxes", lambda seeds, size, view: torch.tensor([boxes[view]]))

    return decide


@pytest.fixture
def set_dropped(monkeypatch: pytest.MonkeyPatch) -> SetDropped:
    """Decide what is left of the features after channels were dropped."""

    def decide(picture: Tensor) -> None:
        monkeypatch.setattr(
            "semibench.methods.blocks.perturb.drop_channels", lambda maps, seeds, rate, level: maps * 0 + picture
        )

    return decide


def crop(weak: Tensor, strong: Sequence[Tensor], valid: Tensor | None = None) -> Crop:
    if valid is None:
        valid = torch.ones(len(weak), 2, 2, dtype=torch.bool)
    return Crop(weak, tuple(strong), valid, torch.arange(len(weak)))


def batch(labeled: Tensor, own: Crop, partner: Crop) -> Batch:
    masks = torch.ones(len(labeled), 2, 2, dtype=torch.int64)
    return Batch(Labeled(labeled, masks, torch.arange(len(labeled))), (own,), (partner,))


def losses(output: StepOutput) -> dict[str, float]:
    return {name: loss.item() for name, loss in output.losses.items()}


def test_the_total_is_half_of_the_labelled_loss_a_quarter_each_strong_view_and_half_the_perturbed_features(
    build: Build, set_boxes: SetBoxes, set_dropped: SetDropped, picture: Picture
) -> None:
    set_boxes(NOWHERE, NOWHERE)
    set_dropped(picture(-log(3)))
    own = crop(picture(SURE), [picture(log(3)), picture(0.0)])
    output = build()(batch(picture(0.0), own, crop(picture(SURE), [picture(0.0)] * 2)), START)
    assert losses(output) == pytest.approx(
        {
            "supervised": log(2) / 2,
            "strong_1": 0.25 * log(4 / 3) / 2,
            "strong_2": 0.25 * log(2) / 2,
            "feature": 0.5 * log(4) / 2,
        }
    )


def test_each_strong_view_is_mixed_with_its_own_view_of_the_partner_in_its_own_box(
    build: Build, set_boxes: SetBoxes, set_dropped: SetDropped, picture: Picture
) -> None:
    set_boxes(NOWHERE, EVERYWHERE)
    set_dropped(picture(0.0))
    method = build()
    partner = crop(picture(SURE), [picture(7.0), picture(log(3))])
    output = method(batch(picture(0.0), crop(picture(SURE), [picture(log(3)), picture(8.0)]), partner), START)
    assert torch.equal(method.network.calls[-1].image, picture(log(3), log(3)))
    assert losses(output)["strong_1"] == pytest.approx(0.25 * log(4 / 3) / 2)  # own label, in training mode: 1
    assert losses(output)["strong_2"] == pytest.approx(0.25 * log(4) / 2)  # the partner's, in evaluation mode: 0


def test_image_label_confidence_and_validity_are_mixed_with_one_box(
    build: Build, set_boxes: SetBoxes, set_dropped: SetDropped, picture: Picture
) -> None:
    set_boxes(LEFT, NOWHERE)
    set_dropped(picture(0.0))
    strong = picture([[9.0, log(3)], [9.0, log(3)]])
    own = crop(picture(SURE), [strong, picture(0.0)], torch.tensor([[[False, True], [False, False]]]))
    mixed_in = picture([[log(3), 9.0]] * 2)
    partner = crop(picture([[SURE, 0.0], [UNSURE, 0.0]]), [mixed_in, mixed_in], torch.tensor([[[True, False]] * 2]))
    output = build()(batch(picture(0.0), own, partner), START)
    # Left: partner, sure above (label 0, ln 4) and unsure below (0). Right: own, valid above (label 1, ln 4/3), padding below.
    assert losses(output)["strong_1"] == pytest.approx(0.25 * (log(4) + 0 + log(4 / 3)) / 3 / 2)


def test_where_both_boxes_are_empty_all_streams_share_the_own_label(
    build: Build, set_boxes: SetBoxes, set_dropped: SetDropped, picture: Picture
) -> None:
    set_boxes(NOWHERE, NOWHERE)
    same = picture([[1.0, -2.0], [0.5, 0.0]])
    set_dropped(same)
    own = crop(picture([[SURE, -SURE], [UNSURE, SURE]]), [same, same])
    values = losses(build()(batch(picture(0.0), own, crop(picture(-SURE), [picture(9.0)] * 2)), START))
    assert values["strong_1"] == values["strong_2"] == pytest.approx(values["feature"] / 2)


def test_the_target_of_perturbed_features_is_never_mixed(
    build: Build, set_boxes: SetBoxes, set_dropped: SetDropped, picture: Picture
) -> None:
    set_boxes(EVERYWHERE, EVERYWHERE)
    set_dropped(picture(log(3)))
    own = crop(picture(SURE), [picture(0.0)] * 2)
    nothing = torch.zeros(1, 2, 2, dtype=torch.bool)
    output = build()(batch(picture(0.0), own, crop(picture(UNSURE), [picture(0.0)] * 2, nothing)), START)
    assert losses(output)["feature"] == pytest.approx(0.5 * log(4 / 3) / 2)
    assert losses(output)["strong_1"] == 0
    assert output.scalars["coverage"] == 1


def test_the_denominator_counts_valid_pixels_and_not_confident_ones(
    build: Build, set_boxes: SetBoxes, set_dropped: SetDropped, picture: Picture
) -> None:
    set_boxes(NOWHERE, NOWHERE)
    set_dropped(picture(0.0))
    valid = torch.tensor([[[True, True], [True, False]]])
    own = crop(picture([[SURE, UNSURE], [UNSURE, SURE]]), [picture(0.0)] * 2, valid)
    output = build()(batch(picture(0.0), own, crop(picture(0.0), [picture(0.0)] * 2)), START)
    assert losses(output)["feature"] == pytest.approx(0.5 * log(2) / 3 / 2)
    assert losses(output)["strong_2"] == pytest.approx(0.25 * log(2) / 3 / 2)
    assert output.scalars["coverage"].item() == pytest.approx(1 / 3)


def test_a_threshold_of_zero_is_plain_cross_entropy_over_valid_pixels(
    build: Build, set_boxes: SetBoxes, set_dropped: SetDropped, picture: Picture
) -> None:
    set_boxes(NOWHERE, NOWHERE)
    set_dropped(picture(log(3)))
    own = crop(picture([[SURE, UNSURE], [-UNSURE, -SURE]]), [picture(log(3))] * 2)
    output = build(threshold=0)(batch(picture(0.0), own, crop(picture(0.0), [picture(0.0)] * 2)), START)
    plain = (2 * log(4 / 3) + 2 * log(4)) / 4
    assert losses(output)["strong_1"] == pytest.approx(0.25 * plain / 2)
    assert losses(output)["feature"] == pytest.approx(0.5 * plain / 2)
    assert output.scalars["coverage"] == 1


def test_images_that_are_all_padding_give_losses_of_zero(build: Build, picture: Picture) -> None:
    nothing = torch.zeros(1, 2, 2, dtype=torch.bool)
    padding = crop(picture(SURE), [picture(1.0)] * 2, nothing)
    values = losses(build()(batch(picture(0.0), padding, padding), START))
    assert values["strong_1"] == values["strong_2"] == values["feature"] == 0
    assert values["supervised"] > 0


def test_with_the_weights_one_zero_zero_it_is_fixmatch(readable_task: Task) -> None:
    torch.manual_seed(0)
    weak, strong, other, mixed_in, labeled = (3 * torch.randn(4, 3, 16, 16) for _ in range(5))
    valid = torch.rand(4, 16, 16) < 0.8
    own, partner = crop(weak, [strong, weak], valid), crop(other, [mixed_in, weak], valid.flip(0))
    step = Batch(Labeled(labeled, valid.long(), torch.arange(4)), (own,), (partner,))
    methods: list[Method] = [
        UniMatch(UniMatch.Config(threshold=0.7, strong_weight=1, feature_weight=0), readable_task).train(),
        FixMatch(FixMatch.Config(threshold=0.7), readable_task).train(),
    ]
    uni, fix = (losses(method(step, START)) for method in methods)
    assert uni["supervised"] == fix["supervised"]
    assert uni["strong_1"] == pytest.approx(fix["consistency"], rel=1e-6)
    assert fix["consistency"] > 0
    assert uni["feature"] == 0


def test_the_partner_is_taught_in_evaluation_mode_and_labelled_and_weak_images_share_one_pass(
    build: Build, set_boxes: SetBoxes, picture: Picture
) -> None:
    set_boxes(LEFT, NOWHERE)
    method = build()
    own, partner = crop(picture(1.0), [picture(2.0), picture(3.0)]), crop(picture(4.0), [picture(5.0), picture(6.0)])
    method(batch(picture(7.0), own, partner), START)
    taught, joint, strong = method.network.calls
    assert (taught.is_training, taught.has_gradient) == (False, False)
    assert all(call.is_training and call.has_gradient for call in (joint, strong))
    assert torch.equal(taught.image, partner.weak)
    assert torch.equal(joint.image, picture(7.0, 1.0))
    assert torch.equal(strong.image, picture([[5.0, 2.0]] * 2, 3.0))
    assert method.network.training


def test_every_image_that_is_decoded_has_a_loss_or_gives_a_label(
    build: Build, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    method, decoded = build(), []
    decode = method.network.decode
    monkeypatch.setattr(method.network, "decode", lambda maps, size: decoded.append(len(maps[0])) or decode(maps, size))
    blank = picture(0.0, 0.0, 0.0)
    own = crop(blank, [blank, blank])
    method(batch(picture(1.0, 1.0), own, own), START)
    assert decoded == [3, 2 + 3 + 3, 3 + 3]  # partners; labelled, weak and perturbed; both strong views


def test_batch_statistics_come_from_training_passes_alone(build: Build, set_boxes: SetBoxes, picture: Picture) -> None:
    set_boxes(NOWHERE, NOWHERE)
    method = build()
    method(
        batch(picture(2.0), crop(picture(4.0), [picture(5.0), picture(7.0)]), crop(picture(1000.0), [picture(9.0)] * 2)), START
    )
    # Momentum 0.1: 0 -> 0.1 * mean(2, 4) = 0.3 -> 0.9 * 0.3 + 0.1 * mean(5, 7)
    assert method.network.encoder.running_mean[1].item() == pytest.approx(0.87)
    assert method.network.encoder.num_batches_tracked == 2


def test_labels_of_perturbed_features_teach_and_are_not_taught(
    build: Build, set_boxes: SetBoxes, set_dropped: SetDropped, picture: Picture
) -> None:
    set_boxes(NOWHERE, NOWHERE)
    set_dropped(picture(0.0))
    own = crop(picture(SURE).requires_grad_(), [picture(0.0)] * 2)
    output = build()(batch(picture(0.0), own, crop(picture(0.0), [picture(0.0)] * 2)), START)
    (gradient,) = torch.autograd.grad(sum(output.losses.values()), own.weak)
    assert gradient.abs().sum() == 0


@pytest.mark.parametrize("partner", ["same", "other"])
def test_it_asks_for_two_strong_views_and_for_the_partners_of_its_configuration(build: Build, partner: str) -> None:
    assert build(partner=partner).views == Views(crops=1, strong=2, partner=partner)


def test_what_is_drawn_depends_on_the_seeds_of_the_images_alone(build: Build) -> None:
    method = build()
    blank, ones = torch.zeros(16, 3, 16, 16), torch.ones(16, 3, 16, 16)
    valid = torch.ones(16, 16, 16, dtype=torch.bool)
    own, partner = crop(SURE * ones, [blank] * 2, valid), crop(ones, [ones] * 2, valid)
    step = Batch(Labeled(blank, valid.long(), torch.arange(16)), (own,), (partner,))
    outputs = []
    for state in (0, 1):
        torch.manual_seed(state)
        outputs.append(losses(method(step, START)))
    assert outputs[0] == outputs[1]
    first, second = method.network.calls[2].image.chunk(2)
    assert first.sum() > 0
    assert not torch.equal(first, second)  # each view has its own boxes


@pytest.mark.parametrize(
    ("n_classes", "low", "high"), [(21, 2.9, 3.3), (19, 2.8, 3.2), (81, 4.25, 4.75)], ids=["VOC", "Cityscapes", "COCO"]
)
def test_at_the_first_step_the_labelled_loss_is_about_half_of_ln_k_and_nothing_is_confident(
    n_classes: int, low: float, high: float
) -> None:
    torch.manual_seed(0)
    config = DeepLabV3Plus.Config(encoder="tiny", output_stride=8, rates=(1,), channels=16, low_channels=8)
    task = Task("voc", tuple(map(str, range(n_classes))), 255, (64, 64), lambda: DeepLabV3Plus(config, n_classes))
    images = torch.randn(8, 3, 64, 64)
    mask = torch.randint(0, n_classes, (2, 64, 64))
    own = Crop(images[2:4], (images[4:6], images[6:8]), torch.ones(2, 64, 64, dtype=torch.bool), torch.arange(2))
    step = Batch(Labeled(images[:2], mask, torch.arange(2)), (own,), (own,))
    values = losses(UniMatch(UniMatch.Config(), task).train()(step, START))
    assert low < 2 * values["supervised"] < high  # 2.98 to 3.16, 2.94 to 3.10, 4.47 to 4.67 in the reference's logs
    assert values["strong_1"] == values["strong_2"] == values["feature"] == 0
    zero = UniMatch(UniMatch.Config(threshold=0), task).train()(step, START)
    assert zero.scalars["coverage"] == 1
    assert losses(zero)["strong_1"] > 0
