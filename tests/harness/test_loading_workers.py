"""Processes that prepare batches: what they change is nothing, and how they end."""

import multiprocessing
import os
import signal
import time
from itertools import islice

import pytest
import torch

from semibench.errors import DataError, RunFailedError
from semibench.harness.cores import usable_cores
from semibench.harness.loading import batches, worker_deaths


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_the_number_of_workers_changes_no_bit(workers, noisy, are_equal):
    expected = [noisy().batch(step) for step in range(6)]
    assert are_equal(list(batches(noisy(), workers)(0)), expected)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_of_a_worker_reaches_the_user_as_it_is(workers, source):
    with pytest.raises(DataError) as caught:
        list(batches(source(broken=["1"]), workers)(0))
    assert str(caught.value) == "file 1.png cannot be decoded. It is truncated or damaged; download it again."
    assert multiprocessing.active_children() == []


def test_batches_before_the_broken_one_are_delivered(source):
    broken = source(labeled=40, broken=["7"], steps=20)
    delivered = 0
    with pytest.raises(DataError):
        for _ in batches(broken, 1)(0):
            delivered += 1
    order = [position for step in range(20) for position in broken._positions("labeled", step)]
    assert delivered == next(place for place, (_, id) in enumerate(order) if id == "7") // 2


def test_more_workers_than_cores_are_not_started(source):
    stream = batches(source(), workers=usable_cores() + 50)(0)
    next(stream)
    assert len(multiprocessing.active_children()) == usable_cores()
    stream.close()


def test_workers_end_with_the_loop(source):
    stream = batches(source(steps=50), workers=1)(0)
    list(islice(stream, 2))
    stream.close()
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1], ids=["terminal", "job", "warning"])
def test_a_signal_to_every_process_does_not_end_the_workers(number, source):
    stream = batches(source(steps=30), workers=1)(0)
    next(stream)
    for worker in multiprocessing.active_children():
        os.kill(worker.pid, number)
    assert len(list(stream)) == 29


def test_workers_that_ignore_signals_still_end_promptly(source):
    stream = batches(source(steps=50), workers=1)(0)
    next(stream)
    began = time.monotonic()
    stream.close()
    assert time.monotonic() - began < 4  # torch would wait 5 s, then terminate
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "),
        RuntimeError("DataLoader worker (pid(s) 7) exited unexpectedly"),
        ConnectionResetError(104, "Connection reset by peer"),
    ],
    ids=["killed", "ended", "gone"],
)
def test_the_death_of_a_worker_is_an_error_for_the_user(error):
    with pytest.raises(RunFailedError, match=r"a process that prepares batches has died.*fewer --workers"), worker_deaths():
        raise error


def test_other_errors_than_a_worker_s_death_stay_what_they_are():
    with pytest.raises(RuntimeError, match="shapes do not match"), worker_deaths():
        raise RuntimeError("shapes do not match")


@pytest.mark.parametrize("workers", [0, 1])
def test_loading_leaves_the_global_random_state_alone(workers, noisy):
    before = torch.get_rng_state()
    list(batches(noisy(), workers)(0))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_pinned_batches_keep_their_types(noisy, are_equal, tensors):
    batch = next(batches(noisy(), 1, pin_memory=True)(0))
    assert all(tensor.is_pinned() for tensor in tensors(batch))
    assert are_equal(batch, noisy().batch(0))
