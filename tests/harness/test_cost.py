"""Counts by hand and against fvcore; times and memory by their definitions."""

import os
import warnings
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

from semibench.harness.cost import (
    count_operations,
    measure_latency,
    parameters,
    peak_memory,
    power_draw,
    reset_peak_memory,
)


class Attention(nn.Module):
    """4 x 4 tokens of 8 channels attend to each other, in one of the ways in which networks are written."""

    def __init__(self, kind):
        super().__init__()
        self.embed = nn.Conv2d(3, 8, 1, bias=False)
        self.layer = nn.MultiheadAttention(8, 2, batch_first=True) if kind == "layer" else None

    def forward(self, image):
        tokens = self.embed(image).flatten(2).transpose(1, 2)
        if self.layer is None:
            return functional.scaled_dot_product_attention(*[tokens.unsqueeze(1)] * 3)
        return self.layer(tokens, tokens, tokens, need_weights=False)[0]


def small_network():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=8), nn.Conv2d(8, 4, 1)
    )


def test_macs_of_a_convolution():
    assert count_operations(nn.Conv2d(3, 8, 3, padding=1), (10, 12)).macs == 10 * 12 * 8 * 3 * 3 * 3


def test_a_multiply_accumulate_is_two_operations():
    operations = count_operations(small_network(), (16, 16))
    assert operations.flops == 2 * operations.macs


@pytest.mark.parametrize(
    "kind, projections", [("function", 0), ("layer", 4 * 16 * 8 * 8)], ids=["fused function", "layer with projections"]
)
def test_attention_counts_its_two_products(kind, projections):
    embedding, products = 16 * 3 * 8, 2 * 16 * 16 * 8
    assert count_operations(Attention(kind), (4, 4)).macs == embedding + projections + products


def test_operations_without_a_rule_are_listed_with_their_calls():
    assert count_operations(small_network(), (16, 16)).uncounted == {
        "aten._native_batch_norm_legit_no_training": 1,
        "aten.relu": 1,
    }


def test_views_and_allocations_are_not_listed():
    assert count_operations(nn.Sequential(nn.Flatten(), nn.Unflatten(1, (3, -1)), nn.ZeroPad2d(1)), (4, 4)).uncounted == {}


def test_counting_leaves_the_network_as_it_was():
    network = small_network()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    count_operations(network, (16, 16))
    assert network.training and all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_convolutions_agree_with_fvcore():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fvcore traces with functions that torch has deprecated
        from fvcore.nn import FlopCountAnalysis

        analysis = FlopCountAnalysis(small_network().eval(), torch.zeros(1, 3, 16, 16)).unsupported_ops_warnings(False)
        expected = analysis.by_operator()["conv"]  # fvcore's flop is a multiply-accumulate
    assert count_operations(small_network(), (16, 16)).macs == expected


def test_shared_parameters_count_once():
    layer = nn.Conv2d(3, 3, 1)
    assert parameters(nn.Sequential(layer, layer)) == 3 * 3 + 3


def test_latency_times_what_comes_after_the_warm_up():
    batches = []
    network = nn.Conv2d(3, 3, 1)
    network.register_forward_hook(lambda module, inputs, output: batches.append(tuple(inputs[0].shape)))
    latency = measure_latency(network, (8, 9), batch=2, repeats=5, warmup=2)
    assert batches == [(2, 3, 8, 9)] * 7
    assert (latency.batch, latency.size, latency.repeats) == (2, (8, 9), 5)
    assert 0 < latency.p50 <= latency.p90 <= latency.p99


def test_latency_does_not_touch_the_global_random_state():
    before = torch.get_rng_state()
    measure_latency(nn.Identity(), (8, 8), repeats=1, warmup=0)
    assert torch.equal(torch.get_rng_state(), before)


def test_peak_memory_of_a_cpu_is_that_of_the_process():
    reset_peak_memory("cpu")
    assert 2**26 < peak_memory("cpu") < 2**40  # bytes: torch alone takes more than 64 MB


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="needs Linux")
def test_peak_memory_of_a_cpu_forgets_what_came_before_the_reset():
    block = torch.zeros(2**26)  # 256 MB
    high = peak_memory("cpu")
    del block
    reset_peak_memory("cpu")
    assert peak_memory("cpu") < high - 2**27
    _ = torch.zeros(2**26)
    assert peak_memory("cpu") > high - 2**26


def test_a_cpu_says_nothing_of_its_power():
    assert power_draw("cpu") is None


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_power_of_a_gpu_is_in_watts():
    pytest.importorskip("pynvml")
    assert 1 < power_draw("cuda") < 5000


def test_without_proc_the_system_says_the_peak(monkeypatch):
    monkeypatch.setattr("semibench.harness.cost.Path", lambda _: Path("/nowhere"))
    reset_peak_memory("cpu")
    assert 2**26 < peak_memory("cpu") < 2**40


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_peak_memory_of_a_gpu_is_that_of_tensors_since_the_reset():
    reset_peak_memory("cuda")
    before = peak_memory("cuda")
    _ = torch.zeros(2**20, device="cuda")
    assert peak_memory("cuda") - before == 2**22
