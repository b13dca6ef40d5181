"""Dense conditional random field as post-processing: mean field over all pairs of pixels (Krähenbühl & Koltun 2011).

Paper: arXiv 1210.5644; its body was not read. Read: lucasb-eyer/pydensecrf, whose model and normalization these are. That
package has no binary for Python 3.11 and its core is no longer developed, so this is an implementation of our own.

Deviation: the bilateral kernel is approximated on a sparse grid with one cell a standard deviation, there on a permutohedral
lattice. The spatial kernel is exact up to four standard deviations.

Shapes: K classes, H x W pixels, n = H * W.
"""

from collections.abc import Callable
from itertools import product
from typing import Annotated, Any  # scipy's sparse matrices have no narrower type

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy import sparse
from scipy.ndimage import gaussian_filter
from scipy.special import softmax

from semibench.records import Record

Planes = NDArray[np.float32]  # (n, K)
Filter = Callable[[Planes], Planes]
Positive = Annotated[float, Field(gt=0)]
Weight = Annotated[float, Field(ge=0)]


class DenseCrf(Record):
    """Parameters of the two kernels. Source: kazuto1011/deeplab-pytorch, DeepLabV2 with ResNet-101 on Pascal VOC."""

    bilateral_weight: Weight = 4.0  # w1
    bilateral_space: Positive = 67.0  # sigma alpha, pixels
    bilateral_color: Positive = 3.0  # sigma beta, of 255
    spatial_weight: Weight = 3.0  # w2
    spatial_space: Positive = 1.0  # sigma gamma, pixels; 3 in the paper
    iterations: Annotated[int, Field(ge=0)] = 10


def refine(probabilities: NDArray[np.float32], image: NDArray[np.uint8], crf: DenseCrf) -> NDArray[np.float32]:
    """Return probabilities (K, H, W) after mean field on their own image (H, W, 3) RGB.

    Each iteration sets Q(l) to the softmax of log P(l) + sum_m w_m K_m Q(l), where K_m is kernel m, the pixel itself
    included, normalized symmetrically: divided by the square roots of both pixels' row sums.

    >>> uneven = np.full((2, 1, 5), 0.4, np.float32)
    >>> uneven[1] = 0.6
    >>> refine(uneven, np.zeros((1, 5, 3), np.uint8), DenseCrf()).argmax(axis=0).tolist()
    [[1, 1, 1, 1, 1]]
    """
    n_classes, *size = probabilities.shape
    n_pixels = size[0] * size[1]
    bilateral = normalized(bilateral_filter(image, crf.bilateral_space, crf.bilateral_color), n_pixels)
    spatial = normalized(spatial_filter((size[0], size[1]), crf.spatial_space), n_pixels)
    likelihood = np.log(probabilities.reshape(n_classes, -1).T.clip(1e-5, 1))  # the negative unary energy, as clipped there
    marginals = softmax(likelihood, axis=1)
    for _ in range(crf.iterations):
        message = crf.bilateral_weight * bilateral(marginals) + crf.spatial_weight * spatial(marginals)
        marginals = softmax(likelihood + message, axis=1)
    refined: NDArray[np.float32] = marginals.T.reshape(probabilities.shape).astype(np.float32)
    return refined


def normalized(kernel: Filter, n_pixels: int) -> Filter:
    """Return the filter divided by the square roots of the row sums of both pixels; constant factors cancel."""
    scale = 1 / np.sqrt(kernel(np.ones((n_pixels, 1), np.float32)) + 1e-20)
    return lambda planes: scale * kernel(scale * planes)


def spatial_filter(size: tuple[int, int], deviation: float) -> Filter:
    """Return the Gaussian of the distance in pixels, up to a constant factor."""

    def apply(planes: Planes) -> Planes:
        shaped = planes.reshape(*size, -1)
        smoothed: Planes = gaussian_filter(shaped, (deviation, deviation, 0), mode="constant", truncate=4)
        return smoothed.reshape(planes.shape)

    return apply


def bilateral_filter(image: NDArray[np.uint8], space: float, color: float) -> Filter:
    """Return the Gaussian of distance and color difference of an image (H, W, 3), up to a constant factor.

    Each pixel spreads to the 32 corners of its cell in a grid over (y, x, R, G, B), the grid is blurred along each axis,
    and each pixel collects from its corners. Both triangles have a variance of 1/6, three equal taps one of 2/3: 1 in all.
    """
    height, width, _ = image.shape
    rows, columns = np.mgrid[:height, :width]
    features = np.column_stack([rows.ravel() / space, columns.ravel() / space, image.reshape(-1, 3) / color])
    splat, cells = _splat(features)
    blurs = [_blur(cells, axis) for axis in range(cells.shape[1])]

    def apply(planes: Planes) -> Planes:
        grid = splat.T @ planes
        for blur in blurs:
            grid = blur @ grid
        collected: Planes = splat @ grid
        return collected

    return apply


def _splat(features: NDArray[np.float64]) -> tuple[Any, NDArray[np.int64]]:
    """Return the weights of each point in each grid cell, (n, cells) sparse, and the integer coordinates of the cells."""
    n, axes = features.shape
    base = np.floor(features).astype(np.int64)
    part = (features - base).astype(np.float32)
    corners = np.array(list(product((0, 1), repeat=axes)))
    weights = np.ones((n, len(corners)), np.float32)
    for axis, side in enumerate(corners.T):
        weights *= np.where(side == 1, part[:, axis, None], 1 - part[:, axis, None])
    codes, strides = _encode((base[:, None] + corners).reshape(-1, axes))
    known, index = np.unique(codes, return_inverse=True)
    cells = known[:, None] // strides % _SIDE
    offsets = np.arange(n + 1) * len(corners)
    return sparse.csr_matrix((weights.ravel(), index.ravel(), offsets), shape=(n, len(known))), cells


def _blur(cells: NDArray[np.int64], axis: int) -> Any:
    """Return the sum over a cell and its two neighbors along an axis, as far as they are in the grid."""
    codes, strides = _encode(cells)
    total = sparse.identity(len(codes), np.float32, format="csr")
    place = np.searchsorted(codes, codes + strides[axis]).clip(max=len(codes) - 1)
    own = np.flatnonzero(codes[place] == codes + strides[axis])
    ones = np.ones(len(own), np.float32)
    next_one = sparse.csr_matrix((ones, (own, place[own])), shape=total.shape)
    return total + next_one + next_one.T


_SIDE = 2**12  # cells along an axis: 4,096 standard deviations; five of them fit into 63 bits


def _encode(cells: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return one number for each cell, and what a step along each axis adds to it."""
    strides = _SIDE ** np.arange(cells.shape[1], dtype=np.int64)
    return cells @ strides, strides
