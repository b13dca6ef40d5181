"""Pseudo-labels and their coverage."""

import math

import torch

from semibench.methods.blocks.pseudo_labels import coverage, pseudo_labels


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
