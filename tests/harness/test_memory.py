"""Memory of a step from shapes alone: against what a real forward pass keeps."""

import pytest
import torch
from torch import Tensor

from semibench.harness.build import build_method
from semibench.harness.configure import Configuration, Request, resolve
from semibench.harness.conformance.subject import draw, masked
from semibench.harness.memory import Memory, estimate_memory
from semibench.methods.method import Method, Progress
from semibench.protocols.protocol import load

SHAPES = load("shapes-48")
SMALL = ("recipe.batch.labeled=4", "recipe.batch.unlabeled=4", "recipe.crop=[48,64]")


def configure(method: str, *settings: str) -> Configuration:
    return resolve(Request(method, SHAPES, settings=(*SMALL, *settings))).configuration


def build(configuration: Configuration) -> Method:
    return build_method(configuration, SHAPES.dataset_class(), {})[0]


def estimate(configuration: Configuration) -> Memory | None:
    return estimate_memory(lambda: build(configuration), configuration.recipe)


def kept(configuration: Configuration, n: int = 4) -> int:
    """Return the bytes that the graph of a real pass keeps, without parameters and buffers."""
    method = build(configuration).train()
    own = {tensor.untyped_storage().data_ptr() for tensor in (*method.parameters(), *method.buffers())}
    storages: dict[int, tuple[int, Tensor]] = {}  # tensors too, so that none is freed and its place taken by another

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = (storage.nbytes(), tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        output = method(masked(draw(method.views, n, n), 0), Progress(0, 1))
        torch.stack([loss.float() for loss in output.losses.values()]).sum()
    return sum(size for place, (size, _) in storages.items() if place not in own)


@pytest.mark.parametrize("method", ["supervised", "unimatch", "semivl"])
def test_activations_are_what_a_real_pass_keeps(method: str) -> None:
    configuration = configure(method, "recipe.precision=fp32")
    found = estimate(configuration)
    assert found is not None
    assert found.activations == pytest.approx(kept(configuration), rel=0.01)


def test_half_precision_keeps_less() -> None:
    full, half = (estimate(configure("unimatch", f"recipe.precision={name}")) for name in ("fp32", "bf16"))
    assert full is not None and half is not None
    assert 0.4 * full.activations < half.activations < 0.8 * full.activations


def test_accumulation_keeps_a_part_of_the_batch_at_a_time() -> None:
    whole, parts = (estimate(configure("unimatch", f"recipe.accumulation={count}")) for count in (1, 2))
    assert whole is not None and parts is not None
    assert parts.activations == pytest.approx(whole.activations / 2, rel=0.1)  # positions are one thing for all images
    assert parts[:3] == whole[:3]


def test_checkpointing_keeps_less() -> None:
    plain, again = (estimate(configure("semivl", f"network.checkpointing={value}")) for value in ("false", "true"))
    assert plain is not None and again is not None
    assert again.activations < plain.activations


def test_gradients_and_moments_are_those_of_what_is_trained() -> None:
    method = build(configure("semivl"))
    trained = sum(p.numel() for group in method.parameter_groups() for p in group.parameters)
    sgd = estimate(configure("semivl"))
    adamw = estimate(
        configure("semivl", "recipe.optimizer.name=adamw", "recipe.optimizer.lr=1e-3", "recipe.optimizer.weight_decay=0")
    )
    assert sgd is not None and adamw is not None
    assert (sgd.gradients, sgd.optimizer, adamw.optimizer) == (4 * trained, 4 * trained, 8 * trained)


def test_frozen_networks_are_among_the_weights_and_cost_nothing_else() -> None:
    guided, alone = (estimate(configure("semivl", f"method.guidance_weight={weight}")) for weight in (0.1, 0))
    assert guided is not None and alone is not None
    tower = sum(p.numel() for p in build(configure("semivl")).guide.network.encoder.parameters())  # type: ignore[union-attr]
    assert guided.weights - alone.weights == pytest.approx(4 * tower, rel=0.02)
    assert guided[1:3] == alone[1:3]


def test_a_method_that_computes_on_values_is_not_estimated() -> None:
    assert (
        estimate(
            configure(
                "guidedmix", "network.name=deeplabv3", "network.encoder=tiny", "network.output_stride=8", "method.variant=paper"
            )
        )
        is None
    )


def test_nothing_is_computed_and_no_draw_is_made() -> None:
    before = torch.get_rng_state()
    estimate(configure("unimatch"))
    assert torch.equal(torch.get_rng_state(), before)
