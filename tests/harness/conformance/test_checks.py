"""The kit finds what a method breaks: each method here breaks one promise, and the check of that promise says so."""

from copy import deepcopy

import pytest
import torch
from pydantic import ConfigDict
from torch import Tensor, nn

from semibench.errors import UsageError
from semibench.harness.conformance.checks import CHECKS
from semibench.harness.conformance.examine import examine
from semibench.harness.conformance.report import Finding
from semibench.harness.conformance.subject import Subject
from semibench.methods.method import Batch, Progress, StepOutput, Task, Views
from semibench.methods.networks.base import ParameterGroup
from semibench.methods.supervised import Supervised

BY_NAME = {check.name: check for check in CHECKS}


class Unstrict(Supervised):
    class Config(Supervised.Config):
        model_config = ConfigDict(frozen=False)


class AsksForNoCrop(Supervised):
    views = Views(crops=0, partner="other")


class TrainsTwice(Supervised):
    def parameter_groups(self) -> list[ParameterGroup]:
        one, other = super().parameter_groups()
        return [one, ParameterGroup(other.name, [*other.parameters, *one.parameters])]


class HasIdlePart(Supervised):
    def __init__(self, config: Supervised.Config, task: Task) -> None:
        super().__init__(config, task)
        self.idle = nn.Parameter(torch.ones(()))

    def parameter_groups(self) -> list[ParameterGroup]:
        return [*super().parameter_groups(), ParameterGroup("idle", [self.idle])]


class TrainsItsTeacher(Supervised):
    def __init__(self, config: Supervised.Config, task: Task) -> None:
        super().__init__(config, task)
        self.teacher = nn.Parameter(torch.ones(()))

    def forward(self, batch: Batch, progress: Progress) -> StepOutput:
        losses = super().forward(batch, progress).losses
        return StepOutput({name: loss * self.teacher for name, loss in losses.items()})


class NamesALossLikeAFigure(Supervised):
    def forward(self, batch: Batch, progress: Progress) -> StepOutput:
        losses = super().forward(batch, progress).losses
        return StepOutput({"seconds": losses["supervised"]})


class PredictsSmall(Supervised):
    def predictors(self) -> dict[str, nn.Module]:
        return {"network": nn.Sequential(self.network, nn.AvgPool2d(2))}


class TrainsNothing(Supervised):
    trains = False
    published = {}

    def __init__(self, config: Supervised.Config, task: Task) -> None:
        super().__init__(config, task)
        self.requires_grad_(False)

    def forward(self, batch: Batch, progress: Progress) -> StepOutput:
        return StepOutput({})

    def parameter_groups(self) -> list[ParameterGroup]:
        return []


class TrainsNothingInName(TrainsNothing):
    def __init__(self, config: Supervised.Config, task: Task) -> None:
        super().__init__(config, task)
        self.requires_grad_(True)


class TrainsNothingAndForgets(TrainsNothing):
    """Predicts by what is in no state dict: its initial values."""

    def __init__(self, config: Supervised.Config, task: Task) -> None:
        super().__init__(config, task)
        self.shift = torch.randn(())

    def predictors(self) -> dict[str, nn.Module]:
        network, shift = self.network, self.shift

        class Shifted(nn.Module):
            def forward(self, image: Tensor) -> Tensor:
                return network(image) + shift

        return {"network": Shifted()}


class Remembers(Supervised):
    """Has a state that is in no state dict: the steps it has done."""

    steps = 0

    def forward(self, batch: Batch, progress: Progress) -> StepOutput:
        self.steps += 1
        losses = super().forward(batch, progress).losses
        return StepOutput({name: loss * self.steps for name, loss in losses.items()})


class Draws(Supervised):
    """Draws from a generator that nobody seeds."""

    generator = torch.Generator()

    def forward(self, batch: Batch, progress: Progress) -> StepOutput:
        losses = super().forward(batch, progress).losses
        return StepOutput({name: loss + torch.rand((), generator=self.generator) for name, loss in losses.items()})


class DrawsGlobally(Supervised):
    """Draws from torch's global state, which is not that of a sample."""

    def forward(self, batch: Batch, progress: Progress) -> StepOutput:
        losses = super().forward(batch, progress).losses
        return StepOutput({name: loss * torch.rand(()) for name, loss in losses.items()})


class CutsItsEncoder(Supervised):
    def __init__(self, config: Supervised.Config, task: Task) -> None:
        super().__init__(config, task)
        encode = self.network.encode
        self.network.encode = lambda image: tuple(x.detach() + 0 * x for x in encode(image))  # type: ignore[method-assign]


class LosesGradientsInBfloat16(Supervised):
    def forward(self, batch: Batch, progress: Progress) -> StepOutput:
        self.network.classifier.weight.requires_grad_(not torch.is_autocast_enabled("cpu"))
        output = super().forward(batch, progress)
        self.network.classifier.weight.requires_grad_()
        return output


class ShowsWhatItWas(Supervised):
    """Predicts with a copy that nobody trains."""

    def __init__(self, config: Supervised.Config, task: Task) -> None:
        super().__init__(config, task)
        self.copy = deepcopy(self.network).requires_grad_(False)

    def predictors(self) -> dict[str, nn.Module]:
        return {"copy": self.copy}


class KnowsVoidByHeart(Supervised):
    def forward(self, batch: Batch, progress: Progress) -> StepOutput:
        clean = batch.labeled.mask.clamp(max=3)
        return super().forward(batch._replace(labeled=batch.labeled._replace(mask=clean)), progress)


class HasNoNameForLabels(Supervised):
    views = Views(crops=1)

    def forward(self, batch: Batch, progress: Progress) -> StepOutput:
        return StepOutput({"labels": super().forward(batch, progress).losses["supervised"]})


class StaysAsleep(Supervised):
    def forward(self, batch: Batch, progress: Progress) -> StepOutput:
        output = super().forward(batch, progress)
        self.network.eval()
        return output


class Writes(Supervised):
    def forward(self, batch: Batch, progress: Progress) -> StepOutput:
        batch.labeled.image.mul_(2)
        return super().forward(batch, progress)


class NeedsEqualNumbers(Supervised):
    views = Views(crops=1)

    def forward(self, batch: Batch, progress: Progress) -> StepOutput:
        (crop,) = batch.unlabeled
        both = self.network(batch.labeled.image) - self.network(crop.weak)
        return StepOutput({"supervised": both.square().mean()})


class RefusesUnequalNumbers(NeedsEqualNumbers):
    def forward(self, batch: Batch, progress: Progress) -> StepOutput:
        if len(batch.labeled.image) != len(batch.unlabeled[0].weak):
            raise UsageError("it needs as many labelled as unlabelled images", "Give it these.")
        return super().forward(batch, progress)


class DividesByPixels(Supervised):
    def forward(self, batch: Batch, progress: Progress) -> StepOutput:
        mask, losses = batch.labeled.mask, super().forward(batch, progress).losses
        return StepOutput({name: loss / (mask != self.ignore_index).float().mean() for name, loss in losses.items()})


class LovesVoid(Supervised):
    def forward(self, batch: Batch, progress: Progress) -> StepOutput:
        return StepOutput({name: loss + 1 for name, loss in super().forward(batch, progress).losses.items()})


class NeedsEveryClass(Supervised):
    def forward(self, batch: Batch, progress: Progress) -> StepOutput:
        areas = torch.bincount(batch.labeled.mask.clamp(max=3).flatten(), minlength=4)
        losses = super().forward(batch, progress).losses
        return StepOutput({name: loss / areas.min() for name, loss in losses.items()})


class Overflows(Supervised):
    def forward(self, batch: Batch, progress: Progress) -> StepOutput:
        product: Tensor = torch.ones(1, 1) @ torch.full((1, 1), 0.999)  # 1 in bfloat16
        losses = super().forward(batch, progress).losses
        return StepOutput({name: loss / (1 - product).squeeze() for name, loss in losses.items()})


def finding(method: type[Supervised], check: str) -> Finding:
    return examine(Subject("tiny", method), BY_NAME[check])


@pytest.mark.parametrize(
    ("method", "check", "reason"),
    [
        (Unstrict, "contract", "not frozen"),
        (AsksForNoCrop, "contract", "partners of no crop"),
        (TrainsTwice, "groups", "in two groups"),
        (HasIdlePart, "losses", "'idle' gets no gradient"),
        (NamesALossLikeAFigure, "losses", "names of their own"),
        (CutsItsEncoder, "losses", "every gradient of the group 'encoder' is zero"),
        (TrainsItsTeacher, "teachers", "teacher is in no group and gets a gradient"),
        (PredictsSmall, "predictors", "predictor 'network' returns"),
        (Draws, "determinism", "other losses"),
        (DrawsGlobally, "determinism", "other losses"),
        (StaysAsleep, "traces", "mode"),
        (Writes, "traces", "writes into its batch"),
        (Remembers, "state", "not in the state"),
        (Remembers, "resume", "other weights"),
        (ShowsWhatItWas, "resume", "leaves the first predictor as it was"),
        (NeedsEqualNumbers, "uneven", "RuntimeError"),
        (DividesByPixels, "void", "not a finite scalar"),
        (LovesVoid, "void", "not 0 or has no graph: supervised"),
        (KnowsVoidByHeart, "void", "not 0 or has no graph: supervised"),
        (HasNoNameForLabels, "void", "called 'supervised'"),
        (NeedsEveryClass, "one class", "not a finite scalar"),
        (Overflows, "bf16", "not a finite scalar"),
        (LosesGradientsInBfloat16, "bf16", "a gradient is lost"),
    ],
)
def test_a_broken_promise_is_found_and_named(method: type[Supervised], check: str, reason: str) -> None:
    found = finding(method, check)
    assert found.outcome == "broken"
    assert reason in found.detail


def test_a_constraint_that_an_error_names_is_a_refusal_and_no_fault() -> None:
    found = finding(RefusesUnequalNumbers, "uneven")
    assert (found.outcome, found.detail) == ("refused", "it needs as many labelled as unlabelled images. Give it these.")


def test_what_every_method_must_do_cannot_be_refused() -> None:
    class Refuses(Supervised):
        def forward(self, batch: Batch, progress: Progress) -> StepOutput:
            raise UsageError("it does not want to", "Leave it.")

    assert finding(Refuses, "losses").outcome == "broken"


def test_a_method_that_trains_nothing_keeps_what_is_not_about_training_and_refuses_the_rest() -> None:
    outcomes = {check.name: examine(Subject("supervised", TrainsNothing), check).outcome for check in CHECKS}
    assert {name for name, outcome in outcomes.items() if outcome == "kept"} == {"contract", "groups", "predictors", "state"}
    assert set(outcomes.values()) == {"kept", "refused"}


def test_a_method_that_trains_nothing_has_nothing_to_train() -> None:
    assert "has parameters to train" in finding(TrainsNothingInName, "groups").detail


def test_the_state_of_a_method_that_trains_nothing_decides_its_predictions() -> None:
    assert finding(TrainsNothingAndForgets, "state").outcome == "broken"


def test_a_single_image_reaches_the_method_past_what_the_network_refuses() -> None:
    class CannotCompare(Supervised):
        def forward(self, batch: Batch, progress: Progress) -> StepOutput:
            assert len(batch.labeled.image) > 1
            return super().forward(batch, progress)

    assert finding(Supervised, "single").outcome == "kept"
    assert finding(CannotCompare, "single").outcome == "broken"


def test_checks_leave_the_global_state_of_random_numbers_alone() -> None:
    before = torch.get_rng_state()
    for check in CHECKS:
        examine(Subject("supervised", Supervised), check)
    assert torch.equal(torch.get_rng_state(), before)


def test_checks_compute_in_one_thread_and_put_their_number_back() -> None:
    class Counts(Supervised):
        def forward(self, batch: Batch, progress: Progress) -> StepOutput:
            threads.append(torch.get_num_threads())
            return super().forward(batch, progress)

    threads: list[int] = []
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert finding(Counts, "losses").outcome == "kept"
        assert (threads, torch.get_num_threads()) == ([1], 2)
    finally:
        torch.set_num_threads(before)
