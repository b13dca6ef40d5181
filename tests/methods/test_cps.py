"""Cross pseudo supervision: both losses by hand on images of 2 x 2 pixels, and who teaches whom.

Logits (0, ln 3) cost ln 4/3 against label 1 and ln 4 against label 0. The second network sees them with a factor of its own.
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from math import log

import pytest
import torch
from torch import Tensor, nn

from semibench.methods.cps import CrossPseudoSupervision
from semibench.methods.method import Batch, Crop, Labeled, Progress, Task, Views
from semibench.methods.networks.base import Network

START = Progress(0, 10)
NOWHERE, LEFT = [[False, False]] * 2, [[True, False]] * 2
Picture = Callable[..., Tensor]


@pytest.fixture
def method(readable_task: Task) -> CrossPseudoSupervision:
    return CrossPseudoSupervision(CrossPseudoSupervision.Config(), readable_task).train()


@pytest.fixture
def set_boxes(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def decide(*boxes: list[list[bool]]) -> None:
        monkeypatch.setattr("semibench.methods.cps.toggled_boxes", lambda seeds, size: torch.tensor(boxes))

    return decide


def batch(labeled: Tensor, own: Tensor, other: Tensor) -> Batch:
    masks = torch.ones(len(labeled), 2, 2, dtype=torch.int64)
    crops = [Crop(weak, (), torch.ones(len(weak), 2, 2, dtype=torch.bool), torch.arange(len(weak))) for weak in (own, other)]
    return Batch(Labeled(labeled, masks, torch.arange(len(labeled))), (crops[0],), (crops[1],))


def set_weights(method: CrossPseudoSupervision, first: float, second: float) -> None:
    with torch.no_grad():
        method.first.weight.fill_(first)
        method.second.weight.fill_(second)


def test_both_networks_learn_from_labels(
    method: CrossPseudoSupervision, set_boxes: Callable[..., None], picture: Picture
) -> None:
    set_boxes(NOWHERE)
    set_weights(method, 1, 0)
    output = method(batch(picture(log(3)), picture(1.0), picture(1.0)), START)
    assert output.losses["supervised"].item() == pytest.approx(log(4 / 3) + log(2))


def test_each_network_learns_the_label_of_the_other(
    method: CrossPseudoSupervision, set_boxes: Callable[..., None], picture: Picture
) -> None:
    set_boxes(NOWHERE)
    set_weights(method, 1, -1)  # the first says label 1, the second label 0
    output = method(batch(picture(0.0), picture(log(3)), picture(9.0)), START)
    assert output.losses["cross"].item() == pytest.approx(2 * log(4))
    assert output.scalars["agreement"].item() == 0


def test_images_and_labels_are_mixed_with_one_box(
    method: CrossPseudoSupervision, set_boxes: Callable[..., None], picture: Picture
) -> None:
    set_boxes(LEFT)
    set_weights(method, 1, 2)
    own, other = picture([[9.0, log(3)]] * 2), picture([[-log(3), 9.0]] * 2)  # left of the other, right of the own
    output = method(batch(picture(0.0), own, other), START)
    expected = log(4 / 3) + log(10 / 9)  # left label 0, right label 1, each as sure as the network's factor makes it
    assert output.losses["cross"].item() == pytest.approx(expected)
    assert output.scalars["agreement"].item() == 1


def test_the_weight_of_cross_supervision_counts(readable_task: Task, set_boxes: Callable[..., None], picture: Picture) -> None:
    set_boxes(NOWHERE)
    data = batch(picture(0.0), picture(log(3)), picture(9.0))
    losses = [
        CrossPseudoSupervision(CrossPseudoSupervision.Config(weight=weight), readable_task)(data, START).losses["cross"]
        for weight in (1.0, 5.0)
    ]
    assert losses[1].item() == pytest.approx(5 * losses[0].item())


def test_swapping_the_networks_changes_no_loss(
    method: CrossPseudoSupervision, set_boxes: Callable[..., None], picture: Picture
) -> None:
    set_boxes(LEFT)
    set_weights(method, 1.5, -0.5)
    data = batch(picture(log(3)), picture(2.0), picture([[1.0, -1.0]] * 2))
    swapped = deepcopy(method)
    swapped.first, swapped.second = swapped.second, swapped.first
    for name, loss in method(data, START).losses.items():
        assert loss.item() == pytest.approx(swapped(data, START).losses[name].item())


def test_no_gradient_flows_from_a_label_into_its_producer(
    method: CrossPseudoSupervision, set_boxes: Callable[..., None], picture: Picture
) -> None:
    set_boxes(NOWHERE)
    method(batch(picture(0.0), picture(log(3)), picture(9.0)), START)
    for network in (method.first, method.second):
        labeling = [call for call in network.calls if not call.has_gradient]
        assert [call.image[0, 1, 0, 0].item() for call in labeling] == pytest.approx([log(3), 9.0])
        assert len(network.calls) == 4  # both images, the mixture, the labelled images


def test_two_networks_start_from_different_values_and_the_first_is_the_headline(readable_task: Task) -> None:
    values = iter([1.0, 2.0])

    def build_network() -> Network:
        network = readable_task.build_network()
        nn.init.constant_(network.weight, next(values))
        return network

    method = CrossPseudoSupervision(CrossPseudoSupervision.Config(), replace(readable_task, build_network=build_network))
    assert [network.weight.item() for network in method.predictors().values()] == [1, 2]


def test_it_asks_for_two_streams_of_weak_images(method: CrossPseudoSupervision) -> None:
    assert method.views == Views(crops=1, strong=0, partner="other")


@pytest.mark.parametrize(
    ("dataset", "labelled", "pool", "steps"), [("voc", 1323, 10_582, 39_338), ("cityscapes", 372, 2975, 44_525)]
)
def test_its_recipes_have_the_reference_s_steps(dataset: str, labelled: int, pool: int, steps: int) -> None:
    assert CrossPseudoSupervision.published[dataset].recipe.total_steps(labelled, pool - labelled) == steps
