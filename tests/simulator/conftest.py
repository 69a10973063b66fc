"""A running simulator, and connections to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from simulator_clients import Connect
from websockets.sync.client import ClientConnection, connect

from pumpwatch.simulator.simulator import Simulator


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator(seed=4) as running:
        yield running


@pytest.fixture
def opened() -> Iterator[Connect]:
    """Connect as often as wanted; all is closed at the end."""
    with ExitStack() as stack:

        def open_one(url: str) -> ClientConnection:
            return stack.enter_context(connect(url, close_timeout=0.5, ping_interval=None, max_queue=None, proxy=None))

        yield open_one
