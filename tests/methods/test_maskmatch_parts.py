"""MaskMatch beside other methods: it is FixMatch where its parts are off, and its parts fit FixMatch and UniMatch."""

from typing import Any

import pytest
import torch

from semibench.methods.blocks.losses import confident_cross_entropy
from semibench.methods.blocks.masking import masked_consistency, patch_masks
from semibench.methods.blocks.pseudo_labels import teach
from semibench.methods.fixmatch import FixMatch
from semibench.methods.maskmatch import MaskMatch
from semibench.methods.method import Batch, Crop, Labeled, Method, Progress, StepOutput, Task
from semibench.methods.networks._norm import set_norm
from semibench.methods.networks.deeplabv3plus import DeepLabV3Plus
from semibench.methods.unimatch import UniMatch

START = Progress(0, 10)


def losses(output: StepOutput) -> dict[str, float]:
    return {name: loss.item() for name, loss in output.losses.items()}


def deeplab_task(norm: Any = "frozen") -> Task:
    """A task whose networks say the same in both modes, unless normalization layers are not frozen."""
    config = DeepLabV3Plus.Config(encoder="tiny", output_stride=8, rates=(1,), channels=16, low_channels=8)

    def build_network() -> DeepLabV3Plus:
        network = DeepLabV3Plus(config, 4)
        torch.nn.init.normal_(network.classifier.weight)  # surer of itself than a fresh network
        return set_norm(network, norm)

    return Task("tiny", tuple("abcd"), 255, (64, 64), build_network)


def draw_crop(generator: torch.Generator, strong: int = 1) -> Crop:
    weak, *views = (torch.randn(3, 3, 64, 64, generator=generator) for _ in range(1 + strong))
    return Crop(weak, tuple(views), torch.rand(3, 64, 64, generator=generator) < 0.9, torch.arange(3))


def test_without_masked_loss_and_with_one_scale_it_is_fixmatch_with_the_next_image_as_partner() -> None:
    generator = torch.Generator().manual_seed(0)
    crop = draw_crop(generator)
    partner = Crop(*(value.roll(1, dims=0) for value in (crop.weak, crop.strong[0], crop.valid, crop.seeds)))
    partner = partner._replace(strong=(partner.strong,))
    image = torch.randn(2, 3, 64, 64, generator=generator)
    labeled = Labeled(image, torch.randint(0, 4, (2, 64, 64), generator=generator), torch.arange(2))
    task = deeplab_task()
    torch.manual_seed(0)
    threshold = teach(task.build_network(), crop.weak, crop.valid).confidence.median().item()
    torch.manual_seed(0)
    fixmatch = FixMatch(FixMatch.Config(threshold=threshold), task).train()
    torch.manual_seed(0)
    config = MaskMatch.Config(threshold=threshold, strong_weight=1, masked_weight=0, scales=(1.0,))
    maskmatch = MaskMatch(config, task).train()
    expected = losses(fixmatch(Batch(labeled, (crop,), (partner,)), START))
    output = maskmatch(Batch(labeled, (crop,)), START)
    assert losses(output) == pytest.approx(expected, abs=1e-6)
    assert 0.3 < output.scalars["coverage"] < 0.7


def with_masking(base: type[Method]) -> type[Method]:
    """Give a method both parts of MaskMatch: an ensemble of scales labels the image, of which the student sees little."""

    class Masked(base):
        def forward(self, batch: Batch, progress: Progress) -> StepOutput:
            output = super().forward(batch, progress)
            (crop,) = batch.unlabeled
            visible = patch_masks(crop.seeds, (64, 64), 16, 0.7)
            target = teach(self.network, crop.weak, crop.valid, scales=(0.75, 1.0, 1.25))
            masked = masked_consistency(self.network, crop.strong[0], visible, target, threshold=0.3)
            return StepOutput({**output.losses, "masked": 0.25 * masked}, output.scalars)

    return Masked


@pytest.mark.parametrize("base", [FixMatch, UniMatch])
def test_both_parts_fit_another_method_and_leave_its_own_losses_and_statistics_alone(base: type[Method]) -> None:
    generator = torch.Generator().manual_seed(0)
    own, partner = draw_crop(generator, strong=2), draw_crop(generator, strong=2)
    image = torch.randn(2, 3, 64, 64, generator=generator)
    step = Batch(Labeled(image, torch.zeros(2, 64, 64).long(), torch.arange(2)), (own,), (partner,))
    outputs, states = [], []
    for kind in (base, with_masking(base)):
        torch.manual_seed(0)
        method = kind(base.Config(threshold=0.3), deeplab_task("bn")).train()
        outputs.append(method(step, START))
        states.append(method.state_dict())
    alone, masked = map(losses, outputs)
    assert {name: masked[name] for name in alone} == alone
    assert masked["masked"] > 0
    assert all(torch.equal(value, states[0][name]) for name, value in states[1].items())
    outputs[1].losses["masked"].backward()


def test_the_masked_consistency_is_the_confident_loss_of_what_the_student_says_of_a_masked_image() -> None:
    torch.manual_seed(0)
    network = torch.nn.Conv2d(3, 4, 3, padding=1)
    image, visible = torch.randn(2, 3, 8, 8), patch_masks(torch.arange(2), (8, 8), 2, 0.5)
    target = teach(network, image, torch.rand(2, 8, 8) < 0.8)
    expected = confident_cross_entropy(network(image * visible), target.label, target.confidence, target.valid, 0.4)
    assert torch.equal(masked_consistency(network, image, visible, target, 0.4), expected)
