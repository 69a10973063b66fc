"""What every test may ask for."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

CORPUS = Path(__file__).resolve().parents[1].parent / "shared" / "corpus"


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    """What a shell starts in the background ignores Ctrl-C, and all that it starts; our tests interrupt."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The folder of real captured data. Absent outside the workplace: skipped there, an error in CI."""
    if CORPUS.is_dir():
        return CORPUS
    if os.environ.get("CI"):
        pytest.fail(f"the corpus is missing: {CORPUS}")
    pytest.skip("the corpus of real data is not here")


@pytest.fixture(autouse=True)
def no_forgotten_thread() -> Iterator[None]:
    """What a test starts, it ends; forgotten sockets and files warn, and a warning fails the test."""
    before = set(threading.enumerate())
    yield
    until = time.monotonic() + 5
    while left := [thread for thread in threading.enumerate() if thread not in before and thread.is_alive()]:
        if time.monotonic() > until:
            pytest.fail(f"forgotten threads: {', '.join(thread.name for thread in left)}")
        time.sleep(0.01)
