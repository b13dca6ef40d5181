"""GuidedMix-Net: sampling, mixing and decoupling by hand, and where gradients go.

Elsewhere: the focal loss (blocks/test_focal.py), pairs (blocks/test_pairing.py), MITrans (networks/test_mitrans.py).
"""

from collections.abc import Callable
from math import log
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from semibench.errors import UsageError
from semibench.harness.schedules import multiplier
from semibench.methods.blocks.focal import sigmoid_focal
from semibench.methods.guidedmix import GuidedMixNet, labeled_share, mix
from semibench.methods.method import Batch, Crop, Labeled, Progress, Task, Views
from semibench.methods.networks.deeplabv3 import DeepLabV3
from semibench.methods.networks.deeplabv3plus import DeepLabV3Plus

START = Progress(0, 10)
Picture = Callable[..., Tensor]


@pytest.fixture
def readable(readable_task: Task, readable_pyramid: Any) -> Callable[..., GuidedMixNet]:
    """Build a method whose two heads multiply by a factor and add a bias."""

    def with_heads(head: tuple[float, float] = (1, 0), mix_head: tuple[float, float] = (1, 0), **values: Any) -> GuidedMixNet:
        networks = iter([readable_pyramid(*head), readable_pyramid(*mix_head)])
        task = Task("tiny", ("background", "ring"), 255, (2, 2), lambda: next(networks))
        return GuidedMixNet(GuidedMixNet.Config.model_validate(values), task).train()

    return with_heads


@pytest.fixture
def set_draws(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Decide lambda and the labelled partner of each unlabelled image."""

    def decide(share: float, *pairs: int) -> None:
        monkeypatch.setattr("semibench.methods.guidedmix.labeled_share", lambda seeds, factor: share)
        monkeypatch.setattr("semibench.methods.guidedmix.random_pairs", lambda seeds, n: torch.tensor(pairs))

    return decide


def build_tiny(network: str = "deeplabv3", **values: Any) -> GuidedMixNet:
    torch.manual_seed(0)
    options = {"encoder": "tiny", "output_stride": 8, "rates": (1, 2), "channels": 8}
    kinds = {"deeplabv3": DeepLabV3, "deeplabv3plus": DeepLabV3Plus}
    config = kinds[network].Config.model_validate(options)
    task = Task("tiny", tuple("abcde"), 255, (64, 64), lambda: kinds[network](config, 5))
    return GuidedMixNet(GuidedMixNet.Config.model_validate(values), task).train()


def batch(labeled: Tensor, unlabeled: Tensor, mask: Tensor | None = None, valid: Tensor | None = None) -> Batch:
    if mask is None:
        mask = torch.ones(len(labeled), *labeled.shape[-2:], dtype=torch.int64)
    if valid is None:
        valid = torch.ones(len(unlabeled), *unlabeled.shape[-2:], dtype=torch.bool)
    crop = Crop(unlabeled, (), valid, torch.arange(len(unlabeled)))
    return Batch(Labeled(labeled, mask, torch.arange(len(labeled))), (crop,))


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


# Drawing and mixing.


@pytest.mark.parametrize("factor", [0.5, 0.4, 0.1])
def test_the_labelled_share_is_uniform_below_its_factor(factor: float) -> None:
    shares = [labeled_share(torch.tensor([seed]), factor) for seed in range(20_000)]
    assert 0 <= min(shares) < 0.01 * factor
    assert 0.99 * factor < max(shares) < factor
    assert sum(shares) / len(shares) == pytest.approx(factor / 2, rel=0.02)


@pytest.mark.parametrize("factor", [0, -0.1, 0.51])
def test_a_factor_outside_of_0_to_a_half_is_refused(factor: float) -> None:
    with pytest.raises(UsageError, match="lambda_factor"):
        GuidedMixNet.Config.parse({"lambda_factor": factor}, "the test")


def test_a_share_of_zero_is_the_unlabelled_image() -> None:
    (mixed,) = mix((noise(2, 3, 2, 2),), (noise(2, 3, 4, 1)[:, :, :2].expand(2, 3, 2, 2),), torch.tensor([1, 0]), 0.0)
    assert torch.equal(mixed, noise(2, 3, 4, 1)[:, :, :2].expand(2, 3, 2, 2))


def test_mixing_an_image_with_itself_changes_nothing() -> None:
    (mixed,) = mix((noise(2, 3, 2, 2),), (noise(2, 3, 2, 2),), torch.tensor([0, 1]), 0.3)
    assert torch.allclose(mixed, noise(2, 3, 2, 2))


def test_each_unlabelled_image_is_mixed_with_its_partner() -> None:
    labeled, unlabeled = torch.tensor([[1.0], [10.0]]), torch.tensor([[100.0], [200.0], [300.0]])
    (mixed,) = mix((labeled,), (unlabeled,), torch.tensor([1, 0, 1]), 0.5)
    assert mixed.flatten().tolist() == [55, 100.5, 155]


# Losses.


def test_the_supervised_loss_is_divided_by_all_pixels(readable, set_draws, picture: Picture) -> None:
    set_draws(0.25, 0)
    mask = torch.tensor([[[1, 1], [255, 255]]])
    losses = readable()(batch(picture(log(3)), picture(0.0), mask), START).losses
    assert losses["supervised"].item() == pytest.approx(log(4 / 3) / 2)


def test_labelled_images_without_any_label_give_zero_and_finite_gradients(readable, set_draws, picture: Picture) -> None:
    set_draws(0.25, 0)
    method = readable()
    output = method(batch(picture(log(3)), picture(1.0), torch.full((1, 2, 2), 255)), START)
    assert output.losses["supervised"].item() == 0
    sum(output.losses.values()).backward()
    assert all(p.grad is not None and p.grad.isfinite() for p in (method.network.weight, method.mix_head.weight))


def decoupled(method: GuidedMixNet, data: Batch, monkeypatch: pytest.MonkeyPatch) -> tuple[Tensor, Tensor]:
    """Return the decoupled logits and their target of one step."""
    seen: list[tuple[Tensor, Tensor]] = []

    def spy(logits: Tensor, label: Tensor, alpha: float, gamma: float) -> Tensor:
        seen.append((logits, label))
        return sigmoid_focal(logits, label, alpha, gamma)

    monkeypatch.setattr("semibench.methods.guidedmix.sigmoid_focal", spy)
    method(data, START)
    return seen[0]


@pytest.mark.parametrize("share", [0.0, 0.2, 0.45])
def test_with_equal_heads_decoupling_leaves_the_unlabelled_share_exactly(readable, set_draws, monkeypatch, share) -> None:
    set_draws(share, 1, 0)
    method = readable((1.5, 0.25), (1.5, 0.25))
    labeled, unlabeled = noise(2, 3, 2, 2), noise(4, 3, 2, 2)[2:]
    logits, target = decoupled(method, batch(labeled, unlabeled), monkeypatch)
    alone = 1.5 * unlabeled[:, :2] + 0.25
    assert torch.allclose(logits, (1 - share) * alone, atol=1e-6)
    assert torch.equal(target, alone.argmax(dim=1))  # one image for prediction and target


@pytest.mark.parametrize("pairs", [(0, 1), (1, 0), (1, 1)], ids=str)
def test_prediction_and_target_are_of_one_image_however_images_are_paired(readable, set_draws, monkeypatch, pairs) -> None:
    set_draws(0.4, *pairs)
    logits, target = decoupled(readable(), batch(noise(2, 3, 2, 2), noise(4, 3, 2, 2)[2:]), monkeypatch)
    assert torch.equal(logits.argmax(dim=1), target)  # equal heads: what is left is the unlabelled image's own


def test_a_share_of_zero_leaves_the_logits_of_the_mixture(readable, set_draws, monkeypatch) -> None:
    set_draws(0.0, 1, 0)
    method = readable((2, 0), (-3, 1))
    unlabeled = noise(4, 3, 2, 2)[2:]
    logits, _ = decoupled(method, batch(noise(2, 3, 2, 2), unlabeled), monkeypatch)
    assert torch.allclose(logits, -3 * unlabeled[:, :2] + 1)


def test_the_unlabelled_loss_is_ten_times_the_focal_loss_by_hand(readable, set_draws, picture: Picture) -> None:
    set_draws(0.25, 0)
    losses = readable((1, 0), (0, 0))(batch(picture(0.0), picture(2.0)), START).losses
    assert losses["unlabeled"].item() == pytest.approx(2.4506, abs=1e-4)  # decoupled logits of 0


def test_padding_counts_unless_it_is_masked(readable, set_draws, picture: Picture) -> None:
    set_draws(0.0, 0)
    valid = torch.tensor([[[True, True], [False, False]]])
    data = batch(picture(0.0), picture([[1.0, 1.0], [7.0, 7.0]]), valid=valid)
    plain, masked = (readable(mask_padding=is_masked)(data, START).losses["unlabeled"] for is_masked in (False, True))
    top = readable()(batch(picture(0.0), picture(1.0)), START).losses["unlabeled"]
    assert masked.item() == pytest.approx(top.item())
    assert plain.item() != pytest.approx(top.item())


def test_a_batch_of_more_unlabelled_images_than_labelled_ones_has_a_loss(readable, picture: Picture) -> None:
    losses = readable()(batch(picture(1.0, 2.0), picture(1.0, 2.0, 3.0)), START).losses
    assert all(loss.isfinite() for loss in losses.values())


# Gradients.


def gradient_of_unlabeled(method: GuidedMixNet, monkeypatch: pytest.MonkeyPatch, share: float) -> dict[str, float]:
    monkeypatch.setattr("semibench.methods.guidedmix.labeled_share", lambda seeds, factor: share)
    images = noise(4, 3, 64, 64)
    method(batch(images[:2], images[2:]), START).losses["unlabeled"].backward()
    return {name: 0.0 if p.grad is None else p.grad.abs().sum().item() for name, p in method.named_parameters()}


def test_without_a_labelled_share_the_first_classifier_gets_no_gradient(monkeypatch) -> None:
    assert gradient_of_unlabeled(build_tiny(), monkeypatch, 0.0)["network.classifier.weight"] == 0


def test_with_a_labelled_share_the_first_classifier_learns_through_it(monkeypatch) -> None:
    gradients = gradient_of_unlabeled(build_tiny(), monkeypatch, 0.3)
    assert gradients["network.classifier.weight"] > 0
    assert gradients["network.pyramid.projection.0.weight"] > 0
    assert gradients["mix_head.classifier.weight"] > 0
    assert gradients["network.pyramid.branches.0.0.weight"] > 0


def test_detached_labelled_logits_leave_the_first_tail_without_gradient(monkeypatch) -> None:
    gradients = gradient_of_unlabeled(build_tiny(detach_labeled_logits=True), monkeypatch, 0.3)
    assert gradients["network.classifier.weight"] == gradients["network.pyramid.projection.0.weight"] == 0
    assert gradients["network.pyramid.branches.0.0.weight"] > 0


def test_the_target_carries_no_gradient(monkeypatch) -> None:
    method = build_tiny()
    images = noise(4, 3, 64, 64)
    _, target = decoupled(method, batch(images[:2], images[2:]), monkeypatch)
    assert target.dtype == torch.int64
    assert not method._judge(method.network.gather(method.network.encode(images))).requires_grad


# Shapes, parts and variants.


def test_maps_are_mixed_at_the_stride_of_the_encoder(monkeypatch) -> None:
    method = build_tiny()
    images = noise(4, 3, 64, 64)
    (gathered,) = method.network.gather(method.network.encode(images[:2]))
    logits, target = decoupled(method, batch(images[:2], images[2:]), monkeypatch)
    assert gathered.shape == (2, 4 * 8, 8, 8)
    assert logits.shape == (2, 5, 8, 8)
    assert (target.shape, target.dtype) == ((2, 8, 8), torch.int64)


def test_one_pass_of_the_encoder_sees_labelled_and_unlabelled_images(readable, picture: Picture) -> None:
    method = readable()
    method(batch(picture(1.0), picture(2.0)), START)
    assert [call.image[:, 1, 0, 0].tolist() for call in method.network.calls] == [[1.0, 2.0]]


def test_the_paper_variant_passes_mixed_images_once_more() -> None:
    method = build_tiny(variant="paper", mitrans_channels=4)
    sizes: list[int] = []
    method.network.encoder.register_forward_hook(lambda module, inputs, output: sizes.append(len(inputs[0])))
    images = noise(5, 3, 64, 64)
    output = method(batch(images[:2], images[2:]), START)
    sum(output.losses.values()).backward()
    assert sizes == [5, 3]
    trained = [p for group in method.parameter_groups() for p in group.parameters]
    assert {id(p) for p in trained} == {id(p) for p in method.parameters()}
    assert all(p.grad is not None and p.grad.isfinite().all() for p in trained)


@pytest.mark.parametrize("network", ["deeplabv3", "deeplabv3plus"])
@pytest.mark.parametrize("variant", ["released", "paper"])
def test_every_parameter_is_used_and_prediction_needs_the_first_head_alone(network: str, variant: str) -> None:
    method = build_tiny(network, variant=variant)
    images = noise(4, 3, 64, 64)
    sum(method(batch(images[:2], images[2:]), START).losses.values()).backward()
    assert all(p.grad is not None for p in method.parameters())
    method.eval()
    (predictor,) = method.predictors().values()
    before = predictor(images)
    method.mix_head, method.mitrans = None, None
    assert torch.equal(predictor(images), before)


def test_a_network_without_a_pyramid_is_refused(readable_task: Task) -> None:
    with pytest.raises(UsageError, match="mixes the branches of an atrous pyramid, which Readable does not have"):
        GuidedMixNet(GuidedMixNet.Config(), readable_task)


def test_it_asks_for_weak_images_alone() -> None:
    assert build_tiny().views == Views(crops=1)
    assert isinstance(build_tiny().mix_head.encoder, nn.Identity)


def test_the_published_rate_falls_from_0_01_to_a_floor() -> None:
    recipe = GuidedMixNet.published["voc"].recipe
    rates = [recipe.optimizer.lr * multiplier(recipe.schedule, step, 20_000) for step in (0, 1, 10_000, 19_000, 19_999)]
    assert rates[0] == 0.01
    assert rates[-1] >= 1e-4 * (1 - 1e-9)
    assert rates == sorted(rates, reverse=True)
