"""Ablations that SemiVL's documentation names: each can be asked for on every data set, and is what it says.

Tensors are fake, so that nothing is computed: they have shapes and no numbers.
"""

from typing import NamedTuple

import pytest
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.optim import Optimizer

from semibench.harness.build import build_method
from semibench.harness.configure import Configuration, Request, resolve
from semibench.harness.optimizers import build_optimizer
from semibench.methods.networks.deeplab_clip import DeepLabClip
from semibench.methods.semivl import SemiVL
from semibench.protocols.protocol import load
from semibench.protocols.recipe import GroupRule

PROTOCOLS = {"voc": "voc-92", "coco": "coco-232", "ade20k": "ade20k-158", "cityscapes": "cityscapes-100", "shapes": "shapes-48"}
on_every_data_set = pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS)


class Built(NamedTuple):
    """A run before its first step."""

    configuration: Configuration
    method: SemiVL
    optimizer: Optimizer


def build(protocol: str, *settings: str) -> Built:
    """Build what settings ask for, with an optimizer of all that is trained and nothing else."""
    loaded = load(protocol)
    configuration = resolve(Request("semivl", loaded, settings=settings)).configuration
    with FakeTensorMode(allow_non_fake_inputs=True):
        method, _ = build_method(configuration, loaded.dataset_class(), weights={})
        optimizer = build_optimizer(method, configuration.recipe.optimizer)
    assert isinstance(method, SemiVL)
    stepped = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    trained = [parameter for parameter in method.network.parameters() if parameter.requires_grad]
    assert len(stepped) == len(trained)
    assert set(map(id, stepped)) == set(map(id, trained))
    return Built(configuration, method, optimizer)


def test_every_published_recipe_is_among_them() -> None:
    assert set(SemiVL.published) == set(PROTOCOLS) - {"shapes"}


@on_every_data_set
def test_guidance_can_be_left_out(protocol: str) -> None:
    assert build(protocol, "method.guidance_weight=0").method.guide is None


@on_every_data_set
def test_guidance_can_call_each_class_by_one_name(protocol: str) -> None:
    guide = build(protocol, "method.guidance_concepts=single").method.guide
    assert guide is not None
    assert set(guide.network.counts) == {1}


@on_every_data_set
def test_all_of_clip_can_be_trained(protocol: str) -> None:
    built = build(protocol, "network.trained=all")
    assert all(parameter.requires_grad for parameter in built.method.network.encoder.parameters())


@on_every_data_set
def test_nothing_of_clip_can_be_trained(protocol: str) -> None:
    built = build(protocol, "network.trained=none")
    assert not any(parameter.requires_grad for parameter in built.method.network.encoder.parameters())
    rules, groups = built.configuration.recipe.optimizer.groups, built.method.parameter_groups()
    multipliers = [rules.get(group.name, GroupRule()).lr_multiplier for group in groups if group.parameters]
    assert [group["lr_multiplier"] for group in built.optimizer.param_groups] == multipliers


@on_every_data_set
def test_the_decoder_can_be_one_that_knows_no_names(protocol: str) -> None:
    usual, built = resolve(Request("semivl", load(protocol))).configuration, build(protocol, "network.name=deeplab_clip")
    assert isinstance(built.method.network, DeepLabClip)
    kept = ("encoder", "image_size", "renormalize", "trained")
    assert [getattr(built.configuration.network, key) for key in kept] == [getattr(usual.network, key) for key in kept]


@on_every_data_set
def test_contours_can_be_those_of_clip(protocol: str) -> None:
    network = build(protocol, "network.conv_encoder=none").method.network
    assert not network.parameter_groups()[-1].parameters


def test_the_plain_decoder_on_voc_has_as_much_of_clip_trained_as_the_reference() -> None:
    encoder, *_ = build("voc-92", "network.name=deeplab_clip").method.parameter_groups()
    assert sum(parameter.numel() for parameter in encoder.parameters) == 29_135_616
