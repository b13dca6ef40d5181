"""A predictor with a step after it: the evaluator calls that on merged probabilities and the image."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from semibench.harness.inference import predict
from semibench.methods.networks.base import RefiningPredictor
from semibench.protocols.protocol import EvaluationRule
from semibench.protocols.recipe import Normalization

IMAGENET = Normalization(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
WHOLE = {"mode": "whole"}
SLIDING = {"mode": "sliding", "window": (4, 4), "stride": (2, 2)}


class Turning(RefiningPredictor):
    """Logits are (0, 2) everywhere; refining notes what it is given and turns the classes."""

    def __init__(self) -> None:
        super().__init__()
        self.given: list[tuple[NDArray[np.float32], NDArray[np.uint8]]] = []

    def forward(self, image: Tensor) -> Tensor:
        logits = torch.zeros(len(image), 2, *image.shape[-2:])
        logits[:, 1] = 2
        return logits

    def refine(self, probabilities: NDArray[np.float32], image: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.given.append((probabilities, image))
        return probabilities[::-1].copy()


@pytest.mark.parametrize(
    "mode",
    [WHOLE, WHOLE | {"short_side": 12}, SLIDING, SLIDING | {"average": "logits"}],
    ids=["whole", "enlarged", "windows", "windows of logits"],
)
def test_probabilities_are_refined_with_the_image_before_labels_are_taken(mode: dict[str, object]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    predictor = Turning()
    rule = EvaluationRule.model_validate({"select_on": "val", "report_on": "val"} | mode)
    labels = predict(predictor, image, rule, IMAGENET, n_classes=2)
    ((probabilities, shown),) = predictor.given
    assert np.array_equal(shown, image)
    assert np.allclose(probabilities[1], 1 / (1 + np.exp(-2)))
    assert (labels == 0).all()
