"""Processes of a pool do not outlive the one that they work for."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROGRAM = """
import os, time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from semibench import workers

if __name__ == "__main__":
    with ProcessPoolExecutor(1, get_context("spawn"), initializer=workers.begin) as pool:
        print(pool.submit(os.getpid).result(), flush=True)
        time.sleep(60)
"""


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"  # ended, and not yet reaped
    except (ProcessLookupError, FileNotFoundError):
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="tells by /proc which processes are there")
@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGKILL])
def test_they_end_when_their_parent_is_killed(tmp_path: Path, kind: signal.Signals) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    parent = subprocess.Popen([sys.executable, tmp_path / "program.py"], stdout=subprocess.PIPE, text=True)
    try:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        assert is_running(worker)
        parent.send_signal(kind)
        parent.communicate(timeout=30)
        for _ in range(100):
            if not is_running(worker):
                return
            time.sleep(0.1)
        pytest.fail("the worker is still there")
    finally:
        parent.kill()
