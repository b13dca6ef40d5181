"""Zero-shot: what is asked in which words."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from semibench.errors import UsageError
from semibench.methods.method import Task
from semibench.methods.networks._clips import Clip, stand_in
from semibench.methods.networks.deeplabv3plus import DeepLabV3Plus
from semibench.methods.networks.maskclip import MaskClip
from semibench.methods.zeroshot import ZeroShot
from semibench.protocols.concepts import Concepts

NAMES = ("background", "disk", "ring")


class Asked:
    """A stand-in that remembers what it was asked."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def __call__(self, name: str) -> Clip:
        clip = stand_in(name)

        def encode_text(texts: Sequence[str]) -> Tensor:
            self.texts += texts
            return clip.encode_text(texts)

        return Clip(clip.architecture, clip.visual, encode_text)


def task(asked: Asked) -> Task:
    def build_network() -> MaskClip:
        return MaskClip(MaskClip.Config(encoder="tiny"), len(NAMES))

    return Task("drawings", NAMES, 255, (64, 64), build_network, load_clip=asked)


def test_each_class_is_asked_for_by_its_name():
    asked = Asked()
    method = ZeroShot(ZeroShot.Config(), task(asked))
    assert asked.texts == ["a photo of a background", "a photo of a disk", "a photo of a ring"]
    torch.testing.assert_close(method.network.rows.norm(dim=1), torch.ones(3))


def test_a_class_may_be_described_by_several_concepts():
    asked = Asked()
    own = Concepts(classes=(("sky", "grass"), "disk", "ring"))
    method = ZeroShot(ZeroShot.Config(concepts=own), task(asked))
    assert asked.texts[:2] == ["a photo of a sky", "a photo of a grass"]
    assert (method.network.rows.shape[0], method.network.counts) == (4, (2, 1, 1))


def test_the_network_has_the_weights_of_the_clip():
    method = ZeroShot(ZeroShot.Config(), task(Asked()))
    assert torch.equal(method.network.encoder.proj.weight, stand_in("tiny").visual["proj.weight"])


def test_a_network_that_reads_no_text_is_refused():
    small = DeepLabV3Plus.Config(encoder="tiny", output_stride=8, rates=(1,), channels=8, low_channels=4)
    other = Task("drawings", NAMES, 255, (64, 64), lambda: DeepLabV3Plus(small, 3))
    with pytest.raises(UsageError, match="needs a network that reads text, DeepLabV3Plus does not"):
        ZeroShot(ZeroShot.Config(), other)
