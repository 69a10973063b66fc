"""A simulator, and real worker processes that record it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from real_worker import QUICK, RealWorker, endpoints, opening_coins

from pumpwatch.simulator.simulator import Simulator


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[Simulator]:
    with Simulator(seed=7, rate=200, database=tmp_path / "pumpwatch.db") as running:
        yield running


@pytest.fixture
def worker(tmp_path: Path, simulator: Simulator) -> Iterator[RealWorker]:
    """Not started yet; its settings lead to the simulator."""
    real = RealWorker(tmp_path, {**QUICK, **endpoints(simulator), **opening_coins(simulator)})
    try:
        yield real
    finally:
        real.end_all()
