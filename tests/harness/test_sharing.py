"""How processes share a recipe's batch, and what that makes of the run."""

import os
from contextlib import nullcontext
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from semibench.errors import RunFailedError, UsageError
from semibench.harness import launch, processes, sharing, streaming
from semibench.harness.configure import Request, resolve
from semibench.harness.conformance.subject import Subject
from semibench.harness.evaluate import evaluate
from semibench.harness.prepare import Order, prepare
from semibench.protocols.datasets.shapes import Shapes
from semibench.protocols.protocol import EvaluationRule, load
from semibench.protocols.recipe import BatchSize, Recipe


def recipe(accumulation: int = 1, **changes: object) -> Recipe:
    return load("shapes-16").recipe.model_copy(update={"accumulation": accumulation, **changes})


@pytest.mark.parametrize(
    ("accumulation", "count", "expected"), [(1, 1, 1), (4, 1, 4), (4, 2, 4), (4, 4, 4), (1, 4, 4), (2, 8, 8), (4, 8, 8)]
)
def test_processes_do_the_parts_of_the_recipe_or_the_next_multiple(accumulation: int, count: int, expected: int) -> None:
    assert sharing.parts(recipe(accumulation), count) == expected


def test_a_batch_that_cannot_be_shared_is_refused_with_the_numbers_that_can() -> None:
    with pytest.raises(UsageError, match=r"3 processes cannot share batches of 8 labelled and 12 .* one of: 1, 2, 4\."):
        sharing.parts(recipe(batch=BatchSize(labeled=8, unlabeled=12)), 3)


def test_filled_in_parts_are_another_recipe_and_say_whence_they_come() -> None:
    resolved = resolve(Request("supervised", load("shapes-16"), settings=("run.devices=4",)))
    assert (resolved.configuration.recipe.accumulation, resolved.configuration.division) == (4, "custom")
    assert resolved.origins["recipe.accumulation"] == "4 devices"
    assert resolved.origins["division"] == "4 devices cut each batch into 4 parts, the recipe into 1"
    assert resolved.configuration.recipe.batch == load("shapes-16").recipe.batch
    assert resolved.configuration.recipe.optimizer == load("shapes-16").recipe.optimizer


@pytest.mark.parametrize(("norm", "same"), [("frozen", True), ("bn", False)])
def test_the_number_of_processes_is_part_of_the_id_where_layers_take_statistics(tmp_path: Path, norm: str, same: bool) -> None:
    def run_id(devices: int) -> str:
        settings = ("run.device=cpu", "recipe.accumulation=2", f"recipe.norm={norm}", f"run.devices={devices}")
        return prepare(Order(Request("supervised", load("shapes-16"), settings=settings), None, tmp_path)).run_id

    assert (run_id(1) == run_id(2)) is same


def test_a_network_without_statistics_does_not_count_its_processes() -> None:
    method = Subject.find("supervised").build()
    assert sharing.statistics_over(method, recipe(), 4) == 4
    method.network = nn.GroupNorm(1, 3)
    assert sharing.statistics_over(method, recipe(), 4) == 1


def test_synchronized_layers_need_gpus_where_there_are_several_processes() -> None:
    sharing.check_norm(recipe(norm="syncbn"), "cpu", 1)
    sharing.check_norm(recipe(norm="syncbn"), "cuda:1", 2)
    with pytest.raises(UsageError, match=r"syncbn cannot be kept by 2 processes .*--set recipe\.norm=bn"):
        sharing.check_norm(recipe(norm="syncbn"), "cpu", 2)


def test_each_process_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert processes.own_device("cuda", 2) == "cuda:1"
    assert processes.own_device("cuda:1", 1) == "cuda:1"
    with pytest.raises(UsageError, match=r"4 processes need a GPU each, this machine has 2\. Use --devices 2"):
        processes.own_device("cuda", 4)
    with pytest.raises(UsageError, match="2 processes cannot share the device 'cuda:1'"):
        processes.own_device("cuda:1", 2)


def test_a_launcher_decides_the_number(monkeypatch: pytest.MonkeyPatch) -> None:
    assert processes.agreed(None) is None
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert processes.agreed(None) == processes.agreed(4) == 4
    with pytest.raises(UsageError, match="--devices 2 in one of 4 launched processes"):
        processes.agreed(2)


def test_a_launcher_of_one_process_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, number in {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1"}.items():
        monkeypatch.setenv(name, number)
    assert list(launch.carry_out([], show_progress=False)) == []
    assert not {"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"} & set(os.environ)  # Accelerate looks at each of them


class Strongest(nn.Module):
    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.cat([image] * 4, dim=1)[:, : len(Shapes.class_names)]


@pytest.mark.parametrize("count", [2, 3])
def test_shares_of_301_images_merge_into_what_one_process_counts(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    dataset, rule = Shapes(None), EvaluationRule(mode="whole", select_on="val", report_on="val")
    ids = [*dataset.ids("val"), dataset.ids("train")[0]]
    monkeypatch.setattr(streaming, "BATCH_PIXELS", 64 * 64 * 7)  # 43 batches
    alone = evaluate(Strongest(), dataset, ids, rule, recipe().normalization)
    shares: list[Any] = []

    def gather(tally: Any) -> list[Any]:
        shares.append(tally)
        return [deepcopy(share) for share in shares]

    monkeypatch.setattr(processes, "count", lambda: count)
    monkeypatch.setattr(processes, "gather", gather)
    for rank in range(count):
        monkeypatch.setattr(processes, "rank", lambda rank=rank: rank)
        with nullcontext() if rank == count - 1 else pytest.raises(RunFailedError, match="of 301 images"):
            merged = evaluate(Strongest(), dataset, ids, rule, recipe().normalization)
    assert sum(len(share.digests) for share in shares) == 301
    np.testing.assert_array_equal(merged.confusion, alone.confusion)
    assert merged.truth_digest == alone.truth_digest
    pairs = zip(vars(merged.per_image).values(), vars(alone.per_image).values(), strict=True)
    assert all(np.array_equal(one, other) for one, other in pairs)
