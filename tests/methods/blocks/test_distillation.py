"""Image and region level of distillation: by hand, and what they do not depend on."""

import pytest
import torch
from torch import Tensor

from semibench.methods.blocks.distillation import image_level, region_level, self_similarity


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rotation(channels: int) -> Tensor:
    return torch.linalg.qr(noise(channels, channels, seed=9))[0]


# Image level.


def test_equal_logits_have_no_image_level_loss() -> None:
    logits = noise(2, 3, 4, 4)
    assert image_level(logits, logits.clone()).item() == 0


def test_the_image_level_does_not_depend_on_where_in_the_image_logits_are() -> None:
    student, teacher = noise(2, 3, 4, 4), noise(2, 3, 4, 4, seed=1)
    shuffled = student.flatten(2)[..., torch.randperm(16)].reshape(student.shape)
    assert image_level(shuffled, teacher).item() == pytest.approx(image_level(student, teacher).item(), rel=1e-5)


def test_adding_c_to_one_class_of_one_image_adds_c_to_the_sum_over_images_and_classes() -> None:
    student = torch.zeros(2, 3, 4, 4)
    teacher = student.clone()
    student[1, 2] -= 0.75
    assert (image_level(student, teacher) * 2 * 3).item() == 0.75


def test_the_mean_form_equals_the_sum_form_of_the_reference() -> None:
    student, teacher = noise(2, 21, 4, 4).float(), noise(2, 21, 4, 4, seed=1).float()
    by_sum = 0.002 * (student.mean(dim=(2, 3)) - teacher.mean(dim=(2, 3))).abs().sum()
    assert 0.084 * image_level(student, teacher).item() == pytest.approx(by_sum.item(), rel=1e-5)


# Region level.


def test_equal_features_have_no_region_level_loss() -> None:
    features = noise(2, 5, 14, 14)
    assert region_level(features, features.clone()).item() == 0


def test_the_region_level_does_not_depend_on_the_scale_of_features_or_on_a_rotation_of_channels() -> None:
    student, teacher = noise(2, 5, 14, 14), noise(2, 5, 14, 14, seed=1)
    turned = torch.einsum("dc,nchw->ndhw", rotation(5), 7 * student)
    assert region_level(turned, teacher).item() == pytest.approx(region_level(student, teacher).item(), rel=1e-5)


def test_student_and_teacher_may_differ_in_channels_and_size() -> None:
    assert region_level(noise(2, 5, 14, 14), noise(2, 8, 28, 21)).isfinite()


def test_self_similarity_is_symmetric_with_a_diagonal_of_ones() -> None:
    similarity = self_similarity(noise(2, 5, 14, 14))
    assert similarity.shape == (2, 49, 49)
    assert torch.allclose(similarity, similarity.transpose(1, 2))
    assert torch.allclose(similarity.diagonal(dim1=1, dim2=2), torch.ones(2, 49), atol=1e-6)
    assert similarity.abs().max() <= 1 + 1e-6


def test_self_similarity_is_the_cosine_of_pooled_regions() -> None:
    features = noise(1, 5, 14, 14).float()
    regions = [features[0, :, 2 * y : 2 * y + 2, 2 * x : 2 * x + 2].mean(dim=(1, 2)) for y in range(7) for x in range(7)]
    cosines = [[torch.cosine_similarity(one, other, dim=0) for other in regions] for one in regions]
    assert torch.allclose(self_similarity(features)[0], torch.tensor(cosines), atol=1e-5)


@pytest.mark.parametrize("size", [(15, 9), (7, 7), (5, 3), (1, 1)])
def test_sizes_that_7_does_not_divide_are_finite(size: tuple[int, int]) -> None:
    similarity = self_similarity(noise(1, 5, *size))
    assert similarity.shape == (1, 49, 49)
    assert similarity.isfinite().all()


def test_mixed_precision_does_not_blur_cosines() -> None:
    features = noise(1, 5, 14, 14).float()
    with torch.autocast("cpu", torch.bfloat16):
        similarity = self_similarity(features)
    assert torch.equal(similarity, self_similarity(features))


def test_a_region_of_zeros_resembles_nothing_and_has_a_finite_gradient() -> None:
    features = torch.zeros(1, 3, 7, 7, requires_grad=True)
    loss = region_level(features, noise(1, 3, 7, 7))
    loss.backward()
    assert loss.isfinite()
    assert features.grad is not None
    assert features.grad.isfinite().all()
