"""Everything that can go wrong between a server and the file, made to happen by name: nothing that was delivered is missing."""

from __future__ import annotations

import functools
import itertools
from typing import Any

import pytest
from real_worker import EVERYTHING, RealWorker, settled, subscribed, until

from pumpwatch.simulator.delivered import FEEDS
from pumpwatch.simulator.faults import FAULTS
from pumpwatch.simulator.serving import Client
from pumpwatch.simulator.simulator import Simulator

#: What ends a connection, with its options. ``garbage`` is another one each time.
CONNECTION_FAULTS: list[tuple[str, dict[str, Any]]] = [
    ("drop", {}),
    ("drop", {"reset": True}),
    ("close", {}),
    ("garbage", {}),
    ("garbage", {}),
    ("garbage", {}),
    ("refuse", {"status": 503, "seconds": 0.3}),
    ("refuse", {"status": 429, "retry_after": "1", "seconds": 0.3}),
    ("slow_handshake", {"seconds": 0.3}),
    ("mute", {}),
    ("half_open", {}),
]

#: What happens to messages.
MESSAGE_FAULTS = ("poison", "duplicate", "reorder", "lossy")

#: What happens beside the connections.
OTHER_FAULTS = (
    "truncate_logs",
    "fork",
    "partial_mute",
    "upgrade",
    "rpc_429",
    "rpc_lag",
    "rpc_off",
    "lock_database",
    "disk_full",
    "kill",
)

#: Tried elsewhere: in test_hanging.py, and in the soak (tests/scripts/test_soak.py).
ELSEWHERE = ("hang", "clock")

#: Gaps of single tokens, which the subscriptions and the chain of their trades show.
FOUND_LATER = {"watched", "break", "doubt", "tail"}

UNENDED = "SELECT count(*) FROM gaps WHERE to_us IS NULL AND mint IS NULL"

IMPATIENT = {
    "PUMPWATCH_CONNECTION_CONNECT_TIMEOUT_SECONDS": "1",
    "PUMPWATCH_CONNECTION_PING_INTERVAL_SECONDS": "1",
    "PUMPWATCH_CONNECTION_PING_TIMEOUT_SECONDS": "0.7",
    "PUMPWATCH_CONNECTION_PUMPPORTAL_IDLE_SECONDS": "2",
    "PUMPWATCH_CONNECTION_HELIUS_IDLE_SECONDS": "1.5",
}


def test_every_fault_of_the_simulator_is_in_one_of_these_tests() -> None:
    assert {name for name, _ in CONNECTION_FAULTS} | {*MESSAGE_FAULTS, *OTHER_FAULTS, *ELSEWHERE} == set(FAULTS)


def recording(worker: RealWorker, simulator: Simulator, **settings: str) -> None:
    worker.settings.update(EVERYTHING, **settings)
    worker.start()
    until(lambda: subscribed(simulator), what="both subscriptions")
    simulator.open_market()
    until(lambda: worker.count() > 20, what="the first trades")


def clients(simulator: Simulator) -> list[Client]:
    return [client for feed in FEEDS for client in simulator.server(feed).open_clients()]


def are_gone(simulator: Simulator, ended: list[Client]) -> bool:
    return not set(ended) & set(clients(simulator))


def has_traded(simulator: Simulator, trades: int) -> bool:
    return len(simulator.traded()) > trades


def restart(worker: RealWorker) -> None:
    worker.kill()
    worker.start()


def both_flow(worker: RealWorker, simulator: Simulator) -> bool:
    """Both feeds deliver to a connection that nothing is wrong with."""
    before = [simulator.delivered.count(feed) for feed in FEEDS]
    until(lambda: all(simulator.delivered.count(feed) > n for feed, n in zip(FEEDS, before, strict=True)), what="trades of both")
    return all(any(client.is_fine for client in simulator.server(feed).open_clients()) for feed in FEEDS)


def test_no_end_of_a_connection_costs_a_delivered_trade(worker: RealWorker, simulator: Simulator) -> None:
    recording(worker, simulator, **IMPATIENT)

    for name, options in CONNECTION_FAULTS:
        ended = clients(simulator)
        for feed in FEEDS:
            simulator.fault(name, feed=feed, **options)
        until(functools.partial(are_gone, simulator, ended), what=f"the end of the connections after {name}")
        until(lambda: both_flow(worker, simulator))
        until(lambda: worker.ask(UNENDED) == [(0,)], what=f"the end of the gaps of {name}")
    simulator.close_market()
    found = settled(worker, simulator)

    assert found.passed, found
    assert (found.excused, set(found.uncredited.values())) == (0, {0})
    assert found.recorded > 200
    assert set(found.gaps) - FOUND_LATER == {"disconnected", "silent", "start"}
    # Each end is a gap of its feed, with the time from the last data to the first.
    rows = worker.ask("SELECT feed, cause, count(*), min(to_us - from_us) FROM gaps WHERE mint IS NULL GROUP BY feed, cause")
    counted = {(feed, cause): count for feed, cause, count, _ in rows}
    for feed in FEEDS:
        assert counted[feed, "disconnected"] + counted[feed, "silent"] >= len(CONNECTION_FAULTS)
        assert counted[feed, "silent"] >= 1
    assert all(shortest > 0 for *_, shortest in rows)


def test_no_message_and_no_trouble_with_the_file_costs_a_delivered_trade(worker: RealWorker, simulator: Simulator) -> None:
    simulator.kill_worker = functools.partial(restart, worker)
    recording(worker, simulator)

    for name in MESSAGE_FAULTS:
        for feed in FEEDS:
            simulator.fault(name, feed=feed, seconds=0.7)
        until(lambda: both_flow(worker, simulator))
    for name in OTHER_FAULTS:
        simulator.fault(name, seconds=1.0, count=5)
        until(functools.partial(has_traded, simulator, len(simulator.traded()) + 200))
        until(lambda: both_flow(worker, simulator))
    until(lambda: worker.ask(UNENDED) == [(0,)], what="the end of the restart's gap")
    simulator.close_market()
    found = settled(worker, simulator)

    assert found.passed, found
    assert {happened.name for happened in simulator.happened} == {*MESSAGE_FAULTS, *OTHER_FAULTS}
    assert found.phantoms > 0
    assert found.gaps["restart"] == 1
    assert found.gaps["log truncated"] >= 1
    kinds = dict(worker.ask("SELECT kind, count FROM counts"))
    assert kinds["not json"] >= 1
    for trouble in ("locked by another program", "the disk is full"):
        assert trouble in worker.log
    # Twice the same, and in any order, is once.
    assert worker.ask(
        "SELECT count(*) FROM (SELECT 1 FROM trades GROUP BY token_id, signature, event_index HAVING "
        "count(*) > 1 AND event_index IS NOT NULL)"
    ) == [(0,)]


def test_a_disk_that_is_full_beyond_the_spill_costs_a_gap_of_the_right_extent(worker: RealWorker, simulator: Simulator) -> None:
    simulator.rate = 600
    recording(worker, simulator, PUMPWATCH_WRITER_SPILL_MEGABYTES="1", PUMPWATCH_WRITER_QUEUE_SIZE="20")

    simulator.fault("disk_full", seconds=60)
    until(lambda: worker.log.count("paused") == len(FEEDS), what="both feeds to pause")
    until(functools.partial(has_traded, simulator, len(simulator.traded()) + 200))
    (worker.folder / "pumpwatch.db.disk_full").unlink()
    until(lambda: both_flow(worker, simulator))
    ended = "SELECT count(*) FROM gaps WHERE cause = 'spill full' AND to_us IS NOT NULL"
    until(lambda: worker.ask(ended) == [(len(FEEDS),)], what="the end of both gaps")
    simulator.close_market()
    found = settled(worker, simulator)

    assert found.passed, found
    assert {cause: count for cause, count in found.gaps.items() if cause not in FOUND_LATER} == {"start": 1, "spill full": 2}
    for feed in FEEDS:
        ((from_us, to_us),) = worker.ask("SELECT from_us, to_us FROM gaps WHERE feed = ? AND cause = 'spill full'", feed)
        column = f"{feed}_at_us"
        arrivals = [at for (at,) in worker.ask(f"SELECT DISTINCT {column} FROM trades WHERE {column} > 0 ORDER BY 1")]
        before, after = max(itertools.pairwise(arrivals), key=lambda pair: pair[1] - pair[0])
        # From the last data that was taken to the first after which nothing is missing, not some time around them. (Both may be
        # a slot, just behind the last trade before, or just ahead of the first one after.)
        assert from_us < after
        assert before < to_us
        assert abs(before - from_us) < 5_000_000
        assert abs(to_us - after) < 15_000_000


@pytest.fixture
def demo(worker: RealWorker) -> RealWorker:
    """The same folder, without any setting: ``demo`` needs none."""
    worker.settings.clear()
    return worker


@pytest.mark.timeout(180)
def test_demo_as_a_person_runs_it(demo: RealWorker) -> None:
    # Three seconds, and the chain's finality until all is proven.
    ended = demo.command("demo", "--seconds", "3", "--rate", "50", "--faults", "drop,duplicate,poison", patience=150)

    assert ended.status == 0, ended.out + ended.err
    (database,) = demo.folder.glob("pumpwatch-demo-*.db")
    assert str(database) in ended.out
    for label in ("traded on chain", "delivered by PumpPortal", "delivered by Helius", "MISSING", "faults made"):
        assert label in ended.out
    assert "Everything that a feed delivered is in the file, once and right." in ended.out
    missing = next(line for line in ended.out.splitlines() if line.startswith("MISSING"))
    assert missing.split()[1] == "0"
