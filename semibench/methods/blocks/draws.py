"""Random numbers of a sample, from its own seed: no draw depends on the other samples of a batch or on global state."""

import numpy as np
import torch
from torch import Tensor

from semibench.hashing import derive_seed


def uniforms(seeds: Tensor, purpose: str, count: int) -> Tensor:
    """Return ``count`` numbers in [0, 1) for each of M samples, (M, count) float64 on the CPU.

    They are a function of seed and purpose: the bits of PCG64, which NumPy promises not to change.

    >>> draws = uniforms(torch.tensor([7, 8, 7]), "patches", 5)
    >>> draws.shape, torch.equal(draws[0], draws[2]), torch.equal(draws[0], draws[1])
    (torch.Size([3, 5]), True, False)
    """
    bits = [np.random.PCG64(derive_seed(purpose, seed)).random_raw(count) for seed in seeds.tolist()]
    return torch.from_numpy((np.stack(bits) >> np.uint64(11)) * 2.0**-53)  # as NumPy makes its doubles
