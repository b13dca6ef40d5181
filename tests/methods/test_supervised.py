"""Supervised: cross-entropy of the labelled images, by hand on images of 2 x 2 pixels."""

from collections.abc import Callable
from math import log

import pytest
import torch
from torch import Tensor

from semibench.methods.method import Batch, Labeled, Progress, Task, Views
from semibench.methods.supervised import Supervised

START = Progress(0, 10)


@pytest.fixture
def method(readable_task: Task) -> Supervised:
    return Supervised(Supervised.Config(), readable_task).train()


def labeled(image: Tensor, *masks: list[list[int]]) -> Batch:
    return Batch(Labeled(image, torch.tensor(masks), torch.arange(len(masks))))


def test_the_loss_is_the_mean_over_the_pixels_of_all_images(method: Supervised, picture: Callable[..., Tensor]) -> None:
    # Logits (0, ln 3) are probabilities (1/4, 3/4), logits (0, 0) are (1/2, 1/2).
    batch = labeled(picture(log(3), 0.0), [[1, 1], [1, 0]], [[0, 1], [0, 1]])
    output = method(batch, START)
    assert output.losses.keys() == {"supervised"}
    assert output.losses["supervised"].item() == pytest.approx((3 * log(4 / 3) + log(4) + 4 * log(2)) / 8)


def test_void_pixels_do_not_enter_the_loss(method: Supervised, picture: Callable[..., Tensor]) -> None:
    batch = labeled(picture([[log(3), 50.0], [50.0, 50.0]]), [[1, 255], [255, 255]])
    assert method(batch, START).losses["supervised"].item() == pytest.approx(log(4 / 3))


def test_images_without_any_label_give_a_loss_of_zero_and_a_gradient_of_zero(
    method: Supervised, picture: Callable[..., Tensor]
) -> None:
    loss = method(labeled(picture(log(3)), [[255, 255], [255, 255]]), START).losses["supervised"]
    loss.backward()
    assert loss.item() == 0
    assert method.network.weight.grad == 0


def test_it_asks_for_no_unlabelled_images(method: Supervised) -> None:
    assert method.views == Views(crops=0, strong=0, partner="none")


def test_the_predictor_is_the_network_that_is_trained(method: Supervised) -> None:
    assert list(method.predictors().values()) == [method.network]
    trained = [parameter for group in method.parameter_groups() for parameter in group.parameters]
    assert {id(parameter) for parameter in trained} == {id(parameter) for parameter in method.network.parameters()}
