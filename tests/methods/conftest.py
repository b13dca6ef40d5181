"""What tests of methods share: a network whose logits can be read off the image, and the task around it."""

from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from semibench.methods.method import Task
from semibench.methods.networks._pyramid import PyramidNetwork
from semibench.methods.networks.base import Features, Network


class Call(NamedTuple):
    """One forward pass of the network."""

    image: Tensor
    is_training: bool
    has_gradient: bool


class Readable(Network):
    """Logits are the first two channels of the image, times a weight of 1; in evaluation mode their signs are turned."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.encoder = nn.BatchNorm2d(3)  # its statistics tell which images passed in training mode
        self.weight = nn.Parameter(torch.ones(()))
        self.calls: list[Call] = []

    def encode(self, image: Tensor) -> Features:
        self.calls.append(Call(image, self.training, torch.is_grad_enabled()))
        self.encoder(image)
        return (image,)

    def decode(self, features: Features, size: tuple[int, int]) -> Tensor:
        logits = self.weight * features[0][:, :2]
        return logits if self.training else -logits


class ReadablePyramid(PyramidNetwork):
    """Logits are the first two channels of the image, times a weight and plus a bias; every stage before is the identity."""

    def __init__(self, weight: float = 1.0, bias: float = 0.0) -> None:
        nn.Module.__init__(self)
        self.encoder = nn.BatchNorm2d(3)
        self.pyramid = nn.Module()
        self.weight, self.bias = (nn.Parameter(torch.tensor(float(v))) for v in (weight, bias))
        self.calls: list[Call] = []

    def encode(self, image: Tensor) -> Features:
        self.calls.append(Call(image, self.training, torch.is_grad_enabled()))
        self.encoder(image)
        return (image,)

    def gather(self, features: Features) -> Features:
        return features

    def merge(self, gathered: Features) -> Tensor:
        return gathered[0]

    def represent(self, features: Features) -> Tensor:
        return features[0]

    def classify(self, represented: Tensor) -> Tensor:
        return self.weight * represented[:, :2] + self.bias

    def resize(self, maps: Tensor, size: tuple[int, int]) -> Tensor:
        return maps


@pytest.fixture
def readable_pyramid() -> type[ReadablePyramid]:
    """The class itself, for tests that need several of them."""
    return ReadablePyramid


@pytest.fixture
def readable_task() -> Task:
    """A task of two classes on images of 2 x 2 pixels, with readable networks."""
    return Task("tiny", ("background", "ring"), 255, (2, 2), Readable)


@pytest.fixture
def picture() -> Callable[..., Tensor]:
    """Return n images whose logits are (0, value) at each of the 2 x 2 pixels, one value an image or one a pixel."""

    def draw(*values: float | list[list[float]]) -> Tensor:
        images = torch.zeros(len(values), 3, 2, 2)
        for image, value in zip(images, values, strict=True):
            image[1] = torch.tensor(value)
        return images

    return draw
