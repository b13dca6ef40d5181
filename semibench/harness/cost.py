"""What a network costs: parameters, operations, time, memory."""

import copy
import re
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple  # a dispatched operation has any arguments

import numpy as np
import psutil
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode, flop_registry

from semibench.harness import pages
from semibench.harness.inference import evaluating
from semibench.reports.result import Latency

Size = tuple[int, int]  # (H, W) pixels


class Operations(NamedTuple):
    """Arithmetic of one forward pass of one image."""

    macs: int  # multiply-accumulates of convolutions and matrix products
    flops: int  # 2 per multiply-accumulate
    uncounted: dict[str, int]  # other operations that compute something -> calls


def count_operations(network: nn.Module, input_size: Size) -> Operations:
    """Count the operations of ``network`` in evaluation mode on one image (1, 3, H, W).

    A copy runs on the meta device, where shapes exist and numbers do not: nothing is computed, the result depends on no
    machine, and attention is two matrix products (the fused kernels of a CPU count as 0).

    >>> count_operations(nn.Conv2d(3, 8, 1, bias=False), (4, 4))
    Operations(macs=384, flops=768, uncounted={})
    """
    shadow = copy.deepcopy(network).to("meta").eval()
    image = torch.empty(1, 3, *input_size, device="meta")
    calls = _Calls()
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), calls, counter:
        shadow(image)
    flops = counter.get_total_flops()
    return Operations(flops // 2, flops, dict(sorted(calls.uncounted.items())))


def parameters(module: nn.Module) -> int:
    """Return the number of parameters, shared ones once."""
    return sum(parameter.numel() for parameter in module.parameters())


def measure_latency(
    predictor: nn.Module,
    size: Size,
    *,
    batch: int = 1,
    device: torch.device | str = "cpu",
    repeats: int = 20,
    warmup: int = 3,
) -> Latency:
    """Time forward passes of ``predictor`` on images (batch, 3, H, W) that already lie on ``device``.

    ``warmup`` passes are not timed. Each pass is timed alone and waited for; images per second follow from all of them.
    """
    generator = torch.Generator().manual_seed(0)  # leaves the global state alone; zeros would be unfairly fast
    images = torch.rand(batch, 3, *size, generator=generator).to(device, memory_format=torch.channels_last)
    seconds = []
    with evaluating(predictor):
        for _ in range(warmup + repeats):
            _synchronize(device)
            began = time.perf_counter()
            predictor(images)
            _synchronize(device)
            seconds.append(time.perf_counter() - began)
    timed = seconds[warmup:]
    p50, p90, p99 = np.quantile(timed, (0.5, 0.9, 0.99)).tolist()
    rate = batch * repeats / sum(timed)
    return Latency(batch=batch, size=size, repeats=repeats, p50=p50, p90=p90, p99=p99, images_per_second=rate)


def peak_memory(device: torch.device | str) -> int:
    """Return the peak memory in bytes since the last reset: of CUDA tensors, else of the process."""
    return torch.cuda.max_memory_allocated(device) if _is_cuda(device) else _resident_peak()


def reset_peak_memory(device: torch.device | str) -> None:
    """Start measuring the peak anew, on a CPU with fresh memory.

    The peak of a process stays what it was on a system that keeps it for good (all but Linux).
    """
    if _is_cuda(device):
        torch.cuda.reset_peak_memory_stats(device)
    else:
        pages.renew()
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # 5: reset the peak, see man 5 proc


def power_draw(device: torch.device | str) -> float | None:
    """Return the watts that a GPU draws; None on any other device, and where NVIDIA's package ``nvidia-ml-py`` cannot tell."""
    if not _is_cuda(device):
        return None
    try:
        import pynvml  # torch asks through it; not a dependency
    except ImportError:
        return None
    try:
        return torch.cuda.power_draw(device) / 1000
    except (RuntimeError, pynvml.NVMLError):
        return None


# Creates, copies or rearranges numbers without computing any; views are recognized by their schema.
_MOVING = frozenset(
    {"_to_copy", "_unsafe_view", "arange", "cat", "clone", "constant_pad_nd", "copy_", "empty", "empty_like", "empty_strided"}
    | {"fill_", "full", "full_like", "gather", "index", "index_select", "lift_fresh", "new_empty", "new_full", "new_ones"}
    | {"new_zeros", "ones", "ones_like", "repeat", "roll", "scalar_tensor", "zeros", "zeros_like"}
)


class _Calls(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's class is untyped
    """Notes which operations reach the device without a rule in PyTorch's counter."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # as above
        self.uncounted: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        packet = func._overloadpacket
        if packet not in flop_registry and not func.is_view and packet.__name__ not in _MOVING:
            self.uncounted[str(packet)] += 1
        return func(*args, **(kwargs or {}))


def _resident_peak() -> int:
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    with suppress(OSError):
        found = re.search(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(encoding="utf-8"), re.MULTILINE)
        if found:
            return int(found[1]) * 1024
    import resource  # not on Windows

    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _synchronize(device: torch.device | str) -> None:
    if _is_cuda(device):
        torch.cuda.synchronize(device)


def _is_cuda(device: torch.device | str) -> bool:
    return torch.device(device).type == "cuda"
