"""How a predictor turns an image into a label map under an evaluation rule; scoring and ``predict`` share it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from semibench.errors import RunFailedError, UsageError
from semibench.harness.transforms import denormalize, normalize
from semibench.harness.windows import Size, resized, windows
from semibench.methods.blocks import modes
from semibench.methods.networks.base import RefiningPredictor
from semibench.protocols.protocol import EvaluationRule
from semibench.protocols.recipe import Normalization


class Labeling(NamedTuple):
    """What a predictor says about a batch of images."""

    labels: NDArray[np.uint8]  # (N, H, W) class of highest score
    confidence: NDArray[np.float32] | None  # (N, H, W) probability of that class


def predict(
    predictor: nn.Module,
    image: NDArray[np.uint8],
    rule: EvaluationRule,
    normalization: Normalization,
    *,
    n_classes: int,
    device: torch.device | str = "cpu",
) -> NDArray[np.uint8]:
    """Return the label map (H, W) uint8 of one image (H, W, 3) RGB uint8, exactly as it would be scored."""
    with evaluating(predictor):
        labeler = Labeler(predictor, rule, normalization, n_classes, device)
        labels: NDArray[np.uint8] = labeler.label(normalize(image, normalization)[None], with_confidence=False).labels[0]
    return labels


@contextmanager
def evaluating(predictor: nn.Module) -> Iterator[None]:
    """Put ``predictor`` into evaluation mode, without gradients and in true single precision; put everything back after."""
    convolutions, products = torch.backends.cudnn, torch.backends.cuda.matmul
    tf32 = convolutions.allow_tf32, products.allow_tf32
    convolutions.allow_tf32 = products.allow_tf32 = False  # torch allows it for convolutions unless told otherwise
    try:
        with modes.evaluating(predictor), torch.inference_mode():
            yield
    finally:
        convolutions.allow_tf32, products.allow_tf32 = tf32


@dataclass(frozen=True)
class Labeler:
    """A predictor under an evaluation rule; use it inside ``evaluating``."""

    predictor: nn.Module
    rule: EvaluationRule
    normalization: Normalization  # of the images
    n_classes: int  # K, at most 255
    device: torch.device | str = "cpu"

    def label(self, images: Tensor, *, with_confidence: bool) -> Labeling:
        """Label normalized images (N, 3, H, W) float32 of one size.

        Where the rule resizes, images and scores are resized bilinearly with aligned corners, as in UniMatch V2. Raises
        RunFailedError when the predictor's output has the wrong shape or is not finite.
        """
        images = images.to(self.device, memory_format=torch.channels_last)
        size = (images.shape[-2], images.shape[-1])
        shown = _resize(images, resized(size, self.rule))
        if self.rule.mode == "whole":
            scores, are_probabilities = self._logits(shown), False
        else:
            scores, are_probabilities = self._slide(shown), self.rule.average == "probabilities"
        scores = _resize(scores, size)
        if isinstance(self.predictor, RefiningPredictor):
            scores = self._refine(self.predictor, scores if are_probabilities else scores.softmax(dim=1), images)
            are_probabilities = True
        highest, labels = scores.max(dim=1)
        if not with_confidence:
            return Labeling(_to_labels(labels), None)
        confidence = highest if are_probabilities else (highest - scores.logsumexp(dim=1)).exp()
        return Labeling(_to_labels(labels), confidence.clamp(max=1).cpu().numpy())

    def _refine(self, predictor: RefiningPredictor, probabilities: Tensor, images: Tensor) -> Tensor:
        pairs = zip(probabilities.cpu().numpy(), images, strict=True)
        refined = [predictor.refine(planes, denormalize(image, self.normalization)) for planes, image in pairs]
        return torch.from_numpy(np.stack(refined))

    def _slide(self, images: Tensor) -> Tensor:
        """Return probabilities or logits (N, K, H, W), averaged per pixel over the windows that hold it."""
        if self.rule.window is None or self.rule.stride is None:
            raise UsageError("a sliding window has no size or no stride", "Set evaluation.window and evaluation.stride.")
        size = (images.shape[-2], images.shape[-1])
        total = images.new_zeros(len(images), self.n_classes, *size)
        coverage = images.new_zeros(size)
        for top, left, height, width in windows(size, self.rule.window, self.rule.stride, self.rule.border):
            part = (..., slice(top, top + height), slice(left, left + width))
            logits = self._logits(images[part])
            total[part] += logits.softmax(dim=1) if self.rule.average == "probabilities" else logits
            coverage[part] += 1
        return total.div_(coverage)

    def _logits(self, images: Tensor) -> Tensor:
        """Return the predictor's logits (N, K, H, W) in float32, checked."""
        logits: Tensor = self.predictor(images)
        expected = (len(images), self.n_classes, *images.shape[-2:])
        found = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        if found != expected:
            raise RunFailedError(
                f"the predictor returned {found} for images {tuple(images.shape)}, not {expected}",
                "A predictor maps (N, 3, H, W) to one logit per class and pixel; correct the method's predictors().",
            )
        logits = logits.float()
        if not torch.isfinite(logits.sum()):  # one pass; one value that is not finite shows in the sum
            raise RunFailedError(
                "the predictor returned logits that are not finite",
                "Training has diverged: lower recipe.optimizer.lr, or use --precision fp32.",
            )
        return logits


def _resize(planes: Tensor, size: Size) -> Tensor:
    if planes.shape[-2:] == size:
        return planes
    return functional.interpolate(planes, size, mode="bilinear", align_corners=True)


def _to_labels(labels: Tensor) -> NDArray[np.uint8]:
    return labels.to(torch.uint8).cpu().numpy()
