"""A stop takes at most five seconds, whatever hangs, and costs no trade; what a kill costs is known."""

from __future__ import annotations

import contextlib
import functools
import random
import signal
import socket
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from real_worker import EVERYTHING, RealWorker, settled, subscribed, until

from pumpwatch.simulator.simulator import Simulator

#: What issue 2 promises, and what a loaded machine takes to notice that the process has gone.
STOP_SECONDS = 5.0
_SLACK_SECONDS = 1.0


def stop(worker: RealWorker, number: int = signal.SIGINT) -> None:
    """Ask it to stop, and hold it to its promise."""
    began = time.monotonic()
    worker.signal(number)
    status = worker.wait()
    took = time.monotonic() - began
    assert status == 0, worker.log
    assert took < STOP_SECONDS + _SLACK_SECONDS, f"{took:.1f} s\n{worker.log}"


@contextlib.contextmanager
def locked(database: Path) -> Iterator[None]:
    """Another program holds the write lock."""
    connection = sqlite3.connect(database, timeout=10, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")
    finally:
        connection.close()


def under_load(worker: RealWorker, simulator: Simulator, *arguments: str) -> None:
    worker.start(*arguments, settings=EVERYTHING)
    until(lambda: subscribed(simulator), what="both subscriptions")
    simulator.open_market()
    until(lambda: worker.count() > 100, what="a hundred trades")


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.skipif("sys.platform == 'win32'"))]
)
def test_a_signal_under_load_costs_no_trade(worker: RealWorker, simulator: Simulator, number: int) -> None:
    simulator.rate = 1000
    under_load(worker, simulator)

    stop(worker, number)

    # One file, with all in it. (To read it makes the others anew.)
    assert not worker.database.with_name("pumpwatch.db-wal").exists()
    found = worker.grade(simulator)
    assert found.passed, found
    assert (found.excused, set(found.uncredited.values())) == (0, {0})
    assert found.recorded > 100
    assert worker.log.count("stopping") == 1


def test_run_for_stops_by_itself_and_costs_no_trade(worker: RealWorker, simulator: Simulator) -> None:
    began = time.monotonic()
    under_load(worker, simulator, "--for", "2")

    assert worker.wait() == 0

    assert 2 < time.monotonic() - began < 2 + STOP_SECONDS + 2 * _SLACK_SECONDS
    found = worker.grade(simulator)
    assert found.passed, found
    assert (found.excused, set(found.uncredited.values())) == (0, {0})


def test_what_a_locked_database_did_not_take_is_stored_at_the_next_start(worker: RealWorker, simulator: Simulator) -> None:
    under_load(worker, simulator)

    with locked(worker.database):
        before = worker.count()
        until(lambda: simulator.delivered.count_any() > before + 200, what="trades that cannot be stored")
        worker.signal()
        until(lambda: "stopping" in worker.log)
        stop(worker)  # asked twice, as impatient people do
        simulator.close_market()
        assert "wait in the spill file" in worker.log
        assert worker.count() == before
    worker.start(settings=EVERYTHING)
    until(lambda: worker.count() >= simulator.delivered.count_any(), what="the spilled trades")
    stop(worker)

    found = worker.grade(simulator)
    assert found.passed, found
    assert (found.excused, set(found.uncredited.values())) == (0, {0})
    assert "were left in pumpwatch.db.spill: storing them first" in worker.log


def test_a_start_waits_for_a_locked_database_and_still_stops(worker: RealWorker, simulator: Simulator) -> None:
    connection = sqlite3.connect(worker.database, isolation_level=None)
    connection.execute("PRAGMA locking_mode=EXCLUSIVE")
    connection.execute("BEGIN EXCLUSIVE")
    try:
        worker.start(settings={"PUMPWATCH_WRITER_BUSY_TIMEOUT_SECONDS": "60"})
        until(lambda: "the start must wait" in worker.log)
        stop(worker)
    finally:
        connection.close()

    assert not subscribed(simulator)


@contextlib.contextmanager
def deaf_server() -> Iterator[str]:
    """Takes connections, as the system does for any listening socket, and never answers the handshake."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"ws://127.0.0.1:{listening.getsockname()[1]}"


def test_a_stop_while_no_server_answers_the_handshake(worker: RealWorker) -> None:
    with deaf_server() as url:
        worker.settings.update(
            PUMPWATCH_PUMPPORTAL_URL=url, PUMPWATCH_HELIUS_WS_URL=url, PUMPWATCH_CONNECTION_CONNECT_TIMEOUT_SECONDS="300"
        )
        worker.start()
        until(lambda: "records simulator data" in worker.log)
        stop(worker)


@pytest.mark.parametrize("fault", ["half_open", "mute", "refuse"])
def test_a_stop_while_the_servers_fail(worker: RealWorker, simulator: Simulator, fault: str) -> None:
    patient = {
        "PUMPWATCH_CONNECTION_PING_INTERVAL_SECONDS": "60",
        "PUMPWATCH_CONNECTION_PUMPPORTAL_IDLE_SECONDS": "60",
        "PUMPWATCH_CONNECTION_HELIUS_IDLE_SECONDS": "60",
    }
    worker.start(settings={**EVERYTHING, **patient})
    until(lambda: subscribed(simulator))
    simulator.open_market()
    until(lambda: worker.count() > 50)

    simulator.fault(fault, feed="pumpportal", seconds=60, **({"status": 503} if fault == "refuse" else {}))
    simulator.fault(fault, feed="helius", seconds=60, **({"status": 503} if fault == "refuse" else {}))
    stop(worker)

    found = worker.grade(simulator)
    assert found.passed, found
    assert (found.excused, set(found.uncredited.values())) == (0, {0})


def has_more(worker: RealWorker, trades: int) -> bool:
    return worker.count() > trades


def test_kills_at_random_moments_leave_a_whole_database_and_a_recorded_gap(worker: RealWorker, simulator: Simulator) -> None:
    simulator.rate = 1000
    rng = random.Random(5)
    worker.settings.update(EVERYTHING, PUMPWATCH_WRITER_QUEUE_SIZE="50")
    worker.start()
    for number in range(3):
        until(lambda: subscribed(simulator), what="both subscriptions")
        simulator.open_market()
        until(functools.partial(has_more, worker, worker.count() + 50 + rng.randrange(400)), what="some trades")
        if number == 1:
            # Not in a moment of rest: with messages in the spill.
            with locked(worker.database):
                until(lambda: b"signature" in worker.spill.read_bytes()[:4096], what="the spill")
                worker.kill()
        else:
            worker.kill()
        until(lambda: not any(server.open_clients() for server in simulator.next_servers()))
        assert worker.ask("PRAGMA integrity_check") == [("ok",)]
        worker.start()
    until(lambda: subscribed(simulator))
    restarts = "SELECT count(*) FROM gaps WHERE cause = 'restart' AND to_us IS NOT NULL"
    until(lambda: worker.ask(restarts) == [(3,)], what="the restart gaps")
    simulator.close_market()

    found = settled(worker, simulator)
    assert found.passed, found
    assert found.gaps["restart"] == 3
    assert worker.spill.read_bytes()[:1] in (b"", b"\0")
    assert "storing them first" in worker.log
    assert worker.ask("SELECT count(*) FROM gaps WHERE to_us IS NULL OR to_us <= from_us") == [(0,)]
