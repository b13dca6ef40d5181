"""Running out of memory ends in numbers and in settings to try."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from semibench.errors import RunFailedError
from semibench.harness.configure import Configuration, Request, resolve
from semibench.harness.out_of_memory import explaining, explaining_scoring, remedies
from semibench.protocols.protocol import load

Call = Callable[..., tuple[int, str, str]]


def configure(method: str = "supervised", *settings: str) -> Configuration:
    return resolve(Request(method, load("shapes-48"), settings=settings)).configuration


def fail(message: str = "CUDA out of memory. Tried to allocate 2.00 GiB.") -> None:
    raise torch.OutOfMemoryError(message)


def test_the_error_names_what_a_step_needs_and_what_is_there() -> None:
    with pytest.raises(RunFailedError) as raised, explaining(configure(), "cpu"):
        fail()
    assert "a step of 8+8 images, crop 64x64, bf16, ran out of memory on cpu: about " in raised.value.what
    assert re.search(r"the machine has [\d.]+ GB, [\d.]+ [GM]B free", raised.value.what)


def test_the_next_steps_are_concrete_and_each_needs_less_than_the_one_before() -> None:
    with pytest.raises(RunFailedError) as raised, explaining(configure("supervised", "recipe.precision=fp32"), "cpu"):
        fail()
    options = ["--precision bf16", "recipe.accumulation=2", "recipe.crop=[48,48]"]
    places = [raised.value.next_step.index(option) for option in options]
    assert places == sorted(places)
    numbers = [float(number) for number in re.findall(r"about ([\d.]+) MB", str(raised.value))]
    assert len(numbers) == 4
    assert numbers == sorted(numbers, reverse=True)
    assert "makes the run custom" in raised.value.next_step


def test_a_network_that_can_compute_activations_again_is_asked_to() -> None:
    found = [remedy.option for remedy in remedies(configure("semivl", "recipe.precision=fp32"))]
    assert found[:2] == ["--precision bf16", "--set network.checkpointing=true"]


def test_a_decoder_of_many_classes_is_asked_to_take_some_at_a_time() -> None:
    configuration = resolve(Request("semivl", load("ade20k-158"), settings=("network.class_chunk=none",))).configuration
    assert "--set network.class_chunk=25" in [remedy.option for remedy in remedies(configuration)]
    few = resolve(Request("semivl", load("voc-92"))).configuration  # 21
    assert not any("class_chunk" in remedy.option for remedy in remedies(few))


def test_what_is_set_already_is_not_advised() -> None:
    configuration = configure("semivl", "network.checkpointing=true", "recipe.accumulation=8", "recipe.precision=bf16")
    assert [remedy.option for remedy in remedies(configuration)] == ["--set recipe.crop=[48,48]"]


def test_what_the_network_refuses_is_not_advised_alone_nor_below_another() -> None:
    pairs = configure("supervised", "recipe.batch.labeled=2", "recipe.batch.unlabeled=2")  # of parts with one image each
    assert "--set recipe.accumulation=2" in [remedy.option for remedy in remedies(pairs)]
    with pytest.raises(RunFailedError) as raised, explaining(pairs, "cpu"):
        fail()
    assert "accumulation" not in raised.value.next_step
    assert "or try, each on top of the one before: --set recipe.crop=[48,48]: about " in raised.value.next_step


def test_parts_are_equal() -> None:
    three = configure("supervised", "recipe.batch.labeled=9", "recipe.batch.unlabeled=9")
    assert not any("accumulation" in remedy.option for remedy in remedies(three))


def test_the_process_s_own_memory_counts_too() -> None:
    with pytest.raises(RunFailedError, match="ran out of memory"), explaining(configure(), "cpu"):
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:125] DefaultCPUAllocator: can't allocate memory")


def test_other_errors_pass() -> None:
    with pytest.raises(RuntimeError, match="shapes"), explaining(configure(), "cpu"), explaining_scoring("cpu"):
        raise RuntimeError("shapes do not match")


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("semibench.methods.supervised.Supervised.after_step", "a step of 4+4 images"),
        ("semibench.harness.scoring.Scorer.miou", "scoring ran out of memory on cpu"),
        ("semibench.harness.scoring.Scorer.report", "scoring ran out of memory on cpu"),
    ],
    ids=["training", "scoring while training", "scoring at the end"],
)
def test_a_run_that_runs_out_of_memory_has_failed_and_can_go_on(
    tmp_path: Path, call: Call, train: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch, place: str, message: str
) -> None:
    monkeypatch.setattr(place, lambda *_: fail())
    code, _, errors = call(*train(tmp_path, method="supervised", steps=6))
    assert (code, message in errors) == (1, True)
    (status,) = tmp_path.glob("*/*/*/status.json")
    assert json.loads(status.read_text())["status"] == "failed"
    monkeypatch.undo()
    assert call(*train(tmp_path, method="supervised", steps=6))[0] == 0
