"""Runs of two processes through the command line: started by ``--devices 2``, by torchrun, and stopped by a signal."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from semibench.harness import checkpoint

PROGRAM = (sys.executable, "-c", "import sys; from semibench.harness.cli import main; main(sys.argv[1:])")
PLAIN = ("--device", "cpu", "--set", "recipe.precision=fp32")


@pytest.fixture(scope="module")
def of_two(tmp_path_factory: pytest.TempPathFactory, train: Callable[..., list[str]]) -> Path:
    """Return the folder of a run of two processes that the command has started itself."""
    output = tmp_path_factory.mktemp("devices")
    done = subprocess.run([*PROGRAM, *train(output, "--devices", "2", *PLAIN)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return next(output.glob("*/*/*"))


def test_a_run_of_two_processes_is_recorded_as_such(of_two: Path, call: Callable[..., tuple[int, str, str]]) -> None:
    folder, found = of_two, json.loads((of_two / "result.json").read_text())
    assert (found["provenance"]["processes"], found["statistics_over"], found["recipe"]["accumulation"]) == (2, 2, 2)
    assert json.loads((folder / "environment.json").read_text())["processes"] == 2
    assert json.loads((folder / "status.json").read_text())["status"] == "complete"
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    assert [event["step"] for event in events if event["event"] == "log"] == list(range(1, 11))
    assert [event["event"] for event in events].count("started") == 1
    assert call("check-results", folder)[0] == 0


def test_two_nodes_of_torchrun_make_the_same_run_to_the_bit(
    of_two: Path, tmp_path: Path, train: Callable[..., list[str]]
) -> None:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        meeting = f"localhost:{free.getsockname()[1]}"
    node = ["--nnodes", "2", "--nproc-per-node", "1", "--rdzv-backend", "c10d", "--rdzv-endpoint", meeting, "--no-python"]
    command = [sys.executable, "-m", "torch.distributed.run", *node, *PROGRAM, *train(tmp_path, *PLAIN)]
    environment = os.environ | {"GLOO_SOCKET_IFNAME": "lo0" if sys.platform == "darwin" else "lo"}
    nodes = [subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        errors = [each.communicate(timeout=120)[1] for each in nodes]
    finally:
        for each in nodes:
            each.kill()
    assert [each.returncode for each in nodes] == [0, 0], errors
    (folder,) = tmp_path.glob("*/*/*")
    ours, theirs = (json.loads((one / "result.json").read_text()) for one in (folder, of_two))
    assert ours["provenance"]["processes"] == 2
    for key in ("run_id", "digests", "confusion", "trajectory"):
        assert ours[key] == theirs[key], key


def test_one_signal_stops_all_after_the_same_step_with_one_saved_state(
    tmp_path: Path, call: Callable[..., tuple[int, str, str]], train: Callable[..., list[str]]
) -> None:
    waited_for = ("--workers", "1")  # which ignores signals, and must not be waited for without end
    arguments = train(tmp_path, "--devices", "2", "--device", "cpu", *waited_for, method="supervised", steps=3000)
    process = subprocess.Popen([*PROGRAM, *arguments], stderr=subprocess.PIPE, text=True)
    try:
        while process.poll() is None and not list(tmp_path.glob("*/*/*/checkpoints/last.pt")):
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 75, errors
    found = re.search(r"stopped by SIGTERM after step (\d+) of 3000, state saved", errors)
    assert found and errors.count("Error:") == 1, errors
    (folder,) = (path.parents[1] for path in tmp_path.glob("*/*/*/checkpoints/last.pt"))
    status = json.loads((folder / "status.json").read_text())
    assert (status["status"], status["step"]) == ("running", int(found[1]))
    assert checkpoint.load(folder / "checkpoints" / "last.pt")["step"] == int(found[1])
