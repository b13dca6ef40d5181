"""Patch masks: their geometry, and that exactly as many cells are hidden as asked for."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from semibench.errors import UsageError
from semibench.methods.blocks.masking import patch_masks

SEEDS = torch.arange(4)


def hidden_cells(mask: torch.Tensor, side: int) -> list[int]:
    """Return how many cells of each image are hidden; the first pixel of a cell stands for it."""
    return (~mask[:, 0, ::side, ::side]).sum(dim=(1, 2)).tolist()


@pytest.mark.parametrize(
    ("size", "side", "cells", "hidden"), [(321, 32, 121, 85), (801, 64, 169, 118)], ids=["VOC", "Cityscapes"]
)
def test_the_number_of_hidden_cells_is_exact_in_every_image(size: int, side: int, cells: int, hidden: int) -> None:
    mask = patch_masks(SEEDS, (size, size), side, 0.7)
    assert mask[0, 0, ::side, ::side].numel() == cells
    assert hidden_cells(mask, side) == [hidden] * 4


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 50), st.floats(0, 1))
def test_every_size_side_and_ratio_hides_the_rounded_number_of_cells(height: int, width: int, side: int, ratio: float) -> None:
    mask = patch_masks(SEEDS, (height, width), side, ratio)
    n = -(-height // side) * -(-width // side)
    assert mask.shape == (4, 1, height, width)
    assert mask.dtype == torch.bool
    assert hidden_cells(mask, side) == [int(ratio * n + 0.5)] * 4


def test_a_mask_is_constant_inside_each_cell() -> None:
    mask = patch_masks(SEEDS, (10, 7), 4, 0.5)
    for row in range(0, 10, 4):
        for column in range(0, 7, 4):
            cell = mask[:, 0, row : row + 4, column : column + 4].flatten(1)
            assert torch.equal(cell.all(dim=1), cell.any(dim=1))


@pytest.mark.parametrize(("ratio", "visible"), [(0.0, 1.0), (1.0, 0.0)])
def test_the_ratio_zero_hides_nothing_and_one_everything(ratio: float, visible: float) -> None:
    assert patch_masks(SEEDS, (9, 9), 4, ratio).float().mean().item() == visible


@pytest.mark.parametrize("ratio", [-0.1, 1.1])
def test_a_ratio_outside_of_the_unit_interval_is_refused(ratio: float) -> None:
    with pytest.raises(UsageError, match=str(ratio)):
        patch_masks(SEEDS, (8, 8), 4, ratio)


def test_the_share_of_hidden_pixels_varies_only_with_the_cells_at_the_edge() -> None:
    shares = patch_masks(torch.arange(60), (321, 321), 32, 0.7).float().mean(dim=(1, 2, 3))
    assert shares.mean().item() == pytest.approx(0.3, abs=0.01)
    assert 0.26 < shares.min() < shares.max() < 0.34
    assert patch_masks(SEEDS, (320, 320), 32, 0.7).float().mean(dim=(1, 2, 3)).tolist() == pytest.approx([0.3] * 4)


def test_images_have_different_masks_and_equal_seeds_equal_ones() -> None:
    masks = patch_masks(SEEDS, (64, 64), 8, 0.5)
    assert len({tuple(mask.flatten().tolist()) for mask in masks}) == 4
    assert torch.equal(masks[1:3], patch_masks(SEEDS[1:3], (64, 64), 8, 0.5))


def test_every_cell_is_hidden_about_as_often_as_every_other() -> None:
    often = (~patch_masks(torch.arange(800), (16, 16), 4, 0.5)[:, 0, ::4, ::4]).float().mean(dim=0)
    assert torch.allclose(often, torch.tensor(0.5), atol=0.07)
