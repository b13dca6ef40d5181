"""Where the memory of a training on a processor lies."""

import ctypes
import mmap
import platform
from functools import cache

HUGE = 2 << 20  # bytes of a huge page; any multiple of the machine's own will do
_RESERVE = 1 << 30  # bytes of addresses, not of memory: what no tensor uses costs nothing
_LARGEST = 32 << 20  # bytes up to which a block comes from the heap, the most that glibc lets it be by itself
_MMAP_THRESHOLD, _TRIM_THRESHOLD, _MMAP_MAX = -3, -1, -4  # of mallopt(3)


@cache
def reserve_huge() -> bool:
    """Take the tensors to come from huge pages, and keep what they free for the next step; return whether that is done.

    A step on a processor touches each byte a few times and then another one, so that much of its time goes into finding out
    where pages lie. Done in Linux with glibc alone, for the first gibibyte of this process; values do not depend on it.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    libc.free.argtypes = [ctypes.c_void_p]
    libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    libc.mallopt(_MMAP_MAX, 0)  # the block is to be a part of the heap, whatever its size
    block = libc.malloc(_RESERVE)
    libc.mallopt(_MMAP_MAX, 65536)  # glibc's own
    libc.mallopt(_MMAP_THRESHOLD, _LARGEST)
    libc.mallopt(_TRIM_THRESHOLD, 2**31 - 1)
    if not block:
        return False
    start = -(-block // HUGE) * HUGE
    refused = libc.madvise(start, (block + _RESERVE - start) // HUGE * HUGE, mmap.MADV_HUGEPAGE)
    libc.free(block)
    return not refused
