"""The dense CRF against exact kernels over all pairs of pixels, and those against figures measured elsewhere.

The toy case is a reference of 4 x 5 pixels and 3 classes, computed with exact kernels.
"""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.special import softmax

from semibench.methods.blocks.dense_crf import DenseCrf, bilateral_filter, normalized, refine, spatial_filter

Exact = tuple[NDArray[np.float64], NDArray[np.float64]]


def exact_kernels(image: NDArray[np.uint8], crf: DenseCrf) -> Exact:
    """Return both kernels as (n, n) matrices, symmetrically normalized, the slow and obvious way."""
    height, width, _ = image.shape
    places = np.array([(y, x) for y in range(height) for x in range(width)], np.float64)
    colors = image.reshape(-1, 3).astype(np.float64)

    def squared(points: NDArray[np.float64]) -> NDArray[np.float64]:
        differences = points[:, None] - points[None]
        return (differences**2).sum(axis=2)

    bilateral = np.exp(-squared(places) / (2 * crf.bilateral_space**2) - squared(colors) / (2 * crf.bilateral_color**2))
    spatial = np.exp(-squared(places) / (2 * crf.spatial_space**2))
    return tuple(k / np.sqrt(np.outer(k.sum(axis=1), k.sum(axis=1))) for k in (bilateral, spatial))  # type: ignore[return-value]


def exact(probabilities: NDArray[np.float64], image: NDArray[np.uint8], crf: DenseCrf) -> NDArray[np.float64]:
    bilateral, spatial = exact_kernels(image, crf)
    kernel = crf.bilateral_weight * bilateral + crf.spatial_weight * spatial
    likelihood = np.log(probabilities.reshape(len(probabilities), -1).T.clip(1e-5, 1))
    marginals = softmax(likelihood, axis=1)
    for _ in range(crf.iterations):
        marginals = softmax(likelihood + kernel @ marginals, axis=1)
    return marginals.T.reshape(probabilities.shape)


@pytest.fixture
def toy() -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    y, x = np.mgrid[:4, :5]
    image = np.stack([10 * x + 5 * y + 3 * channel + 60 * (x >= 3) for channel in range(3)], axis=-1).astype(np.uint8)
    return softmax(np.stack([np.sin(0.7 * x + 1.1 * y + 2 * k) for k in range(3)]), axis=0), image


@pytest.fixture(params=[0, 1, 2])
def scene(request: pytest.FixtureRequest) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Smooth colors and smooth probabilities of 4 classes, 24 x 30 pixels."""
    random = np.random.default_rng(request.param)
    colors = 128 + 400 * gaussian_filter(random.normal(size=(24, 30, 3)), (4, 4, 0))
    probabilities = softmax(8 * gaussian_filter(random.normal(size=(4, 24, 30)), (0, 2, 2)), axis=0)
    return probabilities.astype(np.float32), colors.clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("iterations", "first", "other", "labels"),
    [
        pytest.param(0, (0.253053, 0.628224, 0.118723), None, "10002 00022 02221 22211", id="0"),
        pytest.param(1, (0.099347, 0.889173, 0.011480), (0.018945, 0.052615, 0.928440), "10002 00222 00221 22211", id="1"),
        pytest.param(10, (0.018125, 0.980236, 0.001639), (0.000388, 0.001401, 0.998211), "10002 00222 00221 02221", id="10"),
    ],
)
def test_exact_kernels_reproduce_the_reference(toy, iterations, first, other, labels) -> None:
    found = exact(*toy, DenseCrf(iterations=iterations))
    assert found[:, 0, 0] == pytest.approx(first, abs=1e-6)
    assert other is None or found[:, 2, 3] == pytest.approx(other, abs=1e-6)
    assert " ".join("".join(map(str, row)) for row in found.argmax(axis=0)) == labels


def test_one_iteration_of_the_grid_is_close_to_the_reference(toy) -> None:
    crf = DenseCrf(iterations=1)
    assert np.abs(refine(toy[0].astype(np.float32), toy[1], crf) - exact(*toy, crf)).max() < 0.02


@pytest.mark.parametrize(
    "crf",
    [
        DenseCrf(),
        DenseCrf(bilateral_space=10, bilateral_color=13),
        DenseCrf(bilateral_weight=10, bilateral_color=10, spatial_space=3),
    ],
    ids=["published", "near and tolerant", "strong"],
)
def test_labels_are_those_of_exact_kernels_almost_everywhere(scene, crf: DenseCrf) -> None:
    probabilities, image = scene
    expected, found = exact(probabilities, image, crf), refine(probabilities, image, crf)
    agreement = (found.argmax(axis=0) == expected.argmax(axis=0)).mean()
    unrefined = (probabilities.argmax(axis=0) == expected.argmax(axis=0)).mean()
    assert agreement > 0.93
    assert 1 - agreement < (1 - unrefined) / 2


def test_the_spatial_kernel_is_exact(scene) -> None:
    probabilities, image = scene
    crf = DenseCrf()
    planes = probabilities.reshape(4, -1).T
    found = normalized(spatial_filter((24, 30), crf.spatial_space), 24 * 30)(planes)
    assert np.allclose(found, exact_kernels(image, crf)[1] @ planes, atol=1e-3)


def test_the_bilateral_kernel_is_near_the_exact_one(scene) -> None:
    probabilities, image = scene
    crf = DenseCrf(bilateral_space=8, bilateral_color=20)
    planes = probabilities.reshape(4, -1).T
    found = normalized(bilateral_filter(image, crf.bilateral_space, crf.bilateral_color), 24 * 30)(planes)
    expected = exact_kernels(image, crf)[0] @ planes
    assert np.abs(found - expected).mean() < 0.02


def test_filters_are_symmetric(scene) -> None:
    _, image = scene
    pixels = np.zeros((24 * 30, 2), np.float32)
    pixels[100, 0] = pixels[160, 1] = 1
    for kernel in (bilateral_filter(image, 10, 20), spatial_filter((24, 30), 3)):
        spread = kernel(pixels)
        assert spread[160, 0] == pytest.approx(spread[100, 1], rel=1e-5)


def test_an_edge_in_the_image_stops_the_bilateral_kernel() -> None:
    image = np.zeros((6, 8, 3), np.uint8)
    image[:, 4:] = 200
    left = np.zeros((48, 1), np.float32)
    left.reshape(6, 8)[:, :4] = 1
    spread = bilateral_filter(image, 5, 3)(left).reshape(6, 8)
    assert spread[:, :4].min() > 0
    assert (spread[:, 4:] == 0).all()


def test_without_weights_nothing_changes(scene) -> None:
    probabilities, image = scene
    refined = refine(probabilities, image, DenseCrf(bilateral_weight=0, spatial_weight=0))
    assert np.allclose(refined, probabilities, atol=1e-4)


def test_permuting_classes_permutes_the_result(scene) -> None:
    probabilities, image = scene
    order = [2, 0, 3, 1]
    assert np.allclose(
        refine(probabilities[order], image, DenseCrf()), refine(probabilities, image, DenseCrf())[order], atol=1e-5
    )


def test_the_result_is_a_distribution_of_the_image_s_size(scene) -> None:
    probabilities, image = scene
    refined = refine(probabilities, image, DenseCrf())
    assert (refined.shape, refined.dtype) == ((4, 24, 30), np.float32)
    assert np.allclose(refined.sum(axis=0), 1, atol=1e-5)
