"""Pseudo-labels and their coverage."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from semibench.methods.blocks.pseudo_labels import Target, coverage, dynamic_threshold, pseudo_labels, teach
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


@given(st.integers(0, 1000), st.floats(0, 1), st.floats(0, 1))
def test_a_higher_threshold_never_covers_more_pixels(seed: int, one: float, other: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    confidence, valid = torch.rand(2, 3, 4, generator=generator), torch.rand(2, 3, 4, generator=generator) < 0.8
    assert coverage(confidence, valid, max(one, other)) <= coverage(confidence, valid, min(one, other))


# The dynamic threshold of CW-BASS.


@pytest.mark.parametrize(
    ("mean", "expected"),
    [(0.0, 0.3), (0.25, 0.3), (0.5, 0.3), (0.6, 0.3075), (0.75, 0.3187), (0.9, 0.3299), (1.0, 0.33731)],
)
def test_the_dynamic_threshold_has_the_values_of_the_specification(mean: float, expected: float) -> None:
    assert dynamic_threshold(torch.tensor(mean), 0.6, 0.5).item() == pytest.approx(expected, abs=5e-5)


def test_the_dynamic_threshold_rises_with_the_mean_of_the_batch() -> None:
    thresholds = [dynamic_threshold(torch.full((3,), mean / 50), 0.6, 0.5).item() for mean in range(51)]
    assert thresholds == sorted(thresholds)
    mixed = dynamic_threshold(torch.tensor([0.5, 1.0]), 0.6, 0.5)
    assert mixed == dynamic_threshold(torch.tensor(0.75), 0.6, 0.5)


@given(st.floats(0, 1), st.floats(0, 5), st.floats(-50, 50))
def test_the_dynamic_threshold_is_the_logistic_formula_between_its_bounds(mean: float, base: float, beta: float) -> None:
    threshold = dynamic_threshold(torch.tensor(mean, dtype=torch.float64), base, beta).item()
    assert threshold == pytest.approx(min(max(base / (1 + math.exp(-beta * (mean - 0.5))), 0.3), 0.8))


@pytest.mark.parametrize(("base", "expected"), [(0.2, 0.3), (0.9, 0.45), (2.0, 0.8)])
def test_without_sensitivity_the_threshold_is_half_of_its_base(base: float, expected: float) -> None:
    assert dynamic_threshold(torch.tensor(0.7), base, 0.0).item() == pytest.approx(expected)
