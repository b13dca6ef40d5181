"""MITrans and its non-local block."""

import pytest
import torch

from semibench.methods.networks._mitrans import MITrans, NonLocal


@pytest.mark.parametrize("width", [None, 4, 12])
def test_the_shape_is_kept(width: int | None) -> None:
    assert MITrans(8, width)(torch.randn(2, 8, 5, 7)).shape == (2, 8, 5, 7)


def test_the_non_local_block_starts_as_the_identity() -> None:
    maps = torch.randn(2, 8, 5, 7)
    assert torch.equal(NonLocal(8)(maps), maps)


def test_rows_of_the_attention_sum_to_one() -> None:
    attention = NonLocal(8).attend(torch.randn(2, 8, 5, 7))
    assert attention.shape == (2, 35, 35)
    assert torch.allclose(attention.sum(dim=2), torch.ones(2, 35))


def test_the_non_local_block_adds_what_it_attends_to() -> None:
    block, maps = NonLocal(4), torch.randn(1, 4, 2, 3)
    torch.nn.init.normal_(block.output.weight)
    query, key, value = (layer(maps)[0].flatten(1) for layer in (block.query, block.key, block.value))
    expected = maps.clone()
    for pixel in range(6):
        weights = torch.softmax(torch.stack([query[:, pixel] @ key[:, other] for other in range(6)]) / 2**0.5, dim=0)
        gathered = sum(weight * value[:, other] for other, weight in enumerate(weights))
        expected[0, :, pixel // 3, pixel % 3] += block.output.weight[:, :, 0, 0] @ gathered + block.output.bias
    assert torch.allclose(block(maps), expected, atol=1e-5)


def test_at_2048_channels_it_has_about_159_million_parameters() -> None:
    with torch.device("meta"):
        module = MITrans(2048)
    assert sum(parameter.numel() for parameter in module.parameters()) / 1e6 == pytest.approx(159, abs=1)
