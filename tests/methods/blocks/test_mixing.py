"""CutMix boxes and pasting."""

import torch

from semibench.methods.blocks.mixing import cutmix_boxes, paste


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


def test_box_statistics_are_those_measured_on_the_reference() -> None:
    # 3,000 draws there: half are empty; mean area 0.206 to 0.210, std 0.11; height / width 1.60, P(h > w) 0.72 to 0.74
    boxes = cutmix_boxes(torch.arange(1600), (321, 321))
    filled = boxes[boxes.any(dim=(1, 2))]
    area = filled.float().mean(dim=(1, 2))
    height, width = filled.any(dim=2).sum(dim=1), filled.any(dim=1).sum(dim=1)
    ratio = height / width
    assert abs(len(filled) / 1600 - 0.5) < 0.04
    assert abs(area.mean().item() - 0.206) < 0.012
    assert abs(area.std().item() - 0.11) < 0.01
    assert area.min() > 0.015
    assert area.max() <= 0.4
    assert abs(ratio.mean().item() - 1.60) < 0.1
    assert abs((height > width).float().mean().item() - 0.73) < 0.05
