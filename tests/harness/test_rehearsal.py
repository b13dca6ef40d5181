"""A step on the meta device: what a batch is refused for is known before the first one is read."""

from pathlib import Path

import pytest
import torch
from torch import nn

from semibench.errors import UsageError
from semibench.harness.configure import Request
from semibench.harness.conformance.subject import Subject
from semibench.harness.prepare import Order, prepare
from semibench.harness.rehearsal import rehearse
from semibench.methods.method import Batch, Method, Progress, StepOutput
from semibench.methods.supervised import Supervised
from semibench.protocols.protocol import load
from semibench.protocols.recipe import BatchSize, Recipe

ONE_IMAGE = "image-level branch cannot normalize a pass of one image in training mode"


def recipe(labeled: int, unlabeled: int) -> Recipe:
    return load("shapes-16").recipe.model_copy(update={"batch": BatchSize(labeled=labeled, unlabeled=unlabeled)})


def build(method: type[Method]) -> Method:
    return Subject("tiny", method).build()


@pytest.mark.parametrize(
    ("method", "labeled", "unlabeled"),
    [("supervised", 1, 4), ("cwbass", 1, 4), ("cwbass", 4, 1), ("fixmatch", 4, 1), ("maskmatch", 4, 1), ("mgd", 1, 4)],
)
def test_a_pass_of_one_image_is_refused_if_the_network_normalizes_single_pixels(
    method: str, labeled: int, unlabeled: int
) -> None:
    with pytest.raises(UsageError, match=rf"{ONE_IMAGE}\. Raise recipe\.batch or lower recipe\.accumulation"):
        rehearse(Subject.find(method).build(), recipe(labeled, unlabeled))


@pytest.mark.parametrize(
    ("method", "labeled", "unlabeled"),
    [("supervised", 2, 1), ("fixmatch", 1, 2), ("mean_teacher", 1, 1), ("unimatch", 1, 1), ("deeplabv3", 1, 1)],
)
def test_one_image_is_taken_where_it_passes_with_others_or_nothing_normalizes_it_alone(
    method: str, labeled: int, unlabeled: int
) -> None:
    rehearse(Subject.find(method).build(), recipe(labeled, unlabeled))


@pytest.mark.parametrize("setting", ["recipe.batch.unlabeled=1", "recipe.accumulation=8"])
def test_a_run_that_would_pass_one_image_is_refused_before_it_starts(tmp_path: Path, setting: str) -> None:
    settings = ("run.device=cpu", "recipe.batch.labeled=8", "recipe.batch.unlabeled=8", setting)
    with pytest.raises(UsageError, match=ONE_IMAGE):
        prepare(Order(Request("fixmatch", load("shapes-16"), settings=settings), None, tmp_path))


def test_frozen_normalization_takes_one_image(tmp_path: Path) -> None:
    settings = ("run.device=cpu", "recipe.batch.labeled=1", "recipe.norm=frozen")
    assert prepare(Order(Request("supervised", load("shapes-16"), settings=settings), None, tmp_path)).total > 0


def test_torch_s_own_refusal_of_a_size_is_an_error_for_the_user() -> None:
    class NormalizesAnAverage(Supervised):
        def forward(self, batch: Batch, progress: Progress) -> StepOutput:
            average = batch.labeled.image.mean(dim=(2, 3), keepdim=True)
            return StepOutput({"supervised": nn.BatchNorm2d(3)(average).sum()})

    with pytest.raises(
        UsageError, match=r"a pass of 1 labelled images of 64 x 64 .*more than 1 value per channel.*recipe\.crop"
    ):
        rehearse(build(NormalizesAnAverage), recipe(1, 4))


def test_so_is_that_of_an_encoder_for_images_of_one_size() -> None:
    class TakesOneSize(Supervised):
        def forward(self, batch: Batch, progress: Progress) -> StepOutput:
            raise AssertionError("Input height (64) doesn't match model (224)")  # as timm's transformers do

    with pytest.raises(UsageError, match=r"is not possible: Input height .*\. Change recipe\.crop"):
        rehearse(build(TakesOneSize), recipe(4, 4))


def test_a_method_that_reads_numbers_is_left_to_its_first_step() -> None:
    class Reads(Supervised):
        def forward(self, batch: Batch, progress: Progress) -> StepOutput:
            batch.labeled.mask.max().item()
            raise AssertionError("it has read a number that does not exist")

    rehearse(build(Reads), recipe(4, 4))


def test_nothing_is_computed_and_the_global_state_of_random_numbers_stays() -> None:
    method, before = Subject.find("unimatch").build(), torch.get_rng_state()
    rehearse(method, recipe(2, 2))
    assert {parameter.device.type for parameter in method.parameters()} == {"meta"}
    assert torch.equal(torch.get_rng_state(), before)
