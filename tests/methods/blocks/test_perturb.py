"""Channel dropout."""

import torch

from semibench.methods.blocks.perturb import drop_channels

SEEDS = torch.arange(6)


def test_a_channel_is_dropped_or_scaled_as_a_whole() -> None:
    maps = torch.rand(6, 32, 3, 5) + 1
    factor = drop_channels(maps, SEEDS, 0.5) / maps
    assert torch.allclose(factor, factor[..., :1, :1].expand_as(factor))
    assert set(factor.round(decimals=4).flatten().tolist()) == {0.0, 2.0}


def test_half_of_the_channels_are_dropped_and_the_mean_is_kept() -> None:
    dropped = drop_channels(torch.ones(6, 2048, 1, 1), SEEDS, 0.5)
    assert abs((dropped == 0).float().mean().item() - 0.5) < 0.02
    assert abs(dropped.mean().item() - 1) < 0.04


def test_samples_and_maps_lose_different_channels() -> None:
    maps = torch.ones(6, 64, 1, 1)
    first, second = drop_channels(maps, SEEDS, 0.5, level=0), drop_channels(maps, SEEDS, 0.5, level=1)
    assert not torch.equal(first, second)
    assert len({tuple(sample.flatten().tolist()) for sample in first}) == 6


def test_which_channels_is_a_function_of_the_sample_s_seed() -> None:
    maps = torch.ones(6, 64, 1, 1)
    assert torch.equal(drop_channels(maps, SEEDS, 0.5)[2:4], drop_channels(maps[2:4], SEEDS[2:4], 0.5))


def test_the_rate_zero_changes_nothing() -> None:
    maps = torch.randn(6, 8, 2, 2)
    assert torch.equal(drop_channels(maps, SEEDS, 0.0), maps)


def test_dropped_channels_pass_no_gradient_and_the_type_is_kept() -> None:
    maps = torch.ones(6, 16, 2, 2, dtype=torch.bfloat16, requires_grad=True)
    dropped = drop_channels(maps, SEEDS, 0.5)
    dropped.sum().backward()
    assert dropped.dtype == torch.bfloat16
    assert maps.grad is not None
    assert torch.equal(maps.grad == 0, dropped == 0)
