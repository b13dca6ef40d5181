"""SemiVL: seven losses by hand on images of 2 x 2 pixels, who is asked in which mode, and the authors' settings.

Logits of the student are (0, a), those of the frozen CLIP (0, g), where a and g are the second and the third channel of an
image; in evaluation mode the student turns its signs. ln 9 is a confidence of 0.9, on which both thresholds stand.

Checks of the specification that are not here
- Encoder, decoder and whole network, their figures and the property tests: tests/methods/networks/test_clip.py,
  test_language.py, test_vlg.py. Text: tests/methods/blocks/test_concepts.py. Guidance and weighting: blocks/test_guidance.py.
- Windows of evaluation: tests/harness/test_windows.py. Published scores need the data sets and days on a GPU.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import log

import pytest
import torch
from torch import Tensor, nn

from semibench.errors import UsageError
from semibench.harness.conformance.subject import CLASSES, VOID, draw
from semibench.harness.schedules import multiplier
from semibench.methods.method import Batch, Crop, Labeled, Progress, StepOutput, Task
from semibench.methods.networks._clip_network import ClipNetwork
from semibench.methods.networks._clips import Clip
from semibench.methods.networks.base import Features
from semibench.methods.networks.deeplabv3plus import DeepLabV3Plus
from semibench.methods.networks.vlg import Vlg
from semibench.methods.semivl import SemiVL
from semibench.protocols.protocol import load

START = Progress(0, 10)
SURE = log(9.1)  # a little more than 0.9
NOWHERE, EVERYWHERE, LEFT = ([[False, False]] * 2, [[True, True]] * 2, [[True, False]] * 2)
STREAMS = ("strong_1", "strong_2", "feature")

Build = Callable[..., SemiVL]
SetBoxes = Callable[..., None]
Pixels = float | list[list[float]]


class Readable(ClipNetwork):
    """Logits are 0 and the second channel of the image, times a weight of 1; in evaluation mode their signs are turned."""

    clip_name = "tiny"

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.encoder = nn.BatchNorm2d(3)
        self.encoder.renormalize = False
        self.weight = nn.Parameter(torch.ones(()))
        self.seen: list[tuple[Tensor, bool]] = []

    def start_from(self, clip: Clip, text: Tensor) -> None:
        self.text = text

    def encode(self, image: Tensor) -> Features:
        self.seen.append((image, self.training))
        return (image,)

    def decode(self, features: Features, size: tuple[int, int]) -> Tensor:
        logits = self.weight * torch.stack([torch.zeros_like(features[0][:, 1]), features[0][:, 1]], dim=1)
        return logits if self.training else -logits


class ReadableGuide(nn.Module):
    """Logits are 0 and the third channel of the image."""

    def forward(self, image: Tensor) -> Tensor:
        assert not torch.is_grad_enabled() or not image.requires_grad
        return torch.stack([torch.zeros_like(image[:, 2]), image[:, 2]], dim=1)


@pytest.fixture
def task() -> Task:
    return Task("tiny", ("background", "ring"), 255, (2, 2), Readable)


@pytest.fixture
def build(task: Task, set_boxes: SetBoxes) -> Build:
    def with_values(**values: object) -> SemiVL:
        method = SemiVL(SemiVL.Config.model_validate({"threshold": 0.9} | values), task).train()
        if method.guide is not None:
            method.guide = ReadableGuide()
        return method

    return with_values


@pytest.fixture
def set_boxes(monkeypatch: pytest.MonkeyPatch) -> SetBoxes:
    """Decide where CutMix pastes, nowhere at first, and drop no channels."""

    def decide(*boxes: list[list[bool]]) -> None:
        monkeypatch.setattr("semibench.methods.semivl.cutmix_boxes", lambda seeds, size, view: torch.tensor([boxes[view]]))

    decide(NOWHERE, NOWHERE)
    monkeypatch.setattr("semibench.methods.blocks.perturb.drop_channels", lambda maps, *_: maps)
    return decide


def picture(student: Pixels = 0.0, guide: Pixels = 0.0) -> Tensor:
    image = torch.zeros(1, 3, 2, 2)
    image[:, 1], image[:, 2] = torch.tensor(student), torch.tensor(guide)
    return image


def crop(weak: Tensor, strong: Sequence[Tensor] = (), valid: Tensor | None = None) -> Crop:
    valid = torch.ones(1, 2, 2, dtype=torch.bool) if valid is None else valid
    return Crop(weak, tuple(strong) or (picture(), picture()), valid, torch.arange(1))


def batch(own: Crop, partner: Crop | None = None, labeled: Tensor | None = None) -> Batch:
    masks = torch.ones(1, 2, 2, dtype=torch.int64)
    return Batch(
        Labeled(picture() if labeled is None else labeled, masks, torch.arange(1)), (own,), (partner or crop(picture()),)
    )


def losses(output: StepOutput) -> dict[str, float]:
    return {name: loss.item() for name, loss in output.losses.items()}


# Losses


def test_the_consistency_part_is_halved_and_the_guidance_part_is_not(build: Build) -> None:
    own = crop(picture(SURE, -SURE), [picture(log(3)), picture(0.0)])
    found = losses(build()(batch(own), START))
    assert found == pytest.approx(
        {
            "supervised": log(2) / 2,
            "strong_1": 0.25 * log(4 / 3) / 2,
            "strong_2": 0.25 * log(2) / 2,
            "feature": 0.5 * log(10.1 / 9.1) / 2,
            "guidance_strong_1": 0.1 * 0.25 * log(4),  # the frozen CLIP says class 0
            "guidance_strong_2": 0.1 * 0.25 * log(2),
            "guidance_feature": 0.1 * 0.5 * log(10.1),
        }
    )


@pytest.mark.parametrize("step, expected", [(0, 0.1), (5, 0.05), (9, 0.01)])
def test_the_weight_of_guidance_falls_along_a_line_to_0(build: Build, step: int, expected: float) -> None:
    found = losses(build()(batch(crop(picture(0.0, SURE))), Progress(step, 10)))
    assert found["guidance_strong_1"] == pytest.approx(expected * 0.25 * log(2))


def test_where_the_frozen_clip_is_not_sure_it_says_nothing_and_all_pixels_share_its_loss(build: Build) -> None:
    guide = [[SURE, log(8.9)], [-SURE, 0.0]]
    found = losses(build()(batch(crop(picture(log(3), guide))), START))
    assert found["guidance_feature"] == pytest.approx(0.1 * 0.5 * (log(4 / 3) + log(4)) / 4)


def test_padding_has_neither_a_pseudo_label_nor_guidance(build: Build) -> None:
    valid = torch.tensor([[[True, False], [False, False]]])
    found = losses(build()(batch(crop(picture(SURE, SURE), valid=valid)), START))
    assert found["strong_1"] == pytest.approx(0.25 * log(2) / 2)  # a mean over what is valid
    assert found["guidance_strong_1"] == pytest.approx(0.1 * 0.25 * log(2) / 4)  # and one over all


def test_images_and_labels_of_both_teachers_are_mixed_with_one_box(build: Build, set_boxes: SetBoxes) -> None:
    set_boxes(LEFT, NOWHERE)
    own = crop(picture(SURE, SURE), [picture(log(3)), picture()])
    partner = crop(picture(SURE, -SURE), [picture(log(7)), picture()])  # the student, in evaluation mode, says class 0
    method = build()
    found = losses(method(batch(own, partner), START))
    assert torch.equal(method.network.seen[-1][0][:1, 1], torch.tensor([[[log(7), log(3)]] * 2]))
    mixed = (log(8) + log(4 / 3)) / 2  # left: class 0 by both, where the student says 1; right: class 1
    assert found["strong_1"] == pytest.approx(0.25 * mixed / 2)
    assert found["guidance_strong_1"] == pytest.approx(0.1 * 0.25 * mixed)
    assert found["guidance_strong_2"] == pytest.approx(0.1 * 0.25 * log(2))


def test_without_a_threshold_images_weigh_by_their_mean_confidence(build: Build) -> None:
    own = crop(picture([[log(9), log(4)], [0.0, 0.0]]))
    found = losses(build(threshold=None)(batch(own), START))
    assert found["strong_1"] == pytest.approx(0.25 * log(2) * (0.9 + 0.8 + 0.5 + 0.5) / 4 / 2)


def test_the_student_labels_partners_in_evaluation_mode_and_all_else_in_training_mode(build: Build) -> None:
    method = build()
    method(batch(crop(picture())), START)
    assert [(len(image), is_training) for image, is_training in method.network.seen] == [(1, False), (2, True), (2, True)]


def test_no_gradient_passes_through_labels(build: Build) -> None:
    method = build()
    output = method(batch(crop(picture(SURE, SURE), [picture(log(3))] * 2)), START)
    (gradient,) = torch.autograd.grad(output.losses["strong_1"], method.network.weight)
    assert gradient.item() == pytest.approx(-0.25 * log(3) * 0.25 / 2)  # of the strong view alone


# The frozen CLIP


def test_no_weight_is_no_guidance_and_no_second_clip(build: Build) -> None:
    method = build(guidance_weight=0)
    assert method.guide is None
    assert set(losses(method(batch(crop(picture())), START))) == {"supervised", *STREAMS}


def test_the_frozen_clip_is_in_no_checkpoint_and_is_not_trained(task: Task) -> None:
    method = example(replace(task, class_names=CLASSES, ignore_index=VOID))
    before = {name: tensor.clone() for name, tensor in method.guide.network.state_dict().items()}
    torch.stack(list(method(draw(method.views), START).losses.values())).sum().backward()
    assert not any("guide" in name for name in method.state_dict())
    assert all(torch.equal(tensor, before[name]) for name, tensor in method.guide.network.state_dict().items())
    assert all(parameter.grad is None for parameter in method.guide.network.parameters())


def test_guidance_costs_no_gradient_memory(task: Task) -> None:
    kept = []
    for weight in (0.0, 0.1):
        method, tensors = example(replace(task, class_names=CLASSES, ignore_index=VOID), guidance_weight=weight), {}

        def pack(tensor: Tensor, tensors: dict[int, Tensor] = tensors) -> Tensor:
            tensors[tensor.untyped_storage().data_ptr()] = tensor
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            method(draw(method.views), START)
        kept.append(sum(tensor.untyped_storage().nbytes() for tensor in tensors.values()))
    assert kept[1] < 1.2 * kept[0]  # the labels and what three cross-entropies keep


def test_the_decoder_gets_a_row_a_class_and_guidance_as_many_as_there_are_concepts(task: Task) -> None:
    concepts = {"classes": ["background", ["ring", "circle", "loop"]]}
    method = example(task, concepts=concepts, guidance_concepts=concepts)
    assert method.network.text.shape == (2, 64)
    assert (method.guide.network.rows.shape, method.guide.network.counts) == ((4, 64), (1, 3))


def test_positions_of_the_frozen_clip_may_be_resized_for_another_size_first(task: Task) -> None:
    assert example(task).guide.network.encoder.grid == (8, 8)
    assert example(task, guidance_size=[96, 64]).guide.network.encoder.grid == (12, 8)


def test_a_network_that_is_not_on_clip_is_refused(task: Task) -> None:
    def build_network() -> DeepLabV3Plus:
        return DeepLabV3Plus(DeepLabV3Plus.Config(encoder="tiny", output_stride=8), 2)

    with pytest.raises(UsageError, match=r"Set network\.name to vlg"):
        SemiVL(SemiVL.Config(), replace(task, build_network=build_network))


def example(task: Task, **values: object) -> SemiVL:
    network = {"encoder": "tiny", "channels": 16, "rates": (1,)}
    of_task = replace(task, build_network=lambda: Vlg(Vlg.Config.model_validate(network), task.n_classes))
    return SemiVL(SemiVL.Config.model_validate(values), of_task).train()


# The authors' settings


@pytest.mark.parametrize(
    "protocol, steps",
    [
        ("voc-92", 104_880),
        ("voc-366@classic", 102_160),
        ("coco-232", 147_570),
        ("ade20k-158", 100_280),
        ("cityscapes-186@cps", 83_760),
        ("cityscapes-100", 83_760),
    ],
)
def test_runs_are_as_long_as_the_reference_s(protocol: str, steps: int) -> None:
    measured = load(protocol)
    assert SemiVL.published[measured.dataset].recipe.total_steps(*measured.sizes) == steps


@pytest.mark.parametrize(
    "dataset, rates",
    [
        ("voc", {"encoder": 1e-6, "decoder": 1e-3}),
        ("coco", {"encoder": 4e-7, "decoder": 4e-3}),
        ("ade20k", {"encoder": 4e-7, "decoder": 4e-3}),
        ("cityscapes", {"encoder": 5e-6, "decoder": 5e-4, "conv_encoder": 5e-6}),
    ],
)
def test_rates_are_those_of_the_reference(dataset: str, rates: dict[str, float]) -> None:
    optimizer = SemiVL.published[dataset].recipe.optimizer
    assert {name: optimizer.lr * rule.lr_multiplier for name, rule in optimizer.groups.items()} == pytest.approx(rates)
    assert (optimizer.name, optimizer.weight_decay, optimizer.betas) == ("adamw", 0.01, (0.9, 0.999))
    assert all(rule.weight_decay is None for rule in optimizer.groups.values())


@pytest.mark.parametrize("dataset, images", [("voc", 2), ("coco", 1), ("ade20k", 1), ("cityscapes", 1)])
def test_a_part_of_a_batch_is_what_a_gpu_of_the_reference_holds(dataset: str, images: int) -> None:
    recipe = SemiVL.published[dataset].recipe
    assert (recipe.batch.labeled // recipe.accumulation, recipe.batch.unlabeled // recipe.accumulation) == (images, images)


def test_the_rate_of_the_first_two_steps_is_that_of_the_start() -> None:
    schedule = SemiVL.published["voc"].recipe.schedule
    assert [multiplier(schedule, step, 1000) for step in (0, 1)] == [1.0, 1.0]
    assert multiplier(schedule, 501, 1000) == pytest.approx(0.5**0.9)


def test_only_cityscapes_renormalizes_and_leaves_no_pixel_out() -> None:
    settings = {
        name: (of.network.get("renormalize", False), of.method.get("threshold", 0.95)) for name, of in SemiVL.published.items()
    }
    assert settings == dict.fromkeys(("voc", "coco", "ade20k"), (False, 0.95)) | {"cityscapes": (True, None)}
