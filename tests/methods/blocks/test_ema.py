"""Moving averages of a network."""

from copy import deepcopy

import pytest
import torch
from torch import nn

from semibench.methods.blocks.ema import Teacher, move_average, warmed_up


@pytest.fixture
def student() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Dropout(0.5)).train()


def change(network: nn.Sequential) -> None:
    """Give every parameter and buffer another value."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += torch.randn_like(parameter)
    network(torch.randn(8, 3, 2, 2))


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.999, 1.0])
def test_parameters_move_by_the_decay_and_buffers_are_copied(student: nn.Sequential, decay: float) -> None:
    average = deepcopy(student)
    before = deepcopy(average.state_dict())
    change(student)
    move_average(average, student, decay)
    for name, parameter in average.named_parameters():
        expected = decay * before[name] + (1 - decay) * student.state_dict()[name]
        assert torch.allclose(parameter, expected, atol=1e-7, rtol=1e-6)
    assert all(torch.equal(buffer, student.state_dict()[name]) for name, buffer in average.named_buffers())


def test_the_student_stays_as_it_is(student: nn.Sequential) -> None:
    average, before = deepcopy(student), deepcopy(student.state_dict())
    move_average(average, student, 0.5)
    assert all(torch.equal(value, before[name]) for name, value in student.state_dict().items())


def test_a_warmed_up_decay_starts_at_zero_never_falls_and_is_capped() -> None:
    decays = [warmed_up(0.999, step) for step in range(2000)]
    assert decays[0] == 0
    assert decays == sorted(decays)
    assert decays[-1] == max(decays) == 0.999


def test_the_first_warmed_up_update_copies_the_student(student: nn.Sequential) -> None:
    teacher = Teacher(student)
    change(student)
    teacher.follow(student, warmed_up(0.999, 0))
    assert all(torch.equal(value, student.state_dict()[name]) for name, value in teacher.network.state_dict().items())


def test_a_teacher_starts_as_a_copy_of_its_student(student: nn.Sequential) -> None:
    teacher = Teacher(student)
    assert all(torch.equal(value, student.state_dict()[name]) for name, value in teacher.network.state_dict().items())
    change(student)
    assert not torch.equal(teacher.network[0].weight, student[0].weight)


def test_a_teacher_is_never_in_training_mode_nor_trained_and_its_answers_have_no_graph(student: nn.Sequential) -> None:
    both = nn.ModuleList([student, Teacher(student)]).train()
    assert student.training
    teacher = both[1]
    assert not any(module.training for module in teacher.modules())
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    assert not teacher(torch.randn(1, 3, 2, 2, requires_grad=True)).requires_grad
    assert student[0].weight.requires_grad
