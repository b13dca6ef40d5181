"""Where the memory of a training on a processor lies."""

import ctypes
import mmap
import platform

_HUGE = 2 << 20  # bytes of a huge page; any multiple of the machine's own will do
_RESERVE = 1 << 30  # bytes of addresses, not of memory: what no tensor uses costs nothing
_LARGEST = 32 << 20  # bytes of a block for which the heap grows; the most that glibc chooses by itself
_MMAP_THRESHOLD, _TRIM_THRESHOLD, _MMAP_MAX = -3, -1, -4  # of mallopt(3)


def renew() -> None:
    """Give back to the system what is free, and take the next gibibyte from huge pages, where they are to be had.

    A step on a processor touches each byte a few times and then another one, so that much of its time goes into finding out
    where pages lie. What a step frees is kept for the next one. Done in Linux with glibc alone; values do not depend on it.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    libc = ctypes.CDLL(None)
    libc.malloc_trim.argtypes = [ctypes.c_size_t]
    libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    libc.free.argtypes = [ctypes.c_void_p]
    libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    libc.malloc_trim(0)
    libc.mallopt(_MMAP_MAX, 0)  # the block is to be a part of the heap, whatever its size
    block = libc.malloc(_RESERVE)
    libc.mallopt(_MMAP_MAX, 65536)  # glibc's own
    libc.mallopt(_MMAP_THRESHOLD, _LARGEST)
    libc.mallopt(_TRIM_THRESHOLD, 2**31 - 1)
    if block:
        start = -(-block // _HUGE) * _HUGE
        libc.madvise(start, (block + _RESERVE - start) // _HUGE * _HUGE, mmap.MADV_HUGEPAGE)
        libc.free(block)
