"""Keeps what a process of many threads has freed from staying with it, where the system's allocator does that."""

from __future__ import annotations

import contextlib
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

    By itself each thread gets a heap of its own (eight a core), and what counts as large grows with what was once freed.
    """
    _call("mallopt", _M_ARENA_MAX, _HEAPS)
    _call("mallopt", _M_MMAP_THRESHOLD, _LARGE_BYTES)


def give_back() -> None:
    """
    Give pages that hold nothing any more back to the system; 2 ms, for every ten seconds or so.

    What is freed in the middle of a heap stays with the process else: after an hour of recording, 20 MB of 128.
    """
    _call("malloc_trim", 0)


def _call(name: str, *arguments: int) -> None:
    """Of the C library; one that has no such function is another than glibc."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            getattr(ctypes.CDLL(None), name)(*arguments)
