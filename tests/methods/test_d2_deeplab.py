"""Detectron2's DeepLabV3+ under the contract: what its own project would build, say and minimize."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from semibench.errors import MissingPackageError, UsageError
from semibench.harness.configure import Request, resolve
from semibench.harness.conformance.testing import conformance_test, processes_test
from semibench.methods.d2_deeplab import D2DeepLab
from semibench.methods.method import Batch, Labeled, Progress, Task
from semibench.methods.networks import _detectron2, d2_deeplab
from semibench.protocols.protocol import load

Load = Callable[[str], Any]
TINY = {"encoder": "tiny", "rates": (1, 2, 3), "channels": 8, "low_channels": 4, "dropout": 0}
PROJECT = "projects/DeepLab/configs/Cityscapes-SemanticSegmentation/deeplab_v3_plus_R_103_os16_mg124_poly_90k_bs16.yaml"


@pytest.fixture
def network(detectron2: Load) -> d2_deeplab.D2DeepLab:
    torch.manual_seed(0)
    return d2_deeplab.D2DeepLab(d2_deeplab.D2DeepLab.Config.model_validate(TINY), 3)


@pytest.fixture
def segmentor(detectron2: Load, network: d2_deeplab.D2DeepLab) -> torch.nn.Module:
    """The same network as Detectron2 builds and calls it."""
    settings = d2_deeplab._configuration(d2_deeplab.D2DeepLab.Config.model_validate(TINY), 3)
    settings.MODEL.META_ARCHITECTURE = "SemanticSegmentor"
    settings.MODEL.DEVICE = "cpu"
    settings.MODEL.PIXEL_MEAN, settings.MODEL.PIXEL_STD = [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]
    model = detectron2("detectron2.modeling").build_model(settings)
    model.backbone.load_state_dict(network.encoder.state_dict())
    model.sem_seg_head.load_state_dict(network.head.state_dict())
    return model


@pytest.fixture
def batch() -> Batch:
    generator = torch.Generator().manual_seed(0)
    mask = torch.randint(0, 3, (2, 48, 64), generator=generator)
    mask[:, :8] = 255
    return Batch(Labeled(torch.randn(2, 3, 48, 64, generator=generator), mask, torch.arange(2)))


def inputs(batch: Batch) -> list[dict[str, torch.Tensor]]:
    pairs = zip(batch.labeled.image, batch.labeled.mask, strict=True)
    return [{"image": image, "sem_seg": mask} for image, mask in pairs]


def test_logits_are_those_of_detectron2(network: d2_deeplab.D2DeepLab, segmentor: torch.nn.Module, batch: Batch) -> None:
    with torch.no_grad():
        ours = network.eval()(batch.labeled.image)
        theirs = [found["sem_seg"] for found in segmentor.eval()(inputs(batch))]
    assert ours.std() > 0
    torch.testing.assert_close(ours, torch.stack(theirs))


def test_the_loss_is_that_of_detectron2(network: d2_deeplab.D2DeepLab, segmentor: torch.nn.Module, batch: Batch) -> None:
    method = D2DeepLab(D2DeepLab.Config(), Task("tiny", ("a", "b", "c"), 255, (48, 64), lambda: network)).train()
    loss = method(batch, Progress(0, 1)).losses["supervised"]
    torch.testing.assert_close(loss, segmentor.train()(inputs(batch))["loss_sem_seg"])


def test_the_published_network_is_that_of_the_project_s_file(detectron2: Load) -> None:
    file = Path(detectron2("detectron2").__file__).parents[1] / PROJECT
    if not file.is_file():
        pytest.skip("this copy of Detectron2 has no projects/DeepLab/configs")
    project = detectron2("detectron2.config").get_cfg()
    detectron2("detectron2.projects.deeplab").add_deeplab_config(project)
    project.merge_from_file(str(file))
    project.MODEL.RESNETS.NORM = project.MODEL.SEM_SEG_HEAD.NORM = "BN"  # recipe.norm = syncbn
    published = D2DeepLab.published["cityscapes"]
    network = {key: value for key, value in published.network.items() if key != "name"}
    ours = d2_deeplab._configuration(d2_deeplab.D2DeepLab.Config.parse(network, "the test"), 19)
    for part in ("BACKBONE", "RESNETS", "SEM_SEG_HEAD"):
        assert ours.MODEL[part] == project.MODEL[part]
    assert {key: ours.INPUT.CROP[key] for key in ("ENABLED", "TYPE")} == {"ENABLED": True, "TYPE": "absolute"}
    assert tuple(ours.INPUT.CROP.SIZE) == tuple(project.INPUT.CROP.SIZE)
    solver, recipe = project.SOLVER, published.recipe
    assert (0.01, recipe.optimizer.momentum, 1e-4) == (solver.BASE_LR, solver.MOMENTUM, solver.WEIGHT_DECAY)
    assert (recipe.steps, recipe.batch.labeled) == (solver.MAX_ITER, solver.IMS_PER_BATCH)
    assert (recipe.schedule.warmup, recipe.schedule.warmup_start) == (solver.WARMUP_ITERS, solver.WARMUP_FACTOR)
    assert tuple(project.INPUT.MIN_SIZE_TRAIN) == recipe.augmentation.scale.choices


def test_a_controlled_run_takes_the_protocol_s_options_that_fit() -> None:
    network = resolve(Request("d2_deeplab", load("shapes-48"))).configuration.network.model_dump()
    assert (network["name"], network["encoder"]) == ("d2_deeplab", "tiny")


def test_another_network_is_refused(detectron2: Load, readable_task: Task) -> None:
    with pytest.raises(UsageError, match=r"about the network of its name\. Set network\.name to d2_deeplab"):
        D2DeepLab(D2DeepLab.Config(), readable_task)


@pytest.fixture
def without_detectron2(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(module: str, instead: str = "do without it") -> None:
        raise MissingPackageError("Detectron2 cannot be imported: no such module", f"Install it, or {instead}.")

    monkeypatch.setattr(_detectron2, "load", missing)


@pytest.mark.usefixtures("without_detectron2")
def test_without_detectron2_it_is_listed_and_says_what_to_do_when_built() -> None:
    config = resolve(Request("d2_deeplab", load("shapes-48"))).configuration.network
    with pytest.raises(MissingPackageError, match=r"or set network\.name to deeplabv3plus"):
        d2_deeplab.D2DeepLab(config, 9)


@pytest.mark.usefixtures("without_detectron2")
def test_without_detectron2_the_conformance_kit_skips_it() -> None:
    check = next(mark.args[1][0] for mark in conformance_test("d2_deeplab").pytestmark if mark.args[0] == "check")
    with pytest.raises(pytest.skip.Exception, match="Detectron2 cannot be imported"):
        conformance_test("d2_deeplab")("d2_deeplab", check)


@pytest.mark.usefixtures("without_detectron2")
def test_without_detectron2_no_process_is_asked_about_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr("semibench.harness.conformance.testing.in_two_processes", lambda names: asked.append(names) or [])
    processes_test("d2_deeplab")()
    assert asked == [[]]
