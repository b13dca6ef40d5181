from functools import cache

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from semibench.errors import UsageError
from semibench.methods.networks._encoders import build_encoder


def rates(encoder: nn.Module, stage: str) -> list[int]:
    """Dilation of the 3x3 convolutions of a ResNet's stage."""
    convolutions = [module for name, module in encoder.named_modules() if name.startswith(stage)]
    return [m.dilation[0] for m in convolutions if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)]


@cache
def build_on_meta(name: str, output_stride: int) -> nn.Module:
    with torch.device("meta"):
        return build_encoder(name, output_stride)[0]


@pytest.mark.parametrize(
    ("name", "output_stride"),
    [("resnet50s", 8), ("resnet50s", 16), ("resnet18", 32), ("mobilenetv2", 16), ("convnext_tiny", 16), ("tiny", 8)],
)
def test_an_encoder_gives_a_map_at_stride_4_and_one_at_its_output_stride(name, output_stride):
    with torch.device("meta"):
        encoder, channels = build_encoder(name, output_stride)
        low, high = encoder(torch.empty(2, 3, 96, 64))
    assert low.shape == (2, channels[0], 24, 16)
    assert high.shape == (2, channels[1], 96 // output_stride, 64 // output_stride)


def test_at_output_stride_16_the_first_block_of_the_dilated_stage_keeps_the_rate_before():
    encoder = build_on_meta("resnet50s", 16)
    assert rates(encoder, "layer3") == [1] * 6
    assert rates(encoder, "layer4") == [1, 2, 2]


def test_at_output_stride_8_two_stages_are_dilated():
    encoder = build_on_meta("resnet50s", 8)
    assert rates(encoder, "layer3") == [1, 2, 2, 2, 2, 2]
    assert rates(encoder, "layer4") == [2, 4, 4]


def test_resnets_have_the_names_of_the_reference():
    names = set(build_on_meta("resnet50s", 16).state_dict())
    assert {"conv1.0.weight", "conv1.6.weight", "bn1.weight", "layer1.0.conv1.weight", "layer4.2.bn3.running_var"} <= names
    assert not any(name.startswith("fc.") for name in names)


def test_every_normalization_of_a_resnet_starts_as_the_identity():
    encoder, _ = build_encoder("resnet18", 16)
    layers = [module for module in encoder.modules() if isinstance(module, nn.BatchNorm2d)]
    assert all((layer.weight == 1).all() and (layer.bias == 0).all() for layer in layers)


def test_resnet_convolutions_start_with_the_variance_of_their_fan_out():
    encoder, _ = build_encoder("resnet18", 16)
    weight = encoder.layer4[1].conv2.weight
    assert weight.std().item() == pytest.approx((2 / (512 * 9)) ** 0.5, rel=0.01)


def test_initial_values_follow_from_the_seed():
    first, second = (build_seeded("resnet18"), build_seeded("resnet18"))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def build_seeded(name: str) -> nn.Module:
    torch.manual_seed(5)
    return build_encoder(name, 16)[0]


def test_the_tiny_encoder_has_about_a_tenth_of_a_million_parameters():
    count = sum(parameter.numel() for parameter in build_on_meta("tiny", 8).parameters())
    assert 60_000 < count < 200_000


def test_an_unknown_encoder_is_refused_with_the_nearest_names():
    with pytest.raises(UsageError, match=r"encoder 'resnet50z' not found; nearest: .*resnet50s"):
        build_encoder("resnet50z", 16)


def test_a_name_that_would_need_a_download_is_unknown():
    with pytest.raises(UsageError, match="not found"):
        build_encoder("hf-hub:timm/resnet18.a1_in1k", 16)


@pytest.mark.parametrize("name", ["vgg16", "vit_small_patch16_224", "swin_tiny_patch4_window7_224"])
def test_an_encoder_that_cannot_be_dilated_is_refused(name):
    with pytest.raises(UsageError, match=f"encoder '{name}' cannot give maps at strides 4 and 16"):
        build_encoder(name, 16)


def test_the_tiny_encoder_names_its_only_output_stride():
    with pytest.raises(UsageError, match=r"no output stride 16\. Set network.output_stride to 8"):
        build_encoder("tiny", 16)


# Multi-grid: the last residual blocks have rates of their own.


@pytest.mark.parametrize(
    ("name", "output_stride", "multi_grid", "expected"),
    [
        pytest.param("resnet50s", 16, (1, 2, 4), [2, 4, 8], id="R50-16"),
        pytest.param("resnet50s", 8, (1, 2, 4), [4, 8, 16], id="R50-8"),
        pytest.param("wide_resnet50_2", 16, (1, 2, 4), [2, 4, 8], id="wide"),
        pytest.param("resnet18c", 16, (1, 2), [2, 2, 4, 4], id="R18"),
    ],
)
def test_multi_grid_multiplies_the_rate_of_the_last_stage(name, output_stride, multi_grid, expected):
    with torch.device("meta"):
        encoder, _ = build_encoder(name, output_stride, multi_grid)
    assert rates(encoder, "layer4") == expected
    assert set(rates(encoder, "layer2")) == {1}


def test_multi_grid_changes_neither_shapes_nor_parameters():
    with torch.device("meta"):
        encoder, _ = build_encoder("resnet18c", 16, (1, 2))
        _, high = encoder(torch.empty(1, 3, 128, 128))
    assert high.shape == (1, 512, 8, 8)
    assert encoder.state_dict().keys() == build_on_meta("resnet18c", 16).state_dict().keys()


def test_an_encoder_without_residual_blocks_has_no_multi_grid():
    with pytest.raises(UsageError, match="encoder 'tiny' has no 3 residual blocks to dilate"):
        build_encoder("tiny", 8, (1, 2, 4))


@pytest.mark.parametrize(
    ("name", "output_stride", "multi_grid", "millions", "gmacs", "stride"),
    [  # of the networks of Multi-Granularity Distillation, at 512 x 512
        pytest.param("resnet101s", 16, (1, 2, 4), 42.62, 58.90, 16, id="deep teacher"),
        pytest.param("wide_resnet50_2", 16, (1, 2, 4), 66.83, 90.95, 16, id="wide teacher"),
        pytest.param("resnet18c", 16, (1, 2), 11.20, 17.17, 16, id="student R18"),
        pytest.param("mobilenetv2", 32, (2, 4, 8), 1.81, 1.46, 32, id="student MBv2"),
    ],
)
def test_encoders_have_the_parameters_operations_and_strides_of_the_reference(
    name, output_stride, multi_grid, millions, gmacs, stride
):
    with torch.device("meta"):
        encoder, _ = build_encoder(name, output_stride, multi_grid)
        with FlopCounterMode(display=False) as counter:
            encoder.eval()(torch.empty(1, 3, 512, 512))
        low, high = encoder(torch.empty(1, 3, 128, 128))
    assert sum(parameter.numel() for parameter in encoder.parameters()) / 1e6 == pytest.approx(millions, abs=0.005)
    assert counter.get_total_flops() / 2e9 == pytest.approx(gmacs, rel=0.01)
    assert (low.shape[-1], high.shape[-1]) == (32, 128 // stride)


def test_the_wide_teacher_has_3x3_convolutions_of_128_channels():
    assert build_on_meta("wide_resnet50_2", 16).layer1[0].conv2.out_channels == 128
