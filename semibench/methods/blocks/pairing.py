"""Which labelled image goes with which unlabelled one.

Shapes: N labelled images, M unlabelled images.
"""

import random

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor


def random_pairs(seeds: Tensor, n_labeled: int) -> Tensor:
    """Return the labelled image of each unlabelled one, (M,) int64: a random permutation, repeated where M > N.

    It is a function of the ``seeds`` (M,) of the unlabelled images.

    >>> sorted(random_pairs(torch.arange(4), 4).tolist())
    [0, 1, 2, 3]
    """
    generator = random.Random(f"pairs/{seeds.tolist()}")
    pairs: list[int] = []
    while len(pairs) < len(seeds):
        pairs += generator.sample(range(n_labeled), n_labeled)
    return torch.tensor(pairs[: len(seeds)])


def most_similar_pairs(unlabeled: Tensor, labeled: Tensor) -> Tensor:
    """Return the labelled image of each unlabelled one, (M,) int64, such that the sum of their cosines is greatest.

    ``unlabeled`` (M, C) and ``labeled`` (N, C) describe the images. A labelled image is used once, or up to ceil(M / N) times
    where M > N.

    >>> images = torch.eye(3)
    >>> most_similar_pairs(images[[2, 0, 1]], images).tolist()
    [2, 0, 1]
    """
    n, m = len(labeled), len(unlabeled)
    directions = [torch.nn.functional.normalize(of.detach().float(), dim=1) for of in (unlabeled, labeled)]
    with torch.autocast(labeled.device.type, enabled=False):
        similarity = (directions[0] @ directions[1].T).repeat(1, -(-m // n))
    _, chosen = linear_sum_assignment(similarity.cpu().numpy(), maximize=True)
    return torch.from_numpy(chosen) % n
