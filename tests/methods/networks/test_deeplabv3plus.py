import warnings
from functools import cache
from unittest.mock import patch

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from semibench.errors import UsageError
from semibench.methods.networks._norm import set_norm
from semibench.methods.networks.base import Network
from semibench.methods.networks.deeplabv3plus import DeepLabV3Plus
from semibench.plugins import NETWORK, find_class

SMALL = {"encoder": "tiny", "output_stride": 8, "rates": (1, 2, 3), "channels": 32, "low_channels": 16}


def build(n_classes: int = 21, **options: object) -> DeepLabV3Plus:
    torch.manual_seed(0)
    return DeepLabV3Plus(DeepLabV3Plus.Config(**options), n_classes)


@cache
def build_on_meta(n_classes: int = 21, **options: object) -> DeepLabV3Plus:
    with torch.device("meta"):
        return build(n_classes, **options)


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.fixture
def image() -> torch.Tensor:
    return torch.rand(2, 3, 40, 56, generator=torch.Generator().manual_seed(1))


# Figures of UniMatch's network, measured on its code at 0324f3d.


@pytest.mark.parametrize(
    ("encoder", "n_classes", "total", "of_encoder", "buffers"),
    [
        ("resnet50s", 21, 40_475_957, 23_631_808, 57_760),
        ("resnet101s", 21, 59_468_085, 42_623_936, 110_035),
        ("xception65", 81, 54_726_881, 37_867_312, 189_533),
    ],
    ids=["R50", "R101", "Xception"],
)
def test_parameters_and_buffers_are_as_many_as_the_reference_has(encoder, n_classes, total, of_encoder, buffers):
    network = build_on_meta(n_classes, encoder=encoder)
    assert count(network) == total
    assert count(network.encoder) == of_encoder
    assert sum(buffer.numel() for buffer in network.buffers()) == buffers


@pytest.mark.parametrize(("encoder", "third"), [("resnet50s", 7_098_368), ("resnet101s", 26_090_496)], ids=["R50", "R101"])
def test_each_stage_of_a_resnet_has_the_parameters_of_the_reference(encoder, third):
    stages = build_on_meta(encoder=encoder).encoder
    assert (count(stages.conv1), count(stages.bn1)) == (112_576, 256)
    assert [count(stages[f"layer{stage}"]) for stage in (1, 2, 3, 4)] == [236_288, 1_219_584, third, 14_964_736]


@pytest.mark.parametrize(
    ("output_stride", "size", "second", "third"), [(16, 321, 41, 21), (16, 801, 101, 51), (8, 801, 101, 101)]
)
def test_the_middle_maps_have_the_sizes_of_the_reference(output_stride, size, second, third):
    stages, shapes = build_on_meta(encoder="resnet50s", output_stride=output_stride).encoder, []
    hooks = [
        stages[name].register_forward_hook(lambda module, inputs, output: shapes.append(tuple(output.shape)))
        for name in ("layer2", "layer3")
    ]
    stages(torch.empty(2, 3, size, size, device="meta"))
    for hook in hooks:
        hook.remove()
    assert shapes == [(2, 512, second, second), (2, 1024, third, third)]


def test_each_part_of_the_decoder_has_the_parameters_of_the_reference():
    network = build_on_meta()
    branches = [count(branch) for branch in network.pyramid.branches]
    assert branches == [524_800, 4_719_104, 4_719_104, 4_719_104]
    assert count(network.pyramid.pooling) == 524_800
    assert count(network.pyramid.projection) == 328_192
    assert count(network.pyramid) == 15_535_104
    assert count(network.reduction) == 12_384
    assert count(network.fusion) == 1_291_264


@pytest.mark.parametrize(("n_classes", "parameters"), [(21, 5_397), (19, 4_883), (81, 20_817), (150, 38_550)])
def test_the_classifier_has_a_bias(n_classes, parameters):
    assert count(build_on_meta(n_classes, **SMALL | {"channels": 256}).classifier) == parameters


@pytest.mark.parametrize("output_stride", [8, 32])
def test_the_output_stride_changes_no_parameter(output_stride):
    shapes = {name: tensor.shape for name, tensor in build_on_meta().state_dict().items()}
    assert {name: t.shape for name, t in build_on_meta(output_stride=output_stride).state_dict().items()} == shapes


@pytest.mark.parametrize(
    ("encoder", "output_stride", "size", "low", "high", "gmacs"),
    [  # gmacs: total, encoder, pyramid, fusion
        pytest.param("resnet50s", 16, 321, 81, 21, (31.805, 16.579, 6.621, 8.472), id="R50-16-321"),
        pytest.param("resnet50s", 16, 513, 129, 33, (79.559, 41.387, 16.350, 21.488), id="R50-16-513"),
        pytest.param("resnet50s", 16, 801, 201, 51, (191.520, 99.514, 39.050, 52.168), id="R50-16-801"),
        pytest.param("resnet101s", 16, 321, 81, 21, (40.180, 24.955, 6.621, 8.472), id="R101-16-321"),
        pytest.param("resnet101s", 16, 513, 129, 33, (100.242, 62.069, 16.350, 21.488), id="R101-16-513"),
        pytest.param("resnet101s", 16, 801, 201, 51, (240.918, 148.913, 39.050, 52.168), id="R101-16-801"),
        pytest.param("resnet101s", 8, 801, 201, 101, (666.040, 459.932, 153.152, 52.168), id="R101-8-801"),
        pytest.param("xception65", 16, 513, 129, 33, (87.394, 48.903, 16.350, 21.488), id="Xception-16-513"),
    ],
)
def test_maps_and_operations_are_those_of_the_reference(encoder, output_stride, size, low, high, gmacs):
    network = build_on_meta(encoder=encoder, output_stride=output_stride).eval()
    image = torch.empty(1, 3, size, size, device="meta")
    assert [tuple(feature.shape) for feature in network.encode(image)] == [(1, 256, low, low), (1, 2048, high, high)]

    with FlopCounterMode(display=False) as counter:
        network(image)
    parts = ("", ".encoder", ".pyramid", ".fusion")
    counts = [sum(counter.get_flop_counts()[f"DeepLabV3Plus{part}"].values()) for part in parts]
    # torch counts 2 per multiply-accumulate, and neither norms nor resizes, which the reference includes.
    assert [flops / 2e9 for flops in counts] == pytest.approx(gmacs, rel=0.01)


def test_fvcore_counts_the_operations_of_the_reference():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # fvcore compiles an old loss when it is imported
        from fvcore.nn import FlopCountAnalysis
    analysis = FlopCountAnalysis(build().eval(), torch.zeros(1, 3, 321, 321)).unsupported_ops_warnings(enabled=False)
    parts = [analysis.by_module()[part] for part in ("", "encoder", "pyramid", "fusion")]
    assert [round(part / 1e9, 3) for part in parts] == [31.805, 16.579, 6.621, 8.472]


# The two halves and their stages.


def test_forward_is_decode_after_encode(image):
    network = build(5, **SMALL).eval()
    assert torch.equal(network(image), network.decode(network.encode(image), (40, 56)))


def test_decode_is_made_of_public_stages(image):
    network = build(5, **SMALL).eval()
    low, high = network.encode(image)
    logits = network.classify(network.fuse(low, network.context(high)))
    assert logits.shape == (2, 5, 10, 14)
    assert torch.equal(network.resize(logits, (40, 56)), network.decode((low, high), (40, 56)))


@pytest.mark.parametrize("size", [(321, 321), (97, 130), (33, 64)])
def test_logits_have_the_size_of_the_image(size):
    with torch.device("meta"):
        assert build_on_meta(7, encoder="resnet18")(torch.empty(2, 3, *size)).shape == (2, 7, *size)


@pytest.mark.parametrize("align_corners", [True, False])
def test_every_resize_treats_corners_alike(image, align_corners):
    network = build(5, **SMALL, align_corners=align_corners).eval()
    with patch.object(F, "interpolate", wraps=F.interpolate) as interpolate:
        network(image)
    resizes = [call for call in interpolate.call_args_list if call.args[0].shape[-2:] != (1, 1)]  # one pixel has no corners
    assert len(resizes) == 2
    assert {call.kwargs["align_corners"] for call in resizes} == {align_corners}


def test_aligned_corners_keep_their_values():
    ramp = torch.arange(4.0).reshape(1, 1, 2, 2)
    resized = build_on_meta(5, **SMALL).resize(ramp, (7, 9))[0, 0]
    assert resized[[0, 0, -1, -1], [0, -1, 0, -1]].tolist() == [0, 1, 2, 3]


def test_a_gradient_reaches_every_parameter_of_both_halves(image):
    network = build(5, **SMALL).train()
    F.cross_entropy(network(image), torch.zeros(2, 40, 56, dtype=torch.int64)).backward()
    encoder, decoder = network.parameter_groups()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in [*encoder.parameters, *decoder.parameters])


def test_logits_are_float32_under_bfloat16(image):
    network = build(5, **SMALL).eval()
    with torch.autocast("cpu", torch.bfloat16):
        features = network.encode(image)
        logits = network.decode(features, (40, 56))
    assert {feature.dtype for feature in features} == {torch.bfloat16}
    assert logits.dtype == torch.float32
    assert torch.allclose(logits, network(image), atol=0.05)


def test_channels_last_gives_the_same_logits(image):
    network = build(5, **SMALL).eval()
    expected = network(image)
    network = network.to(memory_format=torch.channels_last)
    assert torch.allclose(network(image.contiguous(memory_format=torch.channels_last)), expected, atol=1e-5)


def test_one_image_in_training_mode_is_refused_and_the_part_that_refuses_is_named(image):
    with pytest.raises(UsageError, match="image-level branch cannot normalize a pass of one image"):
        build(5, **SMALL).train()(image[:1])


def test_one_image_in_training_mode_is_taken_by_frozen_normalization(image):
    network = set_norm(build(5, **SMALL), "frozen").train()
    assert network(image[:1]).isfinite().all()


def test_the_network_is_found_by_its_file_name():
    assert find_class(NETWORK, "deeplabv3plus", Network) is DeepLabV3Plus


def test_an_unknown_option_is_refused_with_the_nearest_one():
    with pytest.raises(UsageError, match=r"unknown key 'output_strid' .*Nearest: output_stride"):
        DeepLabV3Plus.Config.parse({"output_strid": 8}, "the test")
