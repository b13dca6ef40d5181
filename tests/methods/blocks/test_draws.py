"""Random numbers of a sample."""

import torch

from semibench.methods.blocks.draws import uniforms


def test_draws_are_a_function_of_the_sample_s_seed_and_the_purpose() -> None:
    seeds = torch.arange(20)
    draws = uniforms(seeds, "patches", 8)
    assert torch.equal(draws[5:9], uniforms(seeds[5:9], "patches", 8))
    assert not torch.equal(draws, uniforms(seeds, "channels/0", 8))
    assert len({tuple(row.tolist()) for row in draws}) == 20


def test_draws_leave_the_global_random_state_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    uniforms(torch.arange(4), "patches", 8)
    assert torch.equal(torch.rand(2), expected)


def test_draws_are_uniform_in_the_unit_interval() -> None:
    draws = uniforms(torch.arange(10), "patches", 2000).flatten()
    assert draws.min() >= 0
    assert draws.max() < 1
    assert torch.allclose(torch.histc(draws.float(), 10, 0, 1) / len(draws), torch.tensor(0.1), atol=0.01)


def test_the_numbers_are_these_for_good() -> None:
    assert uniforms(torch.tensor([1]), "patches", 3).tolist() == [[0.7388885928336802, 0.9721362594562557, 0.4341225842129425]]
