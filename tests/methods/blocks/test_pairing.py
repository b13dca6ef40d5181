"""Pairs of labelled and unlabelled images."""

from itertools import permutations

import pytest
import torch
from torch import Tensor

from semibench.methods.blocks.pairing import most_similar_pairs, random_pairs


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("count", [1, 2, 5])
def test_random_pairs_of_as_many_images_are_a_permutation(count: int) -> None:
    drawn = {tuple(random_pairs(torch.arange(count) + 10 * step, count).tolist()) for step in range(200)}
    assert all(sorted(pairs) == list(range(count)) for pairs in drawn)
    assert len(drawn) > 1 or count == 1


def test_random_pairs_follow_from_the_seeds() -> None:
    assert torch.equal(random_pairs(torch.arange(5), 5), random_pairs(torch.arange(5), 5))


@pytest.mark.parametrize(("unlabeled", "labeled"), [(5, 2), (2, 5)])
def test_every_unlabelled_image_has_a_partner_whatever_their_numbers(unlabeled: int, labeled: int) -> None:
    for pairs in (
        random_pairs(torch.arange(unlabeled), labeled),
        most_similar_pairs(noise(unlabeled, 8), noise(labeled, 8, seed=1)),
    ):
        counts = torch.bincount(pairs, minlength=labeled)
        assert len(pairs) == unlabeled
        assert len(counts) == labeled
        assert counts.max() <= -(-unlabeled // labeled)


def test_identical_batches_are_paired_one_to_one() -> None:
    images = noise(6, 8)
    assert most_similar_pairs(images, images).tolist() == list(range(6))


def test_the_sum_of_cosines_is_the_greatest_of_all_permutations() -> None:
    unlabeled, labeled = noise(5, 3), noise(5, 3, seed=1)
    cosines = torch.nn.functional.cosine_similarity(unlabeled[:, None], labeled[None], dim=2)
    best = max(permutations(range(5)), key=lambda order: sum(cosines[row, column] for row, column in enumerate(order)))
    assert most_similar_pairs(unlabeled, labeled).tolist() == list(best)


def test_mixed_precision_changes_no_pair() -> None:
    unlabeled, labeled = noise(6, 8), noise(6, 8, seed=1)
    with torch.autocast("cpu", torch.bfloat16):
        pairs = most_similar_pairs(unlabeled.bfloat16().float(), labeled)
    assert torch.equal(pairs, most_similar_pairs(unlabeled.bfloat16().float(), labeled))


def test_lengths_of_descriptors_do_not_matter() -> None:
    unlabeled, labeled = noise(5, 3), noise(5, 3, seed=1)
    scaled = unlabeled * torch.tensor([0.1, 1, 10, 100, 1000])[:, None]
    assert torch.equal(most_similar_pairs(unlabeled, labeled), most_similar_pairs(scaled, labeled))
