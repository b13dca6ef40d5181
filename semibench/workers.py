"""Processes that work for another one, and end with it."""

import multiprocessing
import os
import signal
import threading
from multiprocessing.process import BaseProcess


def begin() -> None:
    """Leave Ctrl-C to the parent, and end when that has ended, in whatever way: called first in each process of a pool.

    A pool's processes hold both ends of its queues, and would otherwise wait for a killed parent without end.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if (parent := multiprocessing.parent_process()) is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)
