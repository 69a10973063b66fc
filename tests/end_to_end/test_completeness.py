"""What is missing is known to the lamport, fetched, and proven to be there; and nothing is called complete that is not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from real_worker import EVERYTHING, QUICK, RealWorker, endpoints, opening_coins, subscribed, until

from pumpwatch.simulator.delivered import FEEDS
from pumpwatch.simulator.proof import Proof, claims, examine
from pumpwatch.simulator.simulator import Simulator

#: Proof in seconds instead of a quarter of a minute.
PROMPT = {
    "PUMPWATCH_BACKFILL_ANCHOR_ACTIVE_SECONDS": "1",
    "PUMPWATCH_BACKFILL_ANCHOR_IDLE_SECONDS": "2",
    "PUMPWATCH_BACKFILL_BREAK_GRACE_SECONDS": "1",
}


@pytest.fixture
def running(tmp_path: Path) -> Iterator[RealWorker]:
    real = RealWorker(tmp_path, {**QUICK, **EVERYTHING, **PROMPT})
    try:
        yield real
    finally:
        real.end_all()


def examined(worker: RealWorker, simulator: Simulator) -> Proof:
    return examine(worker.database, market=simulator.market, slot_us=simulator.slot_us)


def record(worker: RealWorker, simulator: Simulator) -> None:
    worker.settings.update({**endpoints(simulator), **opening_coins(simulator)})
    worker.start()
    until(lambda: subscribed(simulator), what="both subscriptions")
    simulator.open_market()
    until(lambda: worker.count() > 50, what="the first trades")


def test_without_rpc_each_missing_run_is_a_hole_of_its_size_and_nothing_is_complete(tmp_path: Path, running: RealWorker) -> None:
    with Simulator(seed=7, rate=100, rpc=False, database=tmp_path / "pumpwatch.db") as simulator:
        record(running, simulator)
        for feed in FEEDS:
            simulator.fault("lossy", feed=feed, seconds=3)
        until(lambda: len(simulator.traded()) > 1_500, what="enough trades")
        simulator.close_market()
        until(lambda: examined(running, simulator).is_true, what="a break for each missing run")
        assert running.stop() == 0
        found = examined(running, simulator)

    assert found.is_true, found
    assert found.holes > 20
    assert found.missing >= found.holes
    assert set(found.verdicts) <= {"holes", "unproven"}
    assert claims(running.database).proven == 0
