"""Where the memory of a training on a processor lies."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from semibench.harness import pages

_LOOK = """
import torch
from semibench.harness import pages
pages.renew()
for _ in range(2):  # what one step frees, the next one takes
    tensors = [torch.ones(4 << 20) for _ in range(8)]  # 16 MiB each, more than holes of the heap have room for
    addresses = [tensor.data_ptr() for tensor in tensors]
    del tensors
print(*addresses)
print(open("/proc/self/smaps").read())
"""


def advised(smaps: str, address: int) -> bool:
    """Whether the mapping that holds an address has the flag hg, see man 5 proc."""
    inside = False
    for line in smaps.splitlines():
        word = line.split()[0] if line.strip() else ""
        if "-" in word and not word.endswith(":"):
            low, high = (int(end, 16) for end in word.split("-"))
            inside = low <= address < high
        elif inside and word == "VmFlags:":
            return "hg" in line.split()
    return False


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs Linux with glibc")
@pytest.mark.skipif(not Path("/sys/kernel/mm/transparent_hugepage").is_dir(), reason="this kernel has no huge pages")
def test_tensors_lie_in_huge_pages_which_outlive_them() -> None:
    done = subprocess.run([sys.executable, "-c", _LOOK], capture_output=True, text=True, check=True)
    addresses = done.stdout.splitlines()[0].split()
    assert sum(advised(done.stdout, int(address)) for address in addresses) >= len(addresses) - 2


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs Linux with glibc")
def test_memory_is_given_back_before_more_is_taken() -> None:
    code = """
import psutil, torch
from semibench.harness import pages
pages.renew()
tensors = [torch.ones(4 << 20) for _ in range(16)]  # 256 MiB
held = psutil.Process().memory_info().rss
del tensors
kept = psutil.Process().memory_info().rss
pages.renew()
print(held, kept, psutil.Process().memory_info().rss)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    held, kept, left = map(int, done.stdout.split())
    assert kept > held - 2**26
    assert left < held - 2**27


def test_nothing_is_done_where_the_allocator_is_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr(pages.ctypes, "CDLL", lambda name: pytest.fail("nobody knows that allocator"))
    pages.renew()
