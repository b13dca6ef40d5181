"""MGD: its losses by hand on images of 2 x 2 pixels, and what it does to teachers.

Elsewhere: image and region level (blocks/test_distillation.py), masks (blocks/test_mixing.py), hard pixels
(blocks/test_mining.py), parameters, strides and operations of encoders (networks/test_encoders.py), the teachers' training
(test_cps.py).

Logits (0, ln 3) cost ln 4/3 against label 1 and ln 4 against label 0.
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from math import log
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semibench.errors import UsageError
from semibench.methods.blocks.distillation import image_level, region_level
from semibench.methods.method import Batch, Crop, Labeled, Progress, Task, Views
from semibench.methods.mgd import MultiGranularityDistillation as MGD
from semibench.methods.networks.deeplabv3plus import DeepLabV3Plus

START = Progress(0, 10)
NOWHERE, EVERYWHERE, LEFT = [[False, False]] * 2, [[True, True]] * 2, [[True, False]] * 2
BOTH = {"deep": "deep", "wide": "wide"}
Picture = Callable[..., Tensor]
Build = Callable[..., MGD]


@pytest.fixture
def build(readable_task: Task, readable_pyramid: Any) -> Build:
    """Build a method whose networks multiply what they read by a factor."""

    def with_factors(*, student: float = 1, deep: float = 1, wide: float = 1, **values: object) -> MGD:
        teachers = {"deep": readable_pyramid(deep), "wide": readable_pyramid(wide)}
        task = replace(readable_task, build_network=lambda: readable_pyramid(student), load_teacher=lambda path: teachers[path])
        return MGD(MGD.Config.model_validate({"teachers": BOTH} | values), task).train()

    return with_factors


@pytest.fixture
def set_boxes(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def decide(*boxes: list[list[bool]]) -> None:
        monkeypatch.setattr("semibench.methods.mgd.toggled_boxes", lambda seeds, size: torch.tensor(boxes))

    return decide


def batch(labeled: Tensor, own: Tensor, other: Tensor) -> Batch:
    masks = torch.ones(len(labeled), 2, 2, dtype=torch.int64)
    crops = [Crop(weak, (), torch.ones(len(weak), 2, 2, dtype=torch.bool), torch.arange(len(weak))) for weak in (own, other)]
    return Batch(Labeled(labeled, masks, torch.arange(len(labeled))), (crops[0],), (crops[1],))


# Losses.


def test_the_pixel_level_sums_four_terms(build: Build, set_boxes: Callable[..., None], picture: Picture) -> None:
    set_boxes(NOWHERE)
    output = build(deep=-1)(batch(picture(log(3)), picture(log(9)), picture(5.0)), START)
    # D says label 0 everywhere, W label 1; the student agrees with W.
    assert output.losses["pixel"].item() == pytest.approx(log(10) + log(4) + log(10 / 9) + log(4 / 3))
    assert output.losses["supervised"].item() == pytest.approx(log(4 / 3))


def test_labels_that_a_sure_student_agrees_with_cost_nothing(
    build: Build, set_boxes: Callable[..., None], picture: Picture
) -> None:
    set_boxes(NOWHERE)
    output = build(student=50)(batch(picture(1.0), picture([[1.0, -1.0]] * 2), picture(0.0)), START)
    assert output.losses["pixel"] < 1e-6


@pytest.mark.parametrize(("box", "label"), [(NOWHERE, 1), (EVERYWHERE, 0)], ids=["the first image", "the second image"])
def test_a_mask_of_one_kind_gives_one_image_with_its_labels(
    build: Build, set_boxes: Callable[..., None], picture: Picture, box: list[list[bool]], label: int
) -> None:
    set_boxes(box)
    method = build(deep=1, teachers={"deep": "deep"}, image_weight=0)
    output = method(batch(picture(9.0), picture(log(3)), picture(-log(3))), START)
    logits = torch.tensor([[0.0, log(3) if label else -log(3)]])
    expected = F.cross_entropy(logits, torch.tensor([label])) + log(1 + torch.tensor(-9.0).exp().item())
    assert output.losses["pixel"].item() == pytest.approx(expected.item(), rel=1e-4)


def test_labels_come_from_unmixed_images(build: Build, set_boxes: Callable[..., None], picture: Picture) -> None:
    set_boxes(LEFT)
    method = build()
    own, other = picture(2.0), picture(3.0)
    method(batch(picture(1.0), own, other), START)
    assert method.deep is not None
    assert method.wide is not None
    seen = [[call.image[0, 1].tolist() for call in teacher.network.calls] for teacher in (method.deep, method.wide)]
    plain, mixed = [[[2.0] * 2] * 2, [[3.0] * 2] * 2, [[1.0] * 2] * 2], [[3.0, 2.0]] * 2
    assert seen == [[*plain, mixed]] * 2


def test_the_image_level_compares_with_the_deep_teacher_on_mixed_images(
    build: Build, set_boxes: Callable[..., None], picture: Picture
) -> None:
    set_boxes(LEFT)
    output = build(deep=3, wide=7, image_weight=0.5)(batch(picture(1.0), picture(2.0), picture(4.0)), START)
    mixed = picture([[4.0, 2.0]] * 2)[:, :2]
    assert output.losses["image"].item() == pytest.approx(0.5 * image_level(mixed, 3 * mixed).item())
    assert output.losses["image"].item() == pytest.approx(0.5 * (0 + 6) / 2)


def test_the_region_level_compares_with_the_wide_teacher_on_mixed_images(
    build: Build, set_boxes: Callable[..., None], picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_boxes(LEFT)
    method = build(region_weight=2)
    assert method.wide is not None
    monkeypatch.setattr(method.wide.network, "represent", lambda features: torch.flip(features[0], dims=(1, 3)) + 1)
    output = method(batch(picture(1.0), picture(2.0), picture(4.0)), START)
    mixed = picture([[4.0, 2.0]] * 2)
    expected = 2 * region_level(mixed, torch.flip(mixed, dims=(1, 3)) + 1)
    assert expected > 0
    assert output.losses["region"].item() == pytest.approx(expected.item())


def test_one_teacher_and_no_weights_are_distillation_of_hard_labels(
    build: Build, set_boxes: Callable[..., None], picture: Picture
) -> None:
    set_boxes(NOWHERE)
    method = build(wide=-1, teachers={"wide": "wide"}, image_weight=0, region_weight=0)
    output = method(batch(picture(log(3)), picture(log(9)), picture(5.0)), START)
    assert set(output.losses) == {"supervised", "pixel"}
    assert sum(output.losses.values()).item() == pytest.approx(log(4 / 3) + log(10) + log(4))  # labels, u and x of the teacher


@pytest.mark.parametrize(("role", "level"), [("deep", "image"), ("wide", "region")])
def test_the_terms_of_a_missing_teacher_are_dropped(
    build: Build, set_boxes: Callable[..., None], picture: Picture, role: str, level: str
) -> None:
    set_boxes(NOWHERE)
    data = batch(picture(log(3)), picture(log(9)), picture(5.0))
    alone, both = build(teachers={role: role})(data, START).losses, build()(data, START).losses
    assert set(alone) == {"supervised", "pixel", level}
    assert alone["pixel"].item() == pytest.approx(both["pixel"].item() / 2)  # here they agree
    assert torch.equal(alone[level], both[level])


def test_constant_reverse_terms_would_change_no_gradient(
    build: Build, set_boxes: Callable[..., None], picture: Picture
) -> None:
    set_boxes(LEFT)
    method = build(student=0.5, deep=2)
    assert method.deep is not None
    data = batch(picture(log(3)), picture(log(9)), picture(-5.0))
    gradients = []
    for has_reverse in (False, True):
        method.zero_grad()
        loss = sum(method(data, START).losses.values())
        if has_reverse:
            image = data.unlabeled[0].weak
            loss = loss + F.cross_entropy(method.deep(image), method.network(image).argmax(dim=1))
        loss.backward()
        gradients.append(method.network.weight.grad.clone())
    assert torch.equal(*gradients)


# Passes and teachers.


@pytest.mark.parametrize("passes", [False, True])
def test_the_student_passes_the_mixture_and_labelled_images_and_more_only_if_asked(
    build: Build, set_boxes: Callable[..., None], picture: Picture, passes: bool
) -> None:
    set_boxes(LEFT)
    method = build(student_bn_passes=passes)
    method(batch(picture(1.0), picture(2.0), picture(4.0)), START)
    calls = [(call.image[0, 1, 0, 0].item(), call.has_gradient, call.is_training) for call in method.network.calls]
    extra = [(2.0, False, True), (4.0, False, True)] if passes else []
    assert calls == [*extra, (4.0, True, True), (1.0, True, True)]


def test_teachers_do_not_pass_mixed_images_when_nothing_is_compared_there(
    build: Build, set_boxes: Callable[..., None], picture: Picture
) -> None:
    set_boxes(LEFT)
    method = build(image_weight=0, region_weight=0)
    method(batch(picture(1.0), picture(2.0), picture(4.0)), START)
    assert method.deep is not None
    assert method.wide is not None
    assert [len(teacher.network.calls) for teacher in (method.deep, method.wide)] == [3, 3]


@pytest.mark.parametrize("statistics", ["batch", "running"])
def test_a_step_leaves_teachers_as_they_were(statistics: str) -> None:
    torch.manual_seed(0)
    options = {"encoder": "tiny", "output_stride": 8, "rates": (1,), "channels": 8, "low_channels": 4}
    task = Task("tiny", ("a", "b"), 255, (16, 16), lambda: DeepLabV3Plus(DeepLabV3Plus.Config.model_validate(options), 2))
    teachers = {role: task.build_network() for role in BOTH}
    before = {role: deepcopy(network.state_dict()) for role, network in teachers.items()}
    config = MGD.Config.model_validate({"teachers": BOTH, "teacher_statistics": statistics})
    method = MGD(config, replace(task, load_teacher=teachers.__getitem__)).train()
    optimizer = torch.optim.SGD([p for group in method.parameter_groups() for p in group.parameters], lr=0.1)
    images = torch.randn(3, 2, 3, 16, 16)
    crops = [Crop(images[i], (), torch.ones(2, 16, 16, dtype=torch.bool), torch.arange(2)) for i in (1, 2)]
    mask = torch.randint(0, 2, (2, 16, 16))
    sum(method(Batch(Labeled(images[0], mask, torch.arange(2)), (crops[0],), (crops[1],)), START).losses.values()).backward()
    optimizer.step()
    for role, network in teachers.items():
        assert all(torch.equal(value, before[role][name]) for name, value in network.state_dict().items())
        assert all(parameter.grad is None for parameter in network.parameters())
    assert set(method.state_dict()) == {f"network.{name}" for name in method.network.state_dict()}


def test_the_map_before_the_classifier_has_a_quarter_of_the_image_s_sides() -> None:
    with torch.device("meta"):
        network = DeepLabV3Plus(DeepLabV3Plus.Config(encoder="resnet18c", multi_grid=(1, 2)), 21).eval()
        assert network.represent(network.encode(torch.empty(1, 3, 128, 128))).shape == (1, 256, 32, 32)


def test_without_teachers_it_says_how_to_get_some(readable_task: Task) -> None:
    with pytest.raises(UsageError, match=r"no teachers\. Train two with --method cps; set method\.teachers"):
        MGD(MGD.Config(), readable_task)


def test_a_network_without_a_map_before_its_classifier_is_refused(readable_task: Task, readable_pyramid: Any) -> None:
    config = MGD.Config(teachers={"wide": "x"})
    with pytest.raises(UsageError, match="the student of method 'mgd' is a Readable"):
        MGD(config, readable_task)
    with pytest.raises(UsageError, match="the wide teacher of method 'mgd' is a Identity"):
        MGD(config, replace(readable_task, build_network=readable_pyramid, load_teacher=nn.Identity))


def test_it_asks_for_two_streams_of_weak_images(build: Build) -> None:
    assert build().views == Views(crops=1, strong=0, partner="other")


@pytest.mark.parametrize(
    ("dataset", "labelled", "pool", "steps"), [("voc", 1323, 10_582, 39_338), ("cityscapes", 372, 2975, 22_194)]
)
def test_its_recipes_have_the_reference_s_steps_and_rates(dataset: str, labelled: int, pool: int, steps: int) -> None:
    recipe = MGD.published[dataset].recipe
    assert recipe.total_steps(labelled, pool - labelled) == steps
    assert recipe.optimizer.lr == 0.0025  # the reference's by the number of its processes: 0.01 / 4 and 0.02 / 8


def test_its_weights_are_those_of_the_reference_s_sums() -> None:
    config = {
        name: MGD.Config.model_validate(published.method | {"teachers": BOTH}) for name, published in MGD.published.items()
    }
    assert config["voc"].image_weight == pytest.approx(0.002 * 2 * 21)
    assert config["cityscapes"].image_weight == pytest.approx(0.001 * 2 * 19)
    assert {name: values.region_weight for name, values in config.items()} == {"voc": 100, "cityscapes": 100}
