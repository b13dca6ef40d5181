"""CutMix boxes and pasting."""

import random

import pytest
import torch

from semibench.methods.blocks.mixing import cutmix_boxes, paste, toggled_boxes


def test_pasting_takes_the_box_from_the_source() -> None:
    target, source = torch.zeros(1, 3, 2, 2), torch.ones(1, 3, 2, 2)
    box = torch.tensor([[[True, False], [False, True]]])
    assert paste(target, source, box)[0, 0].tolist() == [[1, 0], [0, 1]]
    assert paste(target[:, 0], source[:, 0], box)[0].tolist() == [[1, 0], [0, 1]]


def test_an_empty_box_changes_nothing() -> None:
    target = torch.randn(2, 3, 4, 4)
    assert torch.equal(paste(target, torch.randn(2, 3, 4, 4), torch.zeros(2, 4, 4, dtype=torch.bool)), target)


def test_a_box_is_a_function_of_the_sample_s_seed_and_the_stream() -> None:
    seeds = torch.arange(100)
    boxes = cutmix_boxes(seeds, (32, 32))
    assert torch.equal(boxes[40:60], cutmix_boxes(seeds[40:60], (32, 32)))
    assert not torch.equal(boxes, cutmix_boxes(seeds, (32, 32), stream=1))


def sides(side: int, count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return pixels, height and width of the boxes that are not empty, of ``count``; a hundred at a time are in memory."""
    rows = []
    for seeds in torch.arange(count).split(100):
        boxes = cutmix_boxes(seeds, (side, side))
        tall, wide = boxes.any(dim=2).sum(dim=1), boxes.any(dim=1).sum(dim=1)
        rows.append(torch.stack([boxes.sum(dim=(1, 2)), tall, wide]))
    pixels, height, width = torch.cat(rows, dim=1)
    return pixels[pixels > 0], height[pixels > 0], width[pixels > 0]


@pytest.mark.parametrize(("side", "count", "mean"), [(321, 1600, 0.206), (512, 400, 0.210), (801, 200, 0.210)])
def test_box_statistics_are_those_measured_on_the_reference(side: int, count: int, mean: float) -> None:
    # 3,000 draws there; the margins are three deviations of the mean of as many as there are here.
    pixels, height, width = sides(side, count)
    area, ratio, margin = pixels / side**2, height / width, 3 / (count / 2) ** 0.5
    assert abs(len(area) / count - 0.5) < 0.71 * margin / 2**0.5
    assert abs(area.mean().item() - mean) < 0.11 * margin
    assert abs(area.std().item() - 0.11) < 0.11 * margin
    assert 0.019 < area.min() < area.max() < 0.4
    assert abs(ratio.mean().item() - 1.60) < 0.85 * margin
    assert abs(ratio.median().item() - 1.54) < margin
    assert 0.29 < ratio.min() < ratio.max() < 3.4
    assert abs((height > width).float().mean().item() - 0.73) < 0.45 * margin


def test_a_box_is_a_rectangle_inside_the_image() -> None:
    pixels, height, width = sides(64, 200)
    assert torch.equal(pixels, height * width)
    assert (pixels >= 0.016 * 64**2).all()  # none is cut off at the edge: 0.02, less the rounding of both sides


# Boxes that are combined by exclusive or.


def test_toggled_boxes_follow_from_the_seed() -> None:
    boxes = toggled_boxes(torch.tensor([3, 4, 3]), (24, 32))
    assert (boxes.shape, boxes.dtype) == ((3, 24, 32), torch.bool)
    assert torch.equal(boxes[0], boxes[2])
    assert not torch.equal(boxes[0], boxes[1])


def test_toggled_boxes_cover_a_quarter_on_average_and_never_more_than_half() -> None:
    shares = toggled_boxes(torch.arange(500), (64, 64)).float().mean(dim=(1, 2))
    assert abs(shares.mean().item() - 0.25) < 0.02
    assert 0.05 < shares.min() < shares.max() <= 0.52


def test_two_identical_boxes_cancel(monkeypatch: pytest.MonkeyPatch) -> None:
    class Constant(random.Random):
        """Draws the middle of whatever it is asked for."""

        def random(self) -> float:
            return 0.5

        def randint(self, a: int, b: int) -> int:
            return (a + b) // 2

    monkeypatch.setattr("semibench.methods.blocks.mixing.random.Random", Constant)
    assert not toggled_boxes(torch.arange(1), (64, 64), count=2).any()
    assert toggled_boxes(torch.arange(1), (64, 64), count=3).any()


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 1)])
def test_toggled_boxes_fit_into_images_of_any_size(size: tuple[int, int]) -> None:
    assert toggled_boxes(torch.arange(20), size).shape == (20, *size)


def test_labels_of_pasted_logits_are_pasted_labels() -> None:
    own, other = torch.randn(2, 3, 8, 8), torch.randn(2, 3, 8, 8)
    boxes = toggled_boxes(torch.arange(2), (8, 8))
    assert torch.equal(paste(own, other, boxes).argmax(dim=1), paste(own.argmax(dim=1), other.argmax(dim=1), boxes))
