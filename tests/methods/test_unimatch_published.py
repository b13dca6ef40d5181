"""UniMatch's published recipes: steps, rates and networks against its code and its training logs."""

import pytest
import torch

from semibench.harness.schedules import multiplier
from semibench.methods.networks.deeplabv3plus import DeepLabV3Plus
from semibench.methods.unimatch import UniMatch


@pytest.mark.parametrize(("labelled", "per_epoch"), [(92, 1311), (183, 1300), (366, 1277), (732, 1231), (1464, 1140)])
def test_its_recipe_for_voc_has_the_reference_s_steps_to_one_in_an_epoch(labelled: int, per_epoch: int) -> None:
    recipe = UniMatch.published["voc"].recipe
    steps = recipe.total_steps(labelled, 10_582 - labelled) / 80
    assert per_epoch - 1 <= steps <= per_epoch


@pytest.mark.parametrize(
    ("dataset", "n_classes", "parameters"),
    [("voc", 21, 59_468_085), ("cityscapes", 19, 59_467_571), ("coco", 81, 54_726_881)],
)
def test_its_published_networks_have_as_many_parameters_as_the_reference_s(
    dataset: str, n_classes: int, parameters: int
) -> None:
    options = {key: value for key, value in UniMatch.published[dataset].network.items() if key != "name"}
    with torch.device("meta"):
        network = DeepLabV3Plus(DeepLabV3Plus.Config.model_validate(options), n_classes)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


def test_on_150_classes_its_network_has_as_many_parameters_as_the_reference_s() -> None:
    with torch.device("meta"):
        network = DeepLabV3Plus(DeepLabV3Plus.Config(encoder="resnet101s"), 150)
    assert sum(parameter.numel() for parameter in network.parameters()) == 59_501_238


def test_its_recipes_have_the_reference_s_rates() -> None:
    voc, cityscapes, coco = (UniMatch.published[name].recipe for name in ("voc", "cityscapes", "coco"))
    assert voc.total_steps(92, 10_490) == 104_880
    assert multiplier(voc.schedule, 52_441, 104_880) == pytest.approx(0.5359, abs=1e-4)
    assert [multiplier(voc.schedule, step, 104_880) for step in (0, 1)] == [1, 1]
    rates = [(r.optimizer.lr, r.optimizer.groups["decoder"].lr_multiplier) for r in (voc, cityscapes, coco)]
    assert rates == [(0.001, 10), (0.005, 1), (0.004, 10)]
    assert cityscapes.total_steps(186, 2975 - 186) / 240 == pytest.approx(349, abs=1)
    assert coco.total_steps(232, 118_287 - 232) / 30 == pytest.approx(14_757, abs=1)
