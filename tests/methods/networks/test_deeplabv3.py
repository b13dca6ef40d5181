"""DeepLabV3 against the reference figures of Detectron2's projects/DeepLab at 02b5c4e, 19 classes."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from semibench.methods.networks.base import Network
from semibench.methods.networks.deeplabv3 import DeepLabV3
from semibench.plugins import NETWORK, find_class

SMALL = {"encoder": "tiny", "output_stride": 8, "rates": (1, 2), "channels": 8}


def build(n_classes: int = 5, **options: object) -> DeepLabV3:
    torch.manual_seed(0)
    return DeepLabV3(DeepLabV3.Config.model_validate(SMALL | options), n_classes)


@pytest.fixture(scope="module")
def reference() -> DeepLabV3:
    with torch.device("meta"):
        return DeepLabV3(DeepLabV3.Config(multi_grid=(1, 2, 4)), 19).eval()


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_parameters_are_as_many_as_the_reference_has(reference: DeepLabV3) -> None:
    parts = (reference, reference.encoder, reference.pyramid, reference.classifier)
    assert [count(part) for part in parts] == [58_163_667, 42_623_936, 15_534_848, 4_883]


def test_operations_at_512_x_1024_are_those_of_the_reference(reference: DeepLabV3) -> None:
    with FlopCounterMode(display=False) as counter:
        reference(torch.empty(1, 3, 512, 1024, device="meta"))
    counts = [sum(counter.get_flop_counts()[part].values()) / 2e9 for part in ("DeepLabV3", "DeepLabV3.encoder")]
    assert counts == pytest.approx([149.017, 118.224], rel=0.01)  # theirs include norms and resizes


def test_the_maps_of_512_x_1024_are_128_x_256_and_32_x_64(reference: DeepLabV3) -> None:
    low, high = reference.encoder(torch.empty(1, 3, 512, 1024, device="meta"))
    assert low.shape == (1, 256, 128, 256)
    assert high.shape == (1, 2048, 32, 64)


def test_the_rates_of_the_last_stage_are_the_multi_grid_times_its_rate(reference: DeepLabV3) -> None:
    layers = [layer for layer in reference.encoder.modules() if isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3)]
    assert [layer.dilation[0] for layer in layers[-4:]] == [1, 2, 4, 8]


def test_the_pooled_branch_has_a_bias_and_no_normalization() -> None:
    layers = [type(layer) for layer in build().pyramid.pooling.children()]
    assert layers == [nn.Conv2d, nn.ReLU]
    assert build().pyramid.pooling[0].bias is not None


def test_one_image_can_be_trained_on() -> None:
    assert build().train()(torch.rand(1, 3, 40, 56)).shape == (1, 5, 40, 56)


def test_decode_is_made_of_public_stages() -> None:
    network = build().eval()
    features = network.encode(torch.rand(2, 3, 40, 56))
    logits = network.resize(network.classify(network.represent(features)), (40, 56))
    assert torch.equal(logits, network.decode(features, (40, 56)))


def test_what_is_gathered_and_merged_is_what_is_represented() -> None:
    network = build().eval()
    features = network.encode(torch.rand(2, 3, 40, 56))
    gathered = network.gather(features)
    assert gathered[0].shape == (2, 4 * 8, 5, 7)
    assert torch.equal(network.merge(gathered), network.represent(features))


def test_dropout_acts_before_the_classifier_while_training() -> None:
    network = build(dropout=0.5).train()
    represented = network.represent((torch.rand(4, 48, 8, 8),))
    network.eval()
    assert (represented == 0).float().mean() > (network.represent((torch.rand(4, 48, 8, 8),)) == 0).float().mean()


def test_the_network_is_found_by_its_file_name() -> None:
    assert find_class(NETWORK, "deeplabv3", Network) is DeepLabV3
