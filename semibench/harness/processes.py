"""The processes of a run and what they tell each other; alone, a process hears what it says.

A launcher (``launch.py``, torchrun, ``accelerate launch``) numbers them in the environment: RANK, WORLD_SIZE, LOCAL_RANK,
LOCAL_WORLD_SIZE. The first one, of rank 0, is the main process, which alone writes the folder of the run.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from os import environ
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from semibench.errors import RunFailedError, UsageError
from semibench.harness.cores import usable_cores

T = TypeVar("T")


class LostProcessError(RunFailedError):
    """Another process of the run has ended; what it says is the reason, this is not."""


def launched() -> int:
    """Return how many processes a launcher has started for this run, of which this is one; 1 without a launcher."""
    return int(environ.get("WORLD_SIZE", "1"))


def launched_rank() -> int:
    """Return this process's number under its launcher."""
    return int(environ.get("RANK", "0"))


def agreed(devices: int | None) -> int | None:
    """Return the number of devices of a run that is asked for ``devices``, None where neither that nor a launcher says.

    Raises UsageError when the two say different numbers.
    """
    if launched() == 1:
        return devices
    if devices not in (None, launched()):
        raise UsageError(
            f"--devices {devices} in one of {launched()} launched processes", "Leave it out: the launcher decides."
        )
    return launched()


def leave_launcher() -> None:
    """Forget a launcher that has started this process alone: Accelerate would take another number of threads for it."""
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"):
        environ.pop(name, None)


def own_device(device: str, count: int) -> str:
    """Return the device of this process of ``count`` where the run is on ``device``: of several GPUs the one of its number.

    Raises UsageError when the device cannot be one of several, or there are fewer than processes on this machine.
    """
    if count == 1 or device == "cpu":
        return device
    if device != "cuda":
        raise UsageError(
            f"{count} processes cannot share the device '{device}'", "Use --device cuda or --device cpu, or --devices 1."
        )
    here, gpus = int(environ.get("LOCAL_WORLD_SIZE", count)), torch.cuda.device_count()
    if here > gpus:
        raise UsageError(
            f"{here} processes need a GPU each, this machine has {gpus}",
            f"Use --devices {gpus}, more machines (see docs/many-processes.md), or --device cpu.",
        )
    return f"cuda:{environ.get('LOCAL_RANK', '0')}"


@contextmanager
def joined(device: str, meeting: str = "env://") -> Iterator[None]:
    """Meet the other processes of the launcher at ``meeting``; leave them in the end, but not after an error.

    What is exchanged lies on CPU or GPU: gloo carries the one, NCCL the other.
    """
    if "OMP_NUM_THREADS" not in environ:  # as torchrun has it, but for the cores that would idle
        threads = max(1, usable_cores() // int(environ.get("LOCAL_WORLD_SIZE", "1")))
        environ["OMP_NUM_THREADS"] = str(threads)  # else Accelerate chooses another number
        torch.set_num_threads(threads)
    if device.startswith("cuda"):
        torch.cuda.set_device(device)
    backend = "cpu:gloo,cuda:nccl" if device.startswith("cuda") else "gloo"
    dist.init_process_group(backend, meeting, world_size=launched(), rank=launched_rank())
    yield
    dist.destroy_process_group()  # after an error others may never answer; the end of this process tells them


def count() -> int:
    """Return how many processes have met."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Return the number of this process among them."""
    return dist.get_rank() if dist.is_initialized() else 0


def is_main() -> bool:
    """Return whether this is the process that writes."""
    return rank() == 0


def from_main(make: Callable[[], T]) -> T:
    """Return what ``make`` returns in the main process, the only one to call it; the others wait for that."""
    if count() == 1:
        return make()
    box = [make() if is_main() else None]
    dist.broadcast_object_list(box, src=0)
    return box[0]  # type: ignore[return-value]  # it is the main process's


def gather(value: T) -> list[T]:
    """Return what each process passes, by rank; all wait for all."""
    if count() == 1:
        return [value]
    box: list[T | None] = [None] * count()
    dist.all_gather_object(box, value)
    return box  # type: ignore[return-value]  # every place is filled


def largest(number: int) -> int:
    """Return the largest of what the processes pass."""
    if count() == 1:
        return number
    box = torch.tensor(number)
    dist.all_reduce(box, dist.ReduceOp.MAX)
    return int(box)


def mean(values: Tensor) -> Tensor:
    """Return the mean over the processes, element by element."""
    if count() == 1:
        return values
    total = values.clone()
    dist.all_reduce(total)
    return total / count()


def share_buffers(module: nn.Module) -> None:
    """Give every process the main one's buffers: statistics of layers, and whatever else a method keeps from step to step."""
    if count() == 1:
        return
    alike: dict[tuple[torch.dtype, torch.device], list[Tensor]] = defaultdict(list)
    for buffer in module.buffers():
        alike[buffer.dtype, buffer.device].append(buffer)
    for buffers in alike.values():
        block = torch.cat([buffer.reshape(-1) for buffer in buffers])  # one message instead of hundreds
        dist.broadcast(block, src=0)
        for buffer, part in zip(buffers, block.split_with_sizes([buffer.numel() for buffer in buffers]), strict=True):
            buffer.copy_(part.view_as(buffer))


@contextmanager
def contact() -> Iterator[None]:
    """Turn what torch raises when another process is gone into LostProcessError."""
    try:
        yield
    except RuntimeError as error:
        if count() == 1 or not (isinstance(error, dist.DistError) or "gloo" in str(error).lower()):
            raise
        raise LostProcessError(
            f"process {rank()} of {count()} has lost another one ({str(error).partition(chr(10))[0]})",
            "If another one says why it ended, that is the reason.",
        ) from error
