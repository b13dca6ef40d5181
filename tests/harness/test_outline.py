"""What a dry run says, with and without the data set."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from torch._subclasses.fake_tensor import FakeTensorMode

from semibench.errors import UsageError
from semibench.harness.build import build_method
from semibench.harness.configure import Request, resolve
from semibench.harness.outline import Outline, outline
from semibench.harness.prepare import Order
from semibench.methods.semivl import SemiVL
from semibench.protocols.protocol import load

Call = Callable[..., tuple[int, str, str]]
GIGABYTE = 1e9


def ask(method: str, protocol: str, *settings: str) -> Outline:
    return outline(Order(Request(method, load(protocol), settings=settings), None, Path("runs")))


# semivl takes the authors' settings where there are some: no protocol's backbone is a CLIP but that of shapes.


@pytest.mark.parametrize(
    "protocol, images, steps",
    [
        ("voc-92", (92, 10_490), 104_880),
        ("coco-232", (232, 118_055), 147_570),
        ("ade20k-158", (158, 20_052), 100_280),
        ("cityscapes-100", (100, 2_875), 83_760),
    ],
)
def test_length_and_memory_of_semivl_are_known_without_data(protocol: str, images: tuple[int, int], steps: int) -> None:
    found = ask("semivl", protocol)
    assert found.prepared is None
    assert ((found.labeled, found.unlabeled), found.steps) == (images, steps)
    assert found.resolved.configuration.division == "published"
    assert found.memory is not None
    assert found.memory.total < 24 * GIGABYTE  # what it must fit


def test_with_the_data_set_it_says_what_would_run(tmp_path: Path) -> None:
    found = ask("supervised", "shapes-48")
    assert found.prepared is not None
    assert (found.labeled, found.unlabeled, found.steps) == (48, 952, 1000)
    assert found.prepared.configuration == found.resolved.configuration


def test_a_method_that_trains_nothing_takes_no_steps() -> None:
    found = ask("zeroshot", "voc-92")
    assert found.steps == 0
    assert found.memory is not None
    assert found.memory[1:3] == (0, 0)


def test_a_mistake_is_refused_without_data_too() -> None:
    with pytest.raises(UsageError, match="unknown key"):
        ask("semivl", "voc-92", "recipe.stepz=3")
    with pytest.raises(
        UsageError, match=r"network\.encoder = 'ViT-B-17' in --set is not valid: Input should be 'ViT-B-16' or 'tiny'"
    ):
        ask("semivl", "voc-92", "network.encoder=ViT-B-17")


def test_a_division_that_is_named_wins_over_the_usual_one() -> None:
    assert resolve(Request("semivl", load("shapes-48"))).configuration.division == "controlled"  # has no published settings
    assert resolve(Request("unimatch", load("voc-92"))).configuration.division == "controlled"
    controlled = resolve(Request("semivl", load("voc-92"), division="controlled")).configuration
    assert (controlled.division, controlled.recipe) == ("custom", load("voc-92").recipe)  # its encoder is no CLIP


@pytest.mark.parametrize("protocol", ["camvid-all", "voc-92", "ade20k-158", "cityscapes-100"])
def test_semivl_takes_the_usual_clip_where_the_protocol_s_encoder_is_none(protocol: str) -> None:
    resolved = resolve(Request("semivl", load(protocol), division="controlled"))
    with FakeTensorMode(allow_non_fake_inputs=True):
        method, _ = build_method(resolved.configuration, load(protocol).dataset_class(), weights={})
    assert isinstance(method, SemiVL)
    assert method.network.clip_name == "ViT-B-16"
    assert resolved.origins["division"] == "semivl cannot take the protocol's encoder"


def test_the_drawn_pictures_name_their_clip_as_their_encoder() -> None:
    network = resolve(Request("semivl", load("shapes-48"))).configuration.network.model_dump()
    assert (network["name"], network["encoder"], network["channels"], network["rates"]) == ("vlg", "tiny", 32, (1, 2, 3))


def test_a_dry_run_prints_steps_memory_and_every_value_with_its_origin(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEMIBENCH_DATA", raising=False)
    code, output, _ = call("run", "--method", "semivl", "--protocol", "voc-92", "--dry-run")
    assert code == 0
    assert "104880 steps of 8+8 images, crop 512x512, fp32" in output
    assert "memory     about 1" in output and " GB: weights" in output
    assert "its data set is not at hand" in output
    assert "recipe.optimizer.lr = 0.0001 # published: google-research/semivl" in output
    assert "evaluation.window = [512, 512] # rule 'semivl-best' of voc" in output


def test_scripts_get_null_for_what_depends_on_files(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEMIBENCH_DATA", raising=False)
    (found,) = json.loads(call("run", "--method", "supervised", "--protocol", "voc-92", "--dry-run", "--json")[1])
    assert (found["run_id"], found["labeled"], found["unlabeled"]) == (None, 92, 10_490)
    assert set(found["memory"]) == {"weights", "gradients", "optimizer", "activations"}
    assert found["origins"]["recipe.crop"] == "protocol voc-92@classic"
