"""The language-guided decoder: figures measured on SemiVL's code at 13ee65d, and what holds for any classes."""

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from semibench.methods.networks._language import LanguageDecoder, SemanticLayer, group_norm

REFERENCE = {"embedding": 512, "channels": 128, "rates": (6, 12, 18), "n_layers": 2}
VOC = {"skips": (768, 768), "skip_channels": (32, 16)}
CITYSCAPES = {"skips": (768, 256), "skip_channels": (32, 32)}


def build(**options: object) -> LanguageDecoder:
    torch.manual_seed(0)
    return LanguageDecoder(**({"skips": (12, 8), "skip_channels": (8, 4)} | options)).eval()


def build_on_meta(**options: object) -> LanguageDecoder:
    with torch.device("meta"):
        return build(**REFERENCE | options)


def build_small(**options: object) -> LanguageDecoder:
    return build(embedding=16, channels=32, rates=(1, 2), n_layers=2, **options)


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def features_on_meta(side: int, n_images: int = 1, fine: tuple[int, int] | None = None) -> tuple[Tensor, ...]:
    channels, fine_side = fine or (768, side)
    shapes = ((channels, fine_side), (768, side), (512, side))
    return tuple(torch.empty(n_images, width, length, length, device="meta") for width, length in shapes)


def note_shape(module: nn.Module, shapes: dict[str, tuple[int, ...]], name: str) -> None:
    def note(_: nn.Module, inputs: object, output: Tensor) -> None:
        shapes[name] = tuple(output.shape)

    module.register_forward_hook(note)


@pytest.fixture
def features() -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(1)
    return tuple(torch.randn(2, channels, 6, 9, generator=generator) for channels in (8, 12, 16))


@pytest.fixture
def text() -> Tensor:
    return torch.randn(5, 16, generator=torch.Generator().manual_seed(2))


# Figures of the reference


@pytest.mark.parametrize("options, expected", [(VOC, 2_217_185), (CITYSCAPES, 2_176_225)], ids=["VOC", "Cityscapes"])
def test_it_has_the_parameters_of_the_reference_which_know_no_number_of_classes(options, expected):
    assert count(build_on_meta(**options)) == expected


def test_each_part_has_the_parameters_of_the_reference():
    decoder = build_on_meta(**VOC)
    assert count(decoder.entry) == 6_400
    assert [count(branch) for branch in decoder.pyramid.branches] == [16_640, 147_712, 147_712, 147_712]
    assert (count(decoder.pyramid.pooling), count(decoder.pyramid.projection)) == (16_640, 82_176)
    assert (count(decoder.semantic), count(decoder.text)) == (1_054_208, 65_664)
    assert [count(skip) for skip in decoder.skips] == [221_216, 110_608]
    assert [count(doubling) for doubling in decoder.doublings] == [160_096, 40_112]
    assert count(decoder.exit) == 289


@pytest.mark.parametrize(
    "channels, groups", [(128, 8), (64, 4), (32, 2), (8, 1)], ids=["128", "64", "32", "fewer than a group"]
)
def test_sixteen_channels_are_normalized_together(channels, groups):
    assert group_norm(channels).num_groups == groups


@pytest.mark.parametrize("order", [torch.channels_last, torch.contiguous_format], ids=str)
@pytest.mark.parametrize("channels", [8, 32])
def test_the_normalization_is_torch_s_and_keeps_the_order_of_memory(channels, order):
    maps = torch.randn(2, channels, 5, 7, generator=torch.Generator().manual_seed(0)).to(memory_format=order)
    normed = group_norm(channels)(maps)
    torch.testing.assert_close(normed, nn.GroupNorm(max(channels // 16, 1), channels)(maps))
    assert normed.is_contiguous(memory_format=order)


@pytest.mark.parametrize("side, places, middle", [(32, 8, 64), (51, 12, 102)], ids=["crop 512", "crop 801"])
def test_maps_have_the_sizes_of_the_reference(side, places, middle):
    decoder, shapes = build_on_meta(**VOC), {}
    for name in ("entry", "pyramid", "text", "semantic.0.mixing", "doublings.0.enlarge", "doublings.0", "doublings.1"):
        note_shape(decoder.get_submodule(name), shapes, name)
    logits = decoder(features_on_meta(side, n_images=2), torch.empty(21, 512, device="meta"))
    assert shapes == {
        "entry": (42, 128, side, side),
        "pyramid": (42, 128, side, side),
        "text": (21, 128),
        "semantic.0.mixing": (2 * places**2, 21, 256),
        "doublings.0.enlarge": (42, 96, middle, middle),
        "doublings.0": (42, 64, middle, middle),
        "doublings.1": (42, 32, 2 * middle, 2 * middle),
    }
    assert logits.shape == (2, 21, 2 * middle, 2 * middle)


# The reference's counts leave the products of attention out and count norms and resizes, about 1 % of the whole.
@pytest.mark.parametrize(
    "n_classes, side, options, fine, expected",
    [(21, 32, VOC, None, 35.062e9), (81, 32, VOC, None, 134.263e9), (19, 51, CITYSCAPES, (256, 201), 82.167e9)],
    ids=["21 classes at 512", "81 classes at 512", "19 classes at 801"],
)
def test_it_costs_what_the_reference_costs(n_classes, side, options, fine, expected):
    decoder, counter = build_on_meta(**options), FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        decoder(features_on_meta(side, fine=fine), torch.empty(n_classes, 512, device="meta"))
    assert counter.get_total_flops() / 2 == pytest.approx(expected, rel=0.01)


# What holds for any classes


def test_an_order_of_classes_means_nothing(features, text):
    decoder, order = build_small(), torch.tensor([3, 0, 4, 1, 2])
    logits = decoder(features, text)
    assert torch.allclose(decoder(features, text[order]), logits[:, order], atol=1e-5)


def test_a_class_is_drawn_otherwise_beside_another_one(features, text):
    decoder, changed = build_small(), text.clone()
    changed[4] = -text[4]
    before, after = decoder(features, text), decoder(features, changed)
    assert (before[:, 0] - after[:, 0]).abs().max() > 1e-4


def test_only_semantic_layers_couple_classes(features, text):
    decoder, changed = build_small(), text.clone()
    decoder.semantic = nn.ModuleList()
    changed[4] = -text[4]
    assert torch.allclose(decoder(features, text)[:, :4], decoder(features, changed)[:, :4], atol=1e-6)


def test_images_of_a_batch_do_not_see_each_other(features, text):
    decoder = build_small()
    alone = torch.cat([decoder(tuple(maps[[i]] for maps in features), text) for i in range(2)])
    assert torch.allclose(decoder(features, text), alone, atol=1e-5)


def test_lengths_of_vectors_mean_nothing(features, text):
    decoder, (fine, coarse, embedding) = build_small(), features
    logits = decoder(features, text)
    assert torch.allclose(decoder((fine, coarse, 7 * embedding), 3 * text), logits, atol=1e-5)


@pytest.mark.parametrize("chunk", [1, 2, 3, 5, 8])
def test_chunks_of_classes_change_neither_logits_nor_gradients(features, text, chunk):
    whole, chunked = build_small(), build_small(class_chunk=chunk)
    logits = [decoder(features, text) for decoder in (whole, chunked)]
    assert torch.allclose(*logits, atol=1e-5)
    for values in logits:
        values.square().sum().backward()
    for one, other in zip(whole.parameters(), chunked.parameters(), strict=True):
        assert torch.allclose(one.grad, other.grad, rtol=1e-3, atol=1e-4)


def test_chunks_are_computed_anew_in_the_backward_pass(features, text):
    sizes: dict[int | None, int] = {}
    for chunk in (None, 1):
        decoder, sizes[chunk] = build_small(class_chunk=chunk), 0

        def pack(tensor: Tensor, chunk: int | None = chunk) -> Tensor:
            sizes[chunk] += tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            decoder(features, text)
    assert sizes[1] < sizes[None] / 3


def test_a_place_is_the_mean_of_four_patches_a_side_and_the_rest_is_not_read():
    torch.manual_seed(0)
    layer, text = SemanticLayer(16).eval(), torch.randn(3, 16)
    maps = torch.randn(1, 3, 16, 9, 8)
    changed = maps.clone()
    changed[..., 8, :] += 1  # the ninth row fills no place
    added = [layer(seen, text) - seen for seen in (maps, changed)]
    assert torch.allclose(*added, atol=1e-5)
    changed[..., 0, 0] += 1
    assert not torch.allclose(added[0], layer(changed, text) - changed, atol=1e-3)


def test_a_semantic_layer_equals_attention_written_out():
    torch.manual_seed(0)
    layer, tokens = SemanticLayer(8).eval(), torch.randn(2, 5, 16)
    normed, attention = layer.attention_norm(tokens), layer.attention
    query, key, value = (normed @ attention.in_proj_weight.T + attention.in_proj_bias).chunk(3, dim=2)
    heads = []
    for part in torch.arange(16).chunk(4):
        likeness = query[..., part] @ key[..., part].transpose(1, 2) / 4**0.5
        heads.append(likeness.softmax(dim=2) @ value[..., part])
    attended = tokens + attention.out_proj(torch.cat(heads, dim=2))
    expected = attended + layer.mixing(layer.norm(attended))
    assert torch.allclose(layer.attend(tokens), expected, atol=1e-5)


@pytest.mark.parametrize("size", [(3, 2), (1, 1), (5, 11)], ids=["smaller than a place", "one patch", "odd"])
def test_grids_of_any_size_are_taken(text, size):
    features = tuple(torch.randn(1, channels, *size) for channels in (8, 12, 16))
    assert build_small()(features, text).shape == (1, 5, 4 * size[0], 4 * size[1])
