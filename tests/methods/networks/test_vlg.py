"""SemiVL's network: figures of the reference at 13ee65d, and what becomes of a CLIP in it."""

from functools import cache

import pytest
import torch
from torch import Tensor, nn

from semibench.errors import UsageError
from semibench.harness.cost import count_operations
from semibench.methods.networks._clips import find_kind, stand_in
from semibench.methods.networks._norm import set_norm
from semibench.methods.networks.base import Network
from semibench.methods.networks.deeplab_clip import DeepLabClip
from semibench.methods.networks.vlg import Vlg
from semibench.plugins import NETWORK, find_class

CITYSCAPES = {"image_size": (801, 801), "conv_encoder": "resnet101c", "skip_channels": (32, 32), "renormalize": True}
TINY = {"encoder": "tiny", "channels": 16, "rates": (1,)}


@cache
def build_on_meta(n_classes: int = 21, **options: object) -> Vlg:
    with torch.device("meta"):
        return Vlg(Vlg.Config(**({"image_size": (512, 512)} | options)), n_classes)


def build_tiny(n_classes: int = 4, **options: object) -> Vlg:
    torch.manual_seed(0)
    return Vlg(Vlg.Config(**TINY | options), n_classes)


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def sizes(network: Network) -> dict[str, int]:
    return {group.name: sum(parameter.numel() for parameter in group.parameters) for group in network.parameter_groups()}


@pytest.fixture
def image() -> Tensor:
    return torch.randn(2, 3, 64, 48, generator=torch.Generator().manual_seed(1))


# Figures of the reference


def test_the_network_of_voc_has_the_parameters_of_the_reference():
    network = build_on_meta()
    assert count(network) == 89_045_729
    assert sizes(network) == {"encoder": 29_135_616, "decoder": 2_217_185, "conv_encoder": 0}


def test_the_network_of_cityscapes_has_the_parameters_of_the_reference():
    network = build_on_meta(19, **CITYSCAPES)
    assert count(network.encoder) == 87_962_112
    assert sizes(network) == {"encoder": 30_269_184, "decoder": 2_176_225, "conv_encoder": 244_576}


def test_only_attention_and_positions_of_clip_are_trained_unless_all_or_nothing_is():
    encoder, *_ = build_on_meta().parameter_groups()
    assert len(encoder.parameters) == 12 * 4 + 1
    assert sizes(build_on_meta(trained="all"))["encoder"] == 86_828_544
    assert sizes(build_on_meta(trained="none"))["encoder"] == 0


@pytest.mark.parametrize(
    "options, size, expected",
    [
        ({}, (512, 512), [(768, 32, 32), (768, 32, 32), (512, 32, 32)]),
        ({}, (480, 512), [(768, 30, 32), (768, 30, 32), (512, 30, 32)]),
        ({}, (512, 683), [(768, 32, 43), (768, 32, 43), (512, 32, 43)]),
        (CITYSCAPES, (801, 801), [(256, 201, 201), (768, 51, 51), (512, 51, 51)]),
        (CITYSCAPES, (490, 801), [(256, 123, 201), (768, 31, 51), (512, 31, 51)]),
    ],
    ids=["512", "480x512", "512x683", "Cityscapes", "Cityscapes, cut"],
)
def test_features_have_the_sizes_of_the_reference(options, size, expected):
    network = build_on_meta(**options)
    features = network.encode(torch.empty(2, 3, *size, device="meta"))
    assert [tuple(maps.shape[1:]) for maps in features] == expected
    assert network.decode(features, size).shape == (2, 21, *size)


def test_the_cost_of_the_encoder_is_that_of_a_hand_count_with_the_products_of_attention():
    tokens, width = 1 + 32 * 32, 768
    linear = (3 + 1 + 8) * width**2 * tokens  # projections, output, MLP
    products = 2 * tokens**2 * width  # by which fvcore's figure for the reference, 113.587 G, is too low in each of 12 blocks
    values = (1 + 1 + 8) * width**2 * 32 * 32  # of blocks 0, 4 and 11, the last of which is nothing else here
    edges = (3 * 16**2 + 512) * width * 32 * 32
    expected = 11 * (linear + products) + 3 * values + edges
    assert count_operations(build_on_meta().encoder, (512, 512)).macs == expected
    assert 12 * products == pytest.approx(19.37e9, rel=1e-3)


def test_the_cost_of_the_whole_is_that_of_its_parts():
    network = build_on_meta()
    whole, encoder = (count_operations(part, (512, 512)).macs for part in (network, network.encoder))
    assert whole - encoder == pytest.approx(35.062e9, rel=0.01)  # decoder, 21 classes


# What becomes of a CLIP


def test_blocks_of_skip_features_are_the_first_and_that_after_a_third():
    assert build_on_meta().encoder.levels == (0, 4)
    assert build_on_meta(**CITYSCAPES).encoder.levels == (4,)
    assert build_tiny().encoder.levels == (0, 1)
    assert build_tiny(levels=(0, 2)).encoder.levels == (0, 2)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"levels": (0,)}, r"levels = \[0\] does not name 2 of the blocks of tiny\. Name 2 from 0 to 3;"),
        ({"levels": (0, 1, 2)}, r"levels = \[0, 1, 2\] does not name 2"),
        ({"levels": ()}, r"levels = \[\] does not name 2"),
        ({"levels": (0, 4)}, r"levels = \[0, 4\] does not name 2"),
        ({"levels": (0, 1), "conv_encoder": "resnet18"}, r"levels = \[0, 1\] does not name 1"),
    ],
    ids=["too few", "too many", "none", "no such block", "beside a convolutional encoder"],
)
def test_other_levels_than_the_decoder_takes_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        build_tiny(**options)


def test_the_last_block_may_give_skip_features():
    assert build_tiny(levels=(0, 3)).encoder.levels == (0, 3)


def test_it_takes_over_the_image_tower_and_what_classes_are_called():
    network, clip = build_tiny(), stand_in("tiny")
    text = clip.encode_text(["a", "b", "c", "d"])
    network.start_from(clip, text)
    assert torch.equal(network.text, text)
    assert all(torch.equal(tensor, clip.visual[name]) for name, tensor in network.encoder.state_dict().items())


def test_names_of_classes_are_in_the_state_so_that_a_stored_network_needs_no_text_tower(image):
    stored, opened = build_tiny().eval(), build_tiny().eval()
    stored.start_from(stand_in("tiny"), torch.randn(4, 64))
    opened.load_state_dict(stored.state_dict())
    assert torch.equal(opened(image), stored(image))


def test_classes_are_told_apart_by_their_names_alone(image):
    network, text = build_tiny().eval(), torch.randn(4, 64)
    network.start_from(stand_in("tiny"), text)
    logits = network(image)
    network.start_from(stand_in("tiny"), text[[2, 0, 3, 1]])
    assert torch.allclose(network(image), logits[:, [2, 0, 3, 1]], atol=1e-5)


def test_the_embedding_need_not_be_of_unit_length(image):
    network = build_tiny().eval()
    network.start_from(stand_in("tiny"), torch.randn(4, 64))
    *skips, embedding = network.encode(image)
    logits = [network.decode((*skips, factor * embedding), (64, 48)) for factor in (1, 2)]
    assert torch.allclose(*logits, atol=1e-5)


def test_logits_pass_the_size_of_training_images_before_an_image_s_own(image):
    network = build_tiny(image_size=(32, 40)).eval()
    network.start_from(stand_in("tiny"), torch.randn(4, 64))
    features = network.encode(image)
    small = nn.functional.interpolate(network.decoder(features, network.text), (32, 40), mode="bilinear", align_corners=False)
    expected = nn.functional.interpolate(small, (64, 48), mode="bilinear", align_corners=False)
    assert torch.equal(network.decode(features, (64, 48)), expected)


@pytest.mark.parametrize("options", [{}, {"conv_encoder": "resnet18"}], ids=["CLIP alone", "with a convolutional encoder"])
def test_every_trained_parameter_gets_a_gradient(image, options):
    network = build_tiny(**options).train()
    network.start_from(stand_in("tiny"), torch.randn(4, 64))
    network(image).square().mean().backward()
    for group in network.parameter_groups():
        assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in group.parameters)


def test_the_last_block_s_queries_and_keys_get_no_gradient(image):
    network = build_tiny()
    network.start_from(stand_in("tiny"), torch.randn(4, 64))
    network(image).square().mean().backward()
    queries, keys, values = network.encoder.blocks[-1].attn.in_proj_weight.grad.chunk(3)
    assert not queries.any() and not keys.any() and values.any()


def test_frozen_normalization_takes_the_convolutional_encoder_s_out_of_training():
    network = set_norm(build_tiny(conv_encoder="resnet18"), "frozen")
    assert sizes(network)["conv_encoder"] == sum(
        module.weight.numel() for module in network.conv_encoder.modules() if isinstance(module, nn.Conv2d)
    )


@pytest.mark.parametrize("network", [Vlg, DeepLabClip])
def test_an_encoder_that_is_no_clip_is_refused(network):
    with pytest.raises(
        UsageError, match=r"encoder = 'resnet50s' in the test is not valid: Input should be 'ViT-B-16' or 'tiny'"
    ):
        network.Config.parse({"encoder": "resnet50s"}, "the test")


def test_a_convolutional_encoder_that_does_not_exist_is_refused():
    with pytest.raises(UsageError, match="encoder 'resnet101d_' not found"):
        build_tiny(conv_encoder="resnet101d_")


# The decoder that knows no names


def test_the_plain_decoder_has_the_parameters_of_the_reference():
    with torch.device("meta"):
        network = DeepLabClip(DeepLabClip.Config(image_size=(512, 512)), 21)
    assert (count(network.pyramid), count(network.reduction)) == (971_520, 36_960)
    assert sizes(network) == {"encoder": 29_135_616, "decoder": 1_862_773, "conv_encoder": 0}
    assert network.encoder.levels == (4,)


def test_the_plain_decoder_takes_any_size(image):
    network = DeepLabClip(DeepLabClip.Config(encoder="tiny", rates=(1,), channels=8, low_channels=4), 4)
    network.start_from(stand_in("tiny"), torch.zeros(4, 64))
    assert network(image).shape == (2, 4, 64, 48)


@pytest.mark.parametrize("name, expected", [("vlg", Vlg), ("deeplab_clip", DeepLabClip)])
def test_it_is_found_by_name_and_starts_with_the_usual_clip(name, expected):
    found = find_class(NETWORK, name, Network)
    assert found is expected
    assert find_kind(found.Config().encoder).image.layers == 12
