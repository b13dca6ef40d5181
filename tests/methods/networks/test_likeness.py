"""Likeness of patches and rows, by hand and against a slow reference."""

import pytest
import torch
from torch import Tensor

from semibench.methods.networks._clip import Architecture, DenseClip
from semibench.methods.networks._likeness import Guide, class_maximum, cosines

SMALL = Architecture(width=16, layers=2, heads=2, patch=8, embedding=6, grid=4)


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_cosines_are_those_of_each_patch_with_each_row():
    embedding = torch.tensor([[3.0, 0.0], [4.0, 2.0]]).reshape(1, 2, 1, 2)
    assert cosines(embedding, torch.tensor([[5.0, 0.0], [0.0, 0.1]])).flatten(1).tolist() == [
        pytest.approx([0.6, 0.0, 0.8, 1.0])
    ]


def test_cosines_keep_their_digits_in_half_precision():
    embedding, text = random(2, 16, 6, 9), random(5, 16)
    expected = cosines(embedding, text)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(cosines(embedding, text), expected)


def test_a_class_is_as_likely_as_the_best_of_its_rows():
    rows, class_of_row = random(2, 7, 3, 4), torch.tensor([0, 2, 2, 1, 0, 0, 1])
    found = class_maximum(rows, class_of_row, 3)
    for index in range(3):
        assert torch.equal(found[:, index], rows[:, class_of_row == index].max(dim=1).values)


def test_one_row_a_class_is_left_as_it_is():
    rows = random(2, 3, 2, 2)
    assert torch.equal(class_maximum(rows, torch.arange(3), 3), rows)


def test_a_guide_is_the_tower_the_rows_and_their_classes():
    torch.manual_seed(0)
    guide = Guide(DenseClip(SMALL, (4, 4)), random(3, 6), torch.tensor([0, 0, 1]))
    image = random(2, 3, 32, 24)
    found, every = guide(image), cosines(guide.tower(image)[-1], guide.rows)
    assert found.shape == (2, 2, 4, 3)
    assert torch.equal(found[:, 0], every[:, :2].max(dim=1).values) and torch.equal(found[:, 1], every[:, 2])


def test_the_length_of_a_row_means_nothing_to_a_guide():
    torch.manual_seed(0)
    guide = Guide(DenseClip(SMALL, (4, 4)), random(2, 6), torch.arange(2))
    before = guide(random(1, 3, 32, 32))
    guide.rows *= 7
    assert torch.allclose(guide(random(1, 3, 32, 32)), before)
