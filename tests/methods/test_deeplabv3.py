"""DeepLabV3 as a baseline: which pixels its loss is about, and which network it takes.

The learning rates of Detectron2's WarmupPolyLR are checked here against its published recipe.
"""

from math import log

import pytest
import torch

from semibench.errors import UsageError
from semibench.harness.configure import Request, resolve
from semibench.harness.schedules import multiplier
from semibench.methods.deeplabv3 import DeepLabV3
from semibench.methods.method import Batch, Labeled, Progress, Task, Views
from semibench.methods.networks import deeplabv3
from semibench.protocols.protocol import load

START = Progress(0, 10)


@pytest.fixture
def task() -> Task:
    small = deeplabv3.DeepLabV3.Config(encoder="tiny", output_stride=8, rates=(1,), channels=8, dropout=0)
    return Task("tiny", ("background", "ring"), 255, (16, 16), lambda: deeplabv3.DeepLabV3(small, 2))


def set_logits(method: DeepLabV3) -> None:
    """Let the network say ln 3 for class 1 and 0 for class 0, whatever it sees."""
    with torch.no_grad():
        method.network.classifier.weight.zero_()
        method.network.classifier.bias.copy_(torch.tensor([0.0, log(3)]))


def batch(mask: torch.Tensor) -> Batch:
    return Batch(Labeled(torch.zeros(2, 3, 2, 2), mask, torch.arange(2)))


@pytest.mark.parametrize(
    ("hardest", "loss"), [(1, (6 * log(4 / 3) + 2 * log(4)) / 8), (0.25, log(4))], ids=["all", "a quarter"]
)
def test_the_loss_is_the_mean_over_the_hardest_share(task: Task, hardest: float, loss: float) -> None:
    method = DeepLabV3(DeepLabV3.Config(hardest=hardest), task).train()
    set_logits(method)
    mask = torch.tensor([[[1, 0], [1, 1]], [[1, 1], [0, 1]]])
    assert method(batch(mask), START).losses["supervised"].item() == pytest.approx(loss)


def test_it_asks_for_no_unlabelled_images(task: Task) -> None:
    assert DeepLabV3(DeepLabV3.Config(), task).views == Views()


def test_another_network_is_refused(readable_task: Task) -> None:
    with pytest.raises(UsageError, match=r"about the network of its name\. Set network\.name to deeplabv3"):
        DeepLabV3(DeepLabV3.Config(), readable_task)


def test_a_controlled_run_takes_its_network_with_the_protocol_s_options() -> None:
    network = resolve(Request("deeplabv3", load("shapes-48"))).configuration.network.model_dump()
    protocol = load("shapes-48").network
    assert network["name"] == "deeplabv3"
    assert "low_channels" not in network
    shared = protocol.keys() & network.keys() - {"name"}
    assert {"encoder", "output_stride", "channels"} <= shared
    assert {key: network[key] for key in shared} == {
        key: tuple(v) if isinstance(v := protocol[key], list) else v for key in shared
    }


def test_the_published_rates_are_those_of_the_reference() -> None:
    recipe = DeepLabV3.published["cityscapes"].recipe
    steps = [0, 1, 500, 999, 1000, 45_000, 89_999]
    rates = [recipe.optimizer.lr * multiplier(recipe.schedule, step, 90_000) for step in steps]
    expected = [1.0e-5, 1.998980e-5, 4.979968e-3, 9.890154e-3, 9.899944e-3, 5.358867e-3, 3.476816e-7]
    assert rates == pytest.approx(expected, rel=1e-6)
