"""Boundaries: against the Sobel filter on one-hot maps, and what its marks look like."""

from itertools import product
from typing import Literal

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from semibench.methods.blocks.boundaries import class_boundaries

PADDINGS: tuple[Literal["zero", "replicate"], ...] = ("zero", "replicate")


def slow_boundaries(label: Tensor, n_classes: int, padding: Literal["zero", "replicate"]) -> Tensor:
    """Sobel in x and y on the indicator of each class; magnitudes summed over classes."""
    sobel = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]], dtype=torch.float64)
    kernels = torch.stack([sobel, sobel.T]).unsqueeze(1)
    total = torch.zeros(label.shape, dtype=torch.float64)
    for k in range(n_classes):
        plane = (label == k).double().unsqueeze(1)
        padded = F.pad(plane, (1, 1, 1, 1), mode="constant" if padding == "zero" else "replicate")
        total += F.conv2d(padded, kernels).square().sum(dim=1).sqrt()
    return total > 0


def draw(seed: int, n_classes: int = 4, size: tuple[int, int] = (7, 6)) -> Tensor:
    return torch.randint(0, n_classes, (2, *size), generator=torch.Generator().manual_seed(seed))


def frame(height: int, width: int) -> Tensor:
    inside = torch.zeros(height, width, dtype=torch.bool)
    inside[1:-1, 1:-1] = True
    return ~inside


@given(st.integers(0, 10_000), st.integers(1, 4), st.sampled_from(PADDINGS))
def test_it_is_where_the_sum_of_sobel_magnitudes_is_above_zero(
    seed: int, n_classes: int, padding: Literal["zero", "replicate"]
) -> None:
    label = draw(seed, n_classes)
    assert torch.equal(class_boundaries(label, n_classes, padding), slow_boundaries(label, n_classes, padding))


def test_it_is_so_for_every_neighbourhood_of_two_classes() -> None:
    label = torch.tensor(list(product((0, 1), repeat=9))).reshape(-1, 3, 3)
    assert torch.equal(class_boundaries(label, 2), slow_boundaries(label, 2, "zero"))


def test_a_straight_border_is_marked_two_pixels_wide() -> None:
    label = torch.zeros(1, 5, 8, dtype=torch.int64)
    label[..., 4:] = 1
    marked = class_boundaries(label, 2, "replicate")
    assert marked.any(dim=1)[0].tolist() == marked.all(dim=1)[0].tolist() == [False] * 3 + [True] * 2 + [False] * 3


def test_a_constant_map_has_no_boundary_but_with_zero_padding_the_frame() -> None:
    label = torch.full((1, 5, 6), 2)
    assert not class_boundaries(label, 3, "replicate").any()
    assert torch.equal(class_boundaries(label, 3, "zero")[0], frame(5, 6))


def test_a_single_pixel_is_not_marked_itself_but_its_neighbours_are() -> None:
    label = torch.zeros(1, 5, 5, dtype=torch.int64)
    label[0, 2, 2] = 1
    marked = class_boundaries(label, 2, "replicate")[0]
    expected = torch.zeros(5, 5, dtype=torch.bool)
    expected[1:4, 1:4] = True
    expected[2, 2] = False
    assert torch.equal(marked, expected)


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("axis", [1, 2])
@given(seed=st.integers(0, 1000))
def test_a_flipped_map_has_the_flipped_boundary(padding: Literal["zero", "replicate"], axis: int, seed: int) -> None:
    label = draw(seed)
    assert torch.equal(class_boundaries(label.flip(axis), 4, padding), class_boundaries(label, 4, padding).flip(axis))


@given(st.integers(0, 1000), st.permutations(range(4)))
def test_names_of_classes_do_not_matter(seed: int, names: list[int]) -> None:
    label = draw(seed)
    assert torch.equal(class_boundaries(torch.tensor(names)[label], 4), class_boundaries(label, 4))


def test_void_is_clamped_to_the_last_class() -> None:
    label = draw(0)
    void = torch.where(label == 3, 255, label)
    assert torch.equal(class_boundaries(void, 4), class_boundaries(label, 4))
