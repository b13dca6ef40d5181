"""CLIP's image tower, used densely. Figures of ViT-B/16 are those of SemiVL's reference code."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from open_clip.transformer import LayerNorm, VisionTransformer
from torch import Tensor, nn

from semibench.methods.networks import _clip
from semibench.methods.networks._clip import CLIP, IMAGENET, Architecture, DenseClip
from semibench.methods.networks._clip_files import to_clip_tensors
from semibench.methods.networks._clips import KINDS

SMALL = Architecture(width=32, layers=4, heads=2, patch=8, embedding=16, grid=4)
VIT_B_16 = KINDS["ViT-B-16"].image


def build(levels: tuple[int, ...] = (0, 2), seed: int = 0, grid: tuple[int, int] = (4, 4), **options: bool) -> DenseClip:
    torch.manual_seed(seed)
    return DenseClip(SMALL, grid, levels, **options)


def draw(*size: int, n: int = 2) -> Tensor:
    return torch.randn(n, 3, *size, generator=torch.Generator().manual_seed(1))


def on_meta(side: int, levels: tuple[int, ...]) -> DenseClip:
    with torch.device("meta"):
        return DenseClip(VIT_B_16, (side, side), levels)


def count(network: nn.Module, *, trained: bool = False) -> int:
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad or not trained)


# Parameters.


@pytest.mark.parametrize(
    ("side", "total", "trained"),
    [
        pytest.param(512 // 16, 86_828_544, 29_135_616, id="512"),
        pytest.param(801 // 16, 87_962_112, 30_269_184, id="801"),
    ],
)
def test_vit_b_16_has_as_many_parameters_as_the_reference(side, total, trained):
    tower = on_meta(side, (0, 4))
    tower.train_only("attention")
    assert (count(tower), count(tower, trained=True)) == (total, trained)


def test_spatial_fine_tuning_trains_attention_and_positions_alone():
    tower = on_meta(32, (0, 4))
    tower.train_only("attention")
    trained = {name for name, parameter in tower.named_parameters() if parameter.requires_grad}
    assert len(trained) == 12 * 4 + 1
    assert all(".attn." in name or name == "pos_embed" for name in trained)


def test_all_or_nothing_can_be_trained():
    tower = build()
    tower.train_only("none")
    assert count(tower, trained=True) == 0
    tower.train_only("all")
    assert count(tower, trained=True) == count(tower)


# Shapes.


@pytest.mark.parametrize(
    ("size", "side", "expected"),
    [
        pytest.param((512, 512), 32, (32, 32), id="512"),
        pytest.param((480, 512), 32, (30, 32), id="480x512"),
        pytest.param((512, 683), 32, (32, 43), id="512x683"),
        pytest.param((801, 801), 50, (51, 51), id="801"),
        pytest.param((490, 801), 50, (31, 51), id="490x801"),
    ],
)
def test_features_have_the_reference_s_shapes(size, side, expected):
    features = on_meta(side, (0, 4))(torch.empty(1, 3, *size, device="meta"))
    assert [tuple(feature.shape) for feature in features] == [(1, 768, *expected), (1, 768, *expected), (1, 512, *expected)]


def test_levels_come_in_the_order_in_which_they_were_asked_for():
    image = draw(32, 32)
    first, second = build((0, 2))(image)[:2]
    assert all(map(torch.equal, build((2, 0))(image)[:2], (second, first)))


# What is computed.


def test_the_embedding_has_unit_length_at_every_patch():
    length = build()(draw(32, 32))[-1].norm(dim=1)
    torch.testing.assert_close(length, torch.ones_like(length))


def test_block_0_sees_its_own_patch_alone_and_every_later_feature_the_whole_image():
    tower, image = build((0, 2)), draw(32, 32, n=1)
    changed = image.clone()
    changed[..., 8:16, 16:24] += 1
    first, later, embedding = ((a != b).any(dim=1)[0] for a, b in zip(tower(image), tower(changed), strict=True))
    assert first.nonzero().tolist() == [[1, 2]]
    assert later.all()
    assert embedding.all()


def test_an_image_is_padded_with_zeros_at_the_right_and_the_bottom():
    tower, image = build(), draw(29, 26)
    padded = torch.zeros(2, 3, 32, 32)
    padded[..., :29, :26] = image
    assert all(map(torch.equal, tower(image), tower(padded)))


def test_blocks_are_open_clip_s_with_the_exact_gelu_and_a_small_eps():
    tower, image = build(), draw(32, 32)
    theirs = VisionTransformer(
        32, 8, 32, 4, 2, 4.0, output_dim=16, act_layer=nn.GELU, norm_layer=partial(LayerNorm, eps=1e-6)
    ).eval()
    theirs.load_state_dict({k.removeprefix("visual."): v for k, v in to_clip_tensors(tower.state_dict()).items()})
    tokens, _ = tower._tokenize(image)
    for block, other in zip(tower.blocks, theirs.transformer.resblocks, strict=True):
        torch.testing.assert_close(block.values(tokens), other(tokens, attn_mask=_own_token_alone(17)), atol=1e-5, rtol=1e-4)
        expected = other(tokens)
        tokens = block(tokens)
        torch.testing.assert_close(tokens, expected, atol=1e-5, rtol=1e-4)


def test_on_a_cpu_tokens_attend_to_each_other_in_float32_whatever_the_precision():
    tower = build()
    attention, tokens = tower.blocks[0].attn, torch.randn(2, 17, 32, generator=torch.Generator().manual_seed(1))
    with torch.autocast("cpu", torch.bfloat16):
        attended = attention(tokens)
        projected = F.linear(tokens, attention.in_proj_weight, attention.in_proj_bias)
    queries, keys, values = (part.unflatten(-1, (2, 16)).transpose(1, 2).float() for part in projected.chunk(3, dim=-1))
    mixed = (queries @ keys.mT / 4).softmax(dim=-1) @ values
    with torch.autocast("cpu", torch.bfloat16):
        expected = attention.out_proj(mixed.transpose(1, 2).flatten(2))
    assert attended.dtype == torch.bfloat16
    torch.testing.assert_close(attended, expected, atol=1e-6, rtol=0)  # bfloat16 throughout differs by 1e-3


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_a_tower_of_another_type_without_autocast_is_taken(dtype):
    assert build().blocks[0].attn.to(dtype)(torch.ones(1, 17, 32, dtype=dtype)).dtype == dtype


def _own_token_alone(n: int) -> Tensor:
    return torch.full((n, n), -torch.inf).fill_diagonal_(0)


def test_the_features_are_value_paths_of_patches_and_the_last_one_is_projected():
    tower, image = build((1,)), draw(32, 32)
    tokens, _ = tower._tokenize(image)
    tokens = tower.blocks[0](tokens)
    level, embedding = tower(image)
    torch.testing.assert_close(level.flatten(2).mT, tower.blocks[1].values(tokens)[:, 1:])
    last = tower.blocks[3].values(tower.blocks[2](tower.blocks[1](tokens)))[:, 1:]
    projected = tower.ln_post(last) @ tower.proj.weight[:, :, 0, 0].mT
    torch.testing.assert_close(embedding.flatten(2).mT, F.normalize(projected, dim=-1))


def test_renormalizing_equals_an_image_that_was_normalized_with_clip_s_statistics():
    colors = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(2))

    def normalized(mean: tuple[float, ...], deviation: tuple[float, ...]) -> Tensor:
        return (colors - torch.tensor(mean)[:, None, None]) / torch.tensor(deviation)[:, None, None]

    expected = build()(normalized(*CLIP))[-1]
    torch.testing.assert_close(build(renormalize=True)(normalized(*IMAGENET))[-1], expected, atol=1e-5, rtol=1e-4)


# Positions.


def test_positions_are_resized_once_when_weights_are_loaded():
    tower, source = build(grid=(6, 6)), build().state_dict()
    tower.load(source)
    maps = source["pos_embed"][1:].T.reshape(1, 32, 4, 4)
    expected = F.interpolate(maps, size=(6, 6), mode="bicubic", align_corners=False)[0].flatten(1).T
    assert torch.equal(tower.pos_embed[0], source["pos_embed"][0])
    torch.testing.assert_close(tower.pos_embed[1:].detach(), expected)
    torch.testing.assert_close(tower.state_dict()["class_token"], source["class_token"])


@pytest.mark.parametrize(
    ("size", "wanted"), [pytest.param((32, 32), [], id="of its own grid"), pytest.param((40, 24), [(5, 3)], id="of another")]
)
def test_an_image_of_another_grid_has_them_resized_again(size, wanted, monkeypatch):
    seen = []

    def interpolate(maps: Tensor, to: tuple[int, int], **options: object) -> Tensor:
        seen.append(to)
        return F.interpolate(maps, to, **options)

    monkeypatch.setattr(_clip, "F", _Spy(interpolate))
    build()(draw(*size))
    assert seen == wanted


class _Spy:
    def __init__(self, interpolate: object) -> None:
        self.interpolate = interpolate

    def __getattr__(self, name: str) -> object:
        return getattr(F, name)


def test_gradients_reach_positions_through_the_resizing():
    tower = build()
    tower(draw(40, 24))[-1][:, 0].sum().backward()
    assert (tower.pos_embed.grad.abs().sum(dim=1) > 0).all()


# Gradients.


def test_queries_and_keys_of_the_last_block_alone_get_no_gradient():
    tower = build()
    tower.train_only("attention")
    sum(feature[:, 0].sum() for feature in tower(draw(32, 32))).backward()
    queries_and_keys = [block.attn.in_proj_weight.grad[:64].abs().sum().item() for block in tower.blocks]
    values = [block.attn.in_proj_weight.grad[64:].abs().sum().item() for block in tower.blocks]
    assert queries_and_keys[-1] == 0
    assert min(queries_and_keys[:-1]) > 0
    assert min(values) > 0


@pytest.mark.parametrize("part", ["attention", "all"])
def test_every_trained_parameter_gets_a_gradient(part):
    tower = build(())
    tower.train_only(part)
    tower(draw(32, 32))[-1][:, 0].sum().backward()
    assert all(parameter.grad is not None for parameter in tower.parameters() if parameter.requires_grad)


def test_checkpointing_changes_neither_features_nor_gradients():
    gradients = []
    for tower in (build(), build(checkpointing=True)):
        features = tower(draw(32, 32))
        sum(feature[:, 0].sum() for feature in features).backward()
        gradients.append([*features, *(parameter.grad for parameter in tower.parameters())])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)
