"""Keeps what a process of many threads has freed from staying with it, where the system's allocator does that."""

from __future__ import annotations

import ctypes
import sys
from typing import Final

#: Of <malloc.h>: how many heaps its threads share, and from which size on a block is given back to the system when it is freed.
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8

_HEAPS: Final = 2
_LARGE_BYTES: Final = 128 * 1024


def keep_small() -> None:
    """
    Have glibc keep few heaps, and give large blocks back: call it before the first thread starts. Elsewhere it does nothing.

    By itself each thread gets a heap of its own (eight a core), and what counts as large grows with what was once freed: over
    hours of running both keep tens of megabytes that nobody uses.
    """
    if sys.platform != "linux":
        return
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return
    set_option(_M_ARENA_MAX, _HEAPS)
    set_option(_M_MMAP_THRESHOLD, _LARGE_BYTES)
