"""What every method must keep, checked for each one that is found: adding a method adds its checks."""

import ast
import inspect
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor

from semibench import plugins
from semibench.methods.method import Batch, Crop, Labeled, Method, Progress, Task, Views
from semibench.methods.networks.base import Network
from semibench.methods.networks.deeplabv3plus import DeepLabV3Plus

NAMES = list(plugins.summaries(plugins.METHOD))
SIZE = 64
N, M, K = 2, 3, 4
HALFWAY = Progress(5, 10)


def build_network(**options: Any) -> Network:
    values = {"encoder": "tiny", "output_stride": 8, "rates": (1,), "channels": 8, "low_channels": 4} | options
    return DeepLabV3Plus(DeepLabV3Plus.Config.model_validate(values), K)


def build(name: str, seed: int = 0) -> Method:
    torch.manual_seed(seed)
    task = Task("tiny", ("background", "ring", "cross", "bar"), 255, (SIZE, SIZE), build_network)
    return plugins.find_class(plugins.METHOD, name, Method).example(task).train()


def draw_batch(views: Views, *, is_void: bool = False) -> Batch:
    """Return images of noise: N labelled, M unlabelled, as a method wants to see them."""
    generator = torch.Generator().manual_seed(0)

    def images(count: int) -> Tensor:
        return torch.randn(count, 3, SIZE, SIZE, generator=generator)

    def crops(first_seed: int) -> tuple[Crop, ...]:
        valid = torch.ones(M, SIZE, SIZE, dtype=torch.bool)
        valid[0, :, SIZE // 2 :] = False
        return tuple(
            Crop(images(M), tuple(images(M) for _ in range(views.strong)), valid, first_seed + 10 * draw + torch.arange(M))
            for draw in range(views.crops)
        )

    mask = torch.randint(0, K, (N, SIZE, SIZE), generator=generator)
    mask[:, :8] = 255
    if is_void:
        mask[:] = 255
    partner = crops(1000) if views.partner != "none" else ()
    return Batch(Labeled(images(N), mask, torch.arange(N)), crops(0), partner)


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_the_first_line_says_what_it_is(name: str) -> None:
    found = plugins.find(plugins.METHOD, name)
    first = (ast.get_docstring(ast.parse(inspect.getsource(found))) or "").partition("\n")[0]
    assert len(first.split()) >= 3


def test_losses_are_finite_scalars_and_reach_every_trained_parameter(name: str) -> None:
    method = build(name)
    output = method(draw_batch(method.views), HALFWAY)
    assert all(loss.shape == () and loss.isfinite() for loss in output.losses.values())
    assert all(value.shape == () and value.isfinite() for value in output.scalars.values())
    sum(output.losses.values()).backward()
    method.after_step(HALFWAY)
    for group in method.parameter_groups():
        assert group.parameters
        assert all(p.grad is not None and p.grad.isfinite().all() for p in group.parameters)
    assert any(p.grad.abs().sum() > 0 for group in method.parameter_groups() for p in group.parameters)


def test_labelled_images_without_any_label_give_finite_losses(name: str) -> None:
    method = build(name)
    output = method(draw_batch(method.views, is_void=True), HALFWAY)
    assert all(loss.isfinite() for loss in output.losses.values())


def test_names_of_losses_and_figures_can_stand_in_one_line_of_the_log(name: str) -> None:
    method = build(name)
    output = method(draw_batch(method.views), HALFWAY)
    names = [*output.losses, *output.scalars, "event", "step", "learning_rate", "seconds", "data_seconds"]
    assert output.losses
    assert len(set(names)) == len(names)


def test_a_parameter_is_trained_in_one_group_and_only_if_it_is_not_frozen(name: str) -> None:
    groups = build(name).parameter_groups()
    parameters = [parameter for group in groups for parameter in group.parameters]
    assert len({id(parameter) for parameter in parameters}) == len(parameters) > 0
    assert all(parameter.requires_grad for parameter in parameters)
    assert len({group.name for group in groups}) == len(groups)


def test_a_forward_pass_is_a_function_of_state_batch_and_the_global_seed(name: str) -> None:
    first = build(name)
    second = deepcopy(first)
    outputs = []
    for method in (first, second):
        torch.manual_seed(7)
        outputs.append(method(draw_batch(method.views), HALFWAY))
    for one, other in zip(outputs[0].losses.items(), outputs[1].losses.items(), strict=True):
        assert one[0] == other[0]
        assert torch.equal(one[1], other[1])


def test_a_forward_pass_leaves_the_mode_as_it_was(name: str) -> None:
    method = build(name)
    modes = {key: module.training for key, module in method.named_modules()}
    method(draw_batch(method.views), HALFWAY)
    assert {key: module.training for key, module in method.named_modules()} == modes


def test_a_batch_is_only_read(name: str) -> None:
    method = build(name)
    batch = draw_batch(method.views)
    method(batch, HALFWAY)
    untouched = draw_batch(method.views)
    assert torch.equal(batch.labeled.image, untouched.labeled.image)
    assert torch.equal(batch.labeled.mask, untouched.labeled.mask)
    for crop, other in zip(batch.unlabeled + batch.partner, untouched.unlabeled + untouched.partner, strict=True):
        assert all(map(torch.equal, (crop.weak, *crop.strong, crop.valid), (other.weak, *other.strong, other.valid)))


def test_the_state_holds_all_that_later_steps_depend_on(name: str) -> None:
    first, second = build(name), build(name, seed=1)
    first(draw_batch(first.views), HALFWAY)
    first.after_step(HALFWAY)
    second.load_state_dict(deepcopy(first.state_dict()))
    assert all(torch.equal(value, second.state_dict()[key]) for key, value in first.state_dict().items())
    losses = []
    for method in (first, second):
        torch.manual_seed(7)
        losses.append(sum(method(draw_batch(method.views), HALFWAY).losses.values()))
    assert torch.equal(*losses)


def test_predictors_give_logits_of_image_size(name: str) -> None:
    method = build(name).eval()
    image = draw_batch(Views()).labeled.image
    assert method.predictors()
    for predictor in method.predictors().values():
        with torch.no_grad():
            logits = predictor(image)
        assert logits.shape == (N, K, SIZE, SIZE)
        assert logits.isfinite().all()


def test_a_configuration_cannot_be_changed_and_takes_no_unknown_key(name: str) -> None:
    config = plugins.find_class(plugins.METHOD, name, Method).Config
    assert config.model_config.get("frozen")
    assert config.model_config.get("extra") == "forbid"
    assert all(not field.is_required() for field in config.model_fields.values())


def test_published_settings_fit_the_method_and_the_network(name: str) -> None:
    method = plugins.find_class(plugins.METHOD, name, Method)
    groups = {group.name for group in build(name).parameter_groups()}
    for published in method.published.values():
        method.Config.model_validate(published.method)
        network = plugins.find_class(plugins.NETWORK, published.network["name"], Network)
        network.Config.model_validate({key: value for key, value in published.network.items() if key != "name"})
        assert set(published.recipe.optimizer.groups) <= groups
        assert published.source


def test_without_unlabelled_crops_nothing_else_of_them_is_asked_for(name: str) -> None:
    views = build(name).views
    assert views.crops > 0 or views == Views()
