"""The evaluator against references, on data that the tests make up."""

import hashlib
import json

import numpy as np
import pytest
import torch
from torch import nn

from semibench.errors import DataError, RunFailedError
from semibench.harness import evaluate as evaluate_module
from semibench.harness import streaming
from semibench.harness.counting import to_scores
from semibench.harness.evaluate import evaluate
from semibench.harness.inference import predict
from semibench.metrics import boundary_counts, boundary_width, confusion_matrix
from semibench.protocols.datasets.base import Dataset
from semibench.protocols.protocol import EvaluationRule
from semibench.protocols.recipe import Normalization

PLAIN = Normalization(mean=(0, 0, 0), std=(1, 1, 1))
SLIDING = {"mode": "sliding", "window": (6, 6), "stride": (4, 4)}


def rule(**options):
    return EvaluationRule(**{"mode": "whole", "select_on": "val", "report_on": "val", **options})


class Noise(Dataset):
    """Random images of three sizes with random masks, a tenth of them void; ``reads`` notes what is opened."""

    class_names = ("red", "green", "blue")
    palette = ((255, 0, 0), (0, 255, 0), (0, 0, 255))
    sizes = ((8, 8), (8, 12), (11, 7))

    def __init__(self):
        super().__init__(None)
        self.reads = []

    @classmethod
    def locate(cls, root):
        return None

    def ids(self, subset):
        return [f"{subset}_{index:02d}" for index in range(10)]

    def image(self, id):
        self.reads.append(id)
        return self._generator(id).integers(0, 256, (*self._size(id), 3), np.uint8)

    def decode_mask(self, id):
        generator = self._generator(id)
        mask = generator.integers(0, 3, self._size(id)).astype(np.uint8)
        mask[generator.random(mask.shape) < 0.1] = self.ignore_index
        return mask

    def _generator(self, id):
        return np.random.default_rng(int(id[-2:]))

    def _size(self, id):
        return self.sizes[int(id[-2:]) % 3]


class Void(Noise):
    def decode_mask(self, id):
        return np.full(self._size(id), self.ignore_index, np.uint8)


class Pixelwise(nn.Module):
    """Logits are the scaled channels: the class is the strongest color."""

    def forward(self, image):
        return 4 * image


class Counting(nn.Module):
    """Logits depend on the neighborhood, and every call is noted."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def forward(self, image):
        self.calls.append(tuple(image.shape))
        return nn.functional.avg_pool2d(image, 3, 1, 1)


class Returning(nn.Module):
    def __init__(self, change):
        super().__init__()
        self.change = change

    def forward(self, image):
        return self.change(image)


def score(predictor, *, dataset=None, ids=None, detail=True, **options):
    dataset = dataset or Noise()
    return evaluate(predictor, dataset, ids or dataset.ids("val"), rule(**options), PLAIN, detail=detail)


def arrays_of(evaluation):
    return {name: value for name, value in vars(evaluation.per_image).items() if name != "ids"}


def test_counts_are_those_of_the_strongest_color():
    dataset = Noise()
    expected = sum(confusion_matrix(dataset.mask(id), dataset.image(id).argmax(axis=-1), 3, 255) for id in dataset.ids("val"))
    np.testing.assert_array_equal(score(Pixelwise()).confusion, expected)


def test_every_image_is_read_once():
    dataset = Noise()
    score(Pixelwise(), dataset=dataset)
    assert sorted(dataset.reads) == dataset.ids("val")


def test_an_image_that_is_lost_on_the_way_is_noticed(monkeypatch):
    monkeypatch.setattr(evaluate_module, "group_by_size", lambda items, size_of, rule: ([item] for item in list(items)[1:]))
    with pytest.raises(RunFailedError, match="9 of 10 images"):
        score(Pixelwise(), detail=False)


def test_counts_per_image_add_up_to_the_confusion_matrix():
    found = score(Pixelwise())
    counts = found.per_image
    np.testing.assert_array_equal(counts.intersection.sum(axis=0), np.diagonal(found.confusion))
    np.testing.assert_array_equal(counts.truth.sum(axis=0), found.confusion.sum(axis=1))
    np.testing.assert_array_equal(counts.prediction.sum(axis=0), found.confusion.sum(axis=0))
    assert counts.bin_count.sum() == found.confusion.sum()


def test_rows_per_image_stand_in_the_order_of_the_ids():
    dataset = Noise()
    ids = dataset.ids("val")[::-1]
    counts = score(Pixelwise(), ids=ids).per_image
    assert counts.ids.tolist() == ids
    for row, id in enumerate(ids):
        truth, labels = dataset.mask(id), dataset.image(id).argmax(axis=-1).astype(np.uint8)
        expected = boundary_counts(truth, labels, 3, 255, boundary_width(*truth.shape))
        np.testing.assert_array_equal((counts.boundary_intersection[row], counts.boundary_union[row]), expected)


def test_confidence_is_the_softmax_of_the_highest_logit():
    dataset = Noise()
    (id,) = ids = dataset.ids("val")[:1]
    highest = torch.from_numpy(dataset.image(id) / 255 * 4).softmax(dim=-1).amax(dim=-1).numpy()
    found = score(Pixelwise(), ids=ids).per_image.bin_confidence.sum()
    assert found == pytest.approx(highest[dataset.mask(id) != 255].sum(), rel=1e-6)


@pytest.mark.parametrize("border", ["shift", "cut"])
@pytest.mark.parametrize("average", ["probabilities", "logits"])
def test_sliding_equals_whole_for_a_pixelwise_predictor(border, average):
    whole, sliding = score(Pixelwise()), score(Pixelwise(), **SLIDING, border=border, average=average)
    for name, expected in arrays_of(whole).items():
        np.testing.assert_allclose(arrays_of(sliding)[name], expected, rtol=1e-6, err_msg=name)


@pytest.mark.parametrize("average, expected", [("probabilities", 1), ("logits", 0)])
def test_overlapping_windows_are_averaged_in(average, expected):
    """Of three windows over the middle one is sure of class 0 and two lean to class 1."""
    columns = iter([9.0, -2.0, -2.0])
    predictor = Returning(lambda image: torch.stack([torch.full_like(image[:, 0], next(columns)), 0 * image[:, 0]], dim=1))
    options = rule(mode="sliding", window=(1, 3), stride=(1, 1), average=average)
    assert predict(predictor, np.zeros((1, 5, 3), np.uint8), options, PLAIN, n_classes=2)[0, 2] == expected


def test_images_are_shown_resized_and_scored_at_their_own_size():
    predictor = Counting()
    found = score(predictor, short_side=16, multiple_of=5)
    assert {shape[-2:] for shape in predictor.calls} == {(15, 15), (15, 25), (25, 15)}
    assert found.per_image.truth.sum() == score(Pixelwise()).per_image.truth.sum()


def test_scores_are_resized_back_to_the_image():
    halves = np.zeros((8, 8, 3), np.uint8)
    halves[:, :4, 0] = halves[:, 4:, 1] = 255
    labels = predict(Pixelwise(), halves, rule(short_side=16), PLAIN, n_classes=3)
    np.testing.assert_array_equal(labels, halves.argmax(axis=-1))


@pytest.mark.parametrize("budget", [1, 200, 2**20])
@pytest.mark.parametrize("held", [1, 300, 2**24])
def test_results_do_not_depend_on_how_images_are_grouped(monkeypatch, budget, held):
    expected = score(Counting())
    monkeypatch.setattr(streaming, "BATCH_PIXELS", budget)
    monkeypatch.setattr(streaming, "HELD_PIXELS", held)
    found = score(Counting())
    np.testing.assert_array_equal(found.confusion, expected.confusion)
    for name, values in arrays_of(expected).items():
        np.testing.assert_allclose(arrays_of(found)[name], values, rtol=1e-6, err_msg=name)


def test_a_batch_holds_images_of_one_size_up_to_the_budget(monkeypatch):
    monkeypatch.setattr(streaming, "BATCH_PIXELS", 2 * 8 * 12)
    predictor = Counting()
    score(predictor)
    assert sorted(predictor.calls) == [(1, 3, 8, 8), (1, 3, 8, 12), (1, 3, 11, 7), (2, 3, 8, 12), (2, 3, 11, 7), (3, 3, 8, 8)]


def test_evaluation_without_detail_has_the_same_confusion_and_truth():
    full, brief = score(Pixelwise()), score(Pixelwise(), detail=False)
    np.testing.assert_array_equal(full.confusion, brief.confusion)
    assert full.truth_digest == brief.truth_digest


def test_evaluation_without_detail_has_no_counts_per_image():
    with pytest.raises(RunFailedError, match="detail=True"):
        _ = score(Pixelwise(), detail=False).per_image


def test_the_truth_digest_is_that_of_ids_shapes_and_pixels():
    dataset = Noise()
    masks = {id: dataset.mask(id) for id in dataset.ids("val")}
    digests = {id: hashlib.sha256(f"{mask.shape}\n".encode() + mask.tobytes()).hexdigest() for id, mask in masks.items()}
    text = json.dumps(digests, sort_keys=True, separators=(",", ":"))
    assert score(Pixelwise()).truth_digest == hashlib.sha256(text.encode()).hexdigest()


def test_the_truth_digest_does_not_depend_on_the_order():
    assert score(Pixelwise(), ids=Noise().ids("val")[::-1]).truth_digest == score(Pixelwise()).truth_digest


def test_progress_names_the_images_done():
    done = []
    dataset = Noise()
    evaluate(Pixelwise(), dataset, dataset.ids("val"), rule(), PLAIN, progress=done.append)
    assert done == list(range(1, 11))


def test_modes_of_all_modules_are_restored():
    predictor = nn.Sequential(nn.Dropout(), nn.BatchNorm2d(3))
    predictor[1].eval()
    score(predictor)
    assert [module.training for module in predictor.modules()] == [True, True, False]


def test_the_predictor_is_evaluated_in_evaluation_mode_without_gradients():
    predictor = Returning(lambda image: image if not (predictor.training or torch.is_grad_enabled()) else None)
    score(predictor)


@pytest.mark.parametrize(
    "change, match",
    [
        pytest.param(lambda image: image[:, :2], "not \\(4, 3, 8, 8\\)", id="classes"),
        pytest.param(lambda image: image[..., ::2], "not \\(4, 3, 8, 8\\)", id="size"),
        pytest.param(lambda image: {"out": image}, "dict", id="no tensor"),
        pytest.param(lambda image: image / 0, "not finite", id="not finite"),
    ],
)
def test_output_that_cannot_be_scored_is_refused(change, match):
    predictor = Returning(change)
    with pytest.raises(RunFailedError, match=match):
        score(predictor)
    assert predictor.training


@pytest.mark.parametrize("ids, match", [([], "empty"), (["val_01", "val_02", "val_01"], "'val_01' twice")])
def test_a_list_that_scores_an_image_never_or_twice_is_refused(ids, match):
    with pytest.raises(DataError, match=match):
        evaluate(Pixelwise(), Noise(), ids, rule(), PLAIN)


def test_masks_of_nothing_but_void_are_refused():
    with pytest.raises(DataError, match="nothing but void"):
        score(Pixelwise(), dataset=Void())


def test_scores_are_computed_in_single_precision(monkeypatch):
    """TensorFloat-32, which torch allows for convolutions, would make a score depend on the kind of GPU."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    seen = []
    convolution = nn.Conv2d(3, 3, 1)
    convolution.register_forward_hook(lambda *call: seen.append((call[-1].dtype, torch.backends.cudnn.allow_tf32)))
    dataset = Noise()
    evaluate(convolution, dataset, dataset.ids("val")[:1], rule(), PLAIN)
    assert seen == [(torch.float32, False)] and torch.backends.cudnn.allow_tf32


def test_scores_follow_from_the_counts():
    dataset = Noise()
    oracle = evaluate(Pixelwise(), dataset, dataset.ids("val"), rule(), PLAIN)
    scores = to_scores(oracle, "val", 7, rule())
    assert (scores.n_images, scores.step, scores.subset) == (10, 7, "val")
    assert scores.pixel_accuracy == np.trace(oracle.confusion) / oracle.confusion.sum()
    assert 0 < scores.boundary_iou < 1 and 0 < scores.calibration_error < 1


def test_predict_gives_the_labels_that_are_scored():
    dataset = Noise()
    labels = predict(Pixelwise(), dataset.image("val_01"), rule(**SLIDING), PLAIN, n_classes=3)
    np.testing.assert_array_equal(labels, dataset.image("val_01").argmax(axis=-1))
    assert labels.dtype == np.uint8
