"""Pseudo-labels and their coverage."""

import math

import torch
from torch import nn

from semibench.methods.blocks.pseudo_labels import Target, coverage, pseudo_labels, teach
from semibench.methods.blocks.scales import ensemble


def test_confidence_is_the_largest_probability_and_the_label_its_class() -> None:
    confidence, label = pseudo_labels(torch.tensor([[0.0, math.log(3)]]).reshape(1, 2, 1, 1))
    assert label.item() == 1
    assert math.isclose(confidence.item(), 0.75, rel_tol=1e-6)


def test_no_gradient_reaches_the_teacher() -> None:
    logits = torch.randn(1, 3, 2, 2, requires_grad=True)
    confidence, label = pseudo_labels(logits)
    assert not confidence.requires_grad
    assert not label.requires_grad


def test_coverage_is_a_share_of_valid_pixels() -> None:
    confidence = torch.tensor([[[0.99, 0.99], [0.10, 0.10]]])
    valid = torch.tensor([[[True, False], [True, True]]])
    assert math.isclose(coverage(confidence, valid, 0.95).item(), 1 / 3, rel_tol=1e-6)
    assert coverage(confidence, torch.zeros_like(valid), 0.95).item() == 0


def test_a_target_is_pasted_as_images_are() -> None:
    own = Target(torch.zeros(1, 1, 2).long(), torch.zeros(1, 1, 2), torch.zeros(1, 1, 2, dtype=torch.bool))
    other = Target(torch.ones(1, 1, 2).long(), torch.ones(1, 1, 2), torch.ones(1, 1, 2, dtype=torch.bool))
    pasted = own.pasted(other, torch.tensor([[[True, False]]]))
    assert [value.flatten().tolist() for value in pasted] == [[1, 0], [1.0, 0.0], [True, False]]


def test_a_taught_target_comes_from_evaluation_mode_without_a_graph_and_the_mode_is_put_back() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2)).train()
    image, valid = torch.randn(2, 3, 4, 4), torch.rand(2, 4, 4) < 0.5
    target = teach(network, image, valid)
    assert network.training
    assert network[1].num_batches_tracked == 0
    assert not target.confidence.requires_grad
    confidence, label = pseudo_labels(network.eval()(image))
    assert torch.equal(target.confidence, confidence)
    assert torch.equal(target.label, label)
    assert target.valid is valid


def test_a_target_of_several_scales_is_that_of_their_ensemble() -> None:
    torch.manual_seed(0)
    network, image = nn.Conv2d(3, 2, 3, padding=1), torch.randn(1, 3, 33, 33)
    target = teach(network, image, torch.ones(1, 33, 33, dtype=torch.bool), (0.5, 1.0))
    confidence, label = ensemble(network, image, (0.5, 1.0)).max(dim=1)
    assert torch.equal(target.confidence, confidence)
    assert torch.equal(target.label, label)
