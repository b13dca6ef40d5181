"""Dense CLIP with a row of text for each class."""

import pytest
import torch
import torch.nn.functional as F

from semibench.methods.networks._clips import stand_in
from semibench.methods.networks.maskclip import MaskClip


@pytest.fixture
def network() -> MaskClip:
    network = MaskClip(MaskClip.Config(encoder="tiny"), 2)
    clip = stand_in("tiny")
    network.learn(clip, F.normalize(clip.encode_text(["sky", "disk", "circle"]), dim=1), (1, 2))
    return network.eval()


def test_nothing_of_it_can_be_trained(network):
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_logits_are_a_hundred_times_the_best_cosine_of_each_class(network):
    image = torch.randn(2, 3, 16, 24)
    embedding = network.encode(image)[-1]
    scores = torch.einsum("ndhw,rd->nrhw", embedding, network.rows)
    expected = torch.stack([scores[:, 0], scores[:, 1:].amax(dim=1)], dim=1)
    torch.testing.assert_close(network.decode((embedding,), (2, 3)), 100 * expected)
    assert network(image).shape == (2, 2, 16, 24)


def test_what_it_learnt_is_in_its_state(network):
    other = MaskClip(MaskClip.Config(encoder="tiny"), 2)
    other.learn(stand_in("tiny"), torch.zeros(3, network.rows.shape[1]), (1, 2))
    other.load_state_dict(network.state_dict())
    image = torch.randn(1, 3, 16, 16)
    assert torch.equal(other(image), network(image))
