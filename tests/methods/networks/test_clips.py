"""CLIPs by name."""

from typing import get_args

import pytest
import torch

from semibench.errors import UsageError
from semibench.methods.networks._clips import KINDS, TINY, ClipName, find_kind, stand_in


def test_configurations_may_name_every_clip():
    assert get_args(ClipName) == tuple(KINDS)


def test_an_unknown_clip_is_refused_with_those_that_exist():
    with pytest.raises(UsageError, match="CLIP 'ViT-B-17' not found; nearest: ViT-B-16"):
        find_kind("ViT-B-17")


def test_a_stand_in_is_always_the_same_and_draws_no_numbers_of_its_own():
    torch.manual_seed(3)
    expected = torch.randn(3)
    torch.manual_seed(3)
    one, other = stand_in(TINY), stand_in(TINY)
    assert torch.equal(torch.randn(3), expected)
    assert all(torch.equal(one.visual[name], other.visual[name]) for name in one.visual)
    texts = ["a ring", "a cross"]
    assert torch.equal(one.encode_text(texts), other.encode_text(texts))


def test_the_text_of_a_stand_in_decides_its_row():
    rows = stand_in(TINY).encode_text(["a ring", "a cross", "a ring"])
    assert rows.shape == (3, find_kind(TINY).image.embedding)
    assert torch.equal(rows[0], rows[2])
    assert not torch.equal(rows[0], rows[1])


def test_a_tower_has_the_weights_and_the_grid_that_was_asked_for():
    clip = stand_in(TINY)
    tower = clip.tower((3, 5), (0,))
    assert tower.pos_embed.shape == (16, 128)
    assert torch.equal(tower.proj.weight, clip.visual["proj.weight"])
    assert len(tower(torch.randn(1, 3, 24, 40))) == 2
