"""What was freed goes back to the system."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

from pumpwatch.memory import give_back, keep_small

#: Many small blocks on the heap, freed but for every thousandth, which keeps the rest from going by itself.
PROGRAM = """
import ctypes, psutil
from pumpwatch.memory import give_back, keep_small
keep_small()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
blocks = []
for _ in range(10_000):
    block = libc.malloc(4096)
    libc.memset(block, 1, 4096)
    blocks.append(block)
for place, block in enumerate(blocks):
    if place % 1000:
        libc.free(block)
before = psutil.Process().memory_info().rss
give_back()
print((before - psutil.Process().memory_info().rss) // 2**20)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc is Linux's")
def test_what_was_freed_in_the_middle_of_the_heap_goes_back() -> None:
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=50)

    assert int(ended.stdout) > 30


def test_elsewhere_it_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(ctypes, "CDLL", None)  # would fail if it were called

    keep_small()
    give_back()


def test_another_c_library_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())

    keep_small()
    give_back()
