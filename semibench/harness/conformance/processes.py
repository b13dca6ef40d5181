"""A method under test in two processes, each with a batch of its own, as DistributedDataParallel trains it."""

import json
import sys
from collections.abc import Sequence
from datetime import timedelta
from os import environ
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import torch.distributed as dist
import torch.multiprocessing
from torch.nn.parallel import DistributedDataParallel

from semibench.harness.conformance.checks import Check
from semibench.harness.conformance.demands import backward, demand, trained
from semibench.harness.conformance.examine import examine
from semibench.harness.conformance.report import Finding
from semibench.harness.conformance.subject import HALFWAY, Subject, draw

_LIMIT = timedelta(seconds=45)  # for what waits for the other process
_PROCESSES = 2
_STEPS = 2  # a parameter that gets no gradient is noticed in the second


def in_two_processes(names: Sequence[str]) -> list[Finding]:
    """Return the finding on each method, all in one pair of processes: starting them takes most of the time."""
    with TemporaryDirectory() as folder:
        torch.multiprocessing.spawn(_work, (tuple(names), folder), nprocs=_PROCESSES)  # type: ignore[attr-defined,no-untyped-call]
        content = json.loads((Path(folder) / "0.json").read_text(encoding="utf-8"))
    return [Finding.model_validate(finding) for finding in content]


def _work(rank: int, names: Sequence[str], folder: str) -> None:
    """Be one of the processes: examine every method, write down the findings."""
    environ.setdefault("GLOO_SOCKET_IFNAME", "lo0" if sys.platform == "darwin" else "lo")  # a host's own name may lead nowhere
    dist.init_process_group("gloo", f"file://{folder}/meeting", _LIMIT, _PROCESSES, rank)
    try:
        findings = [examine(Subject.find(name), CHECK).model_dump() for name in names]
        (Path(folder) / f"{rank}.json").write_text(json.dumps(findings), encoding="utf-8")
    finally:
        dist.destroy_process_group()


def _agrees(subject: Subject) -> None:
    method = subject.build()
    parallel = DistributedDataParallel(method)
    optimizer = torch.optim.SGD(trained(method), lr=0.01)
    for step in range(_STEPS):
        output = parallel(draw(method.views, seed=_PROCESSES * step + dist.get_rank()), HALFWAY)
        optimizer.zero_grad()
        backward(method, output)
        optimizer.step()
        method.after_step(HALFWAY)
    for name, parameter in method.named_parameters():
        copies = [torch.empty_like(parameter) for _ in range(_PROCESSES)]
        dist.all_gather(copies, parameter.detach())
        demand(torch.equal(*copies), f"after {_STEPS} steps, {name} is another in each process")


CHECK = Check("processes", "it trains alike in two processes", _agrees, may_refuse=True)
