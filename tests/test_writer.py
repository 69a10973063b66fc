"""Queue to database, whatever happens to the database."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from storage_samples import chain_trade, delivery

from pumpwatch.errors import DatabaseBusy, DatabaseError
from pumpwatch.storage.intake import Intake
from pumpwatch.storage.store import Store
from pumpwatch.threads import Deadline
from pumpwatch.writer import TROUBLE_SECONDS, Writer


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "trades.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    store = Store.open(path, origin="simulator", busy_timeout_seconds=0.05)
    yield store
    store.close()


@pytest.fixture
def intake(path: Path) -> Iterator[Intake]:
    intake = opened_intake(path)
    yield intake
    intake.close()


def opened_intake(path: Path) -> Intake:
    return Intake(path.with_name("trades.db.spill"), queue_size=10, spill_bytes=1_000_000, now_us=0)


def put(intake: Intake, numbers: range) -> None:
    for number in numbers:
        assert intake.put(delivery("helius", chain_trade(signature=f"{number:088}")))


def stored(path: Path) -> int:
    connection = sqlite3.connect(path)
    try:
        return int(connection.execute("SELECT count(*) FROM trade_log").fetchone()[0])
    finally:
        connection.close()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = Deadline(20)
    while not condition():
        assert deadline.left() > 0, "it did not happen"
        time.sleep(0.01)


def test_what_waits_is_stored_in_batches_and_the_rest_at_the_end(store: Store, intake: Intake, path: Path) -> None:
    put(intake, range(25))
    writer = Writer(store, intake, batch_size=4)
    writer.turn()
    assert stored(path) == 4
    writer.start()
    writer.finish(Deadline(10))
    writer.join(10)
    assert stored(path) == 25
    assert writer.error is None


def test_a_locked_database_loses_nothing_and_blocks_nobody(store: Store, intake: Intake, path: Path) -> None:
    ahead = [0.0]
    writer = Writer(store, intake, batch_size=5, clock=lambda: time.monotonic() + ahead[0])
    writer.start()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    put(intake, range(40))  # more than the queue holds
    wait_for(lambda: writer.retries >= 2)
    assert writer.trouble is not None
    assert "locked" in writer.trouble
    assert writer.lasting_trouble() is None
    ahead[0] = TROUBLE_SECONDS
    assert "locked" in (writer.lasting_trouble() or "")
    put(intake, range(40, 50))
    assert intake.spilled > 0
    other.execute("ROLLBACK")
    other.close()
    wait_for(lambda: stored(path) == 50)
    wait_for(lambda: intake.is_empty)
    assert writer.lasting_trouble() is None
    writer.finish(Deadline(10))
    writer.join(10)
    assert writer.error is None


def test_what_is_not_committed_at_the_deadline_waits_in_the_spill_file(store: Store, intake: Intake, path: Path) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    put(intake, range(8))
    writer = Writer(store, intake, batch_size=5)
    writer.start()
    wait_for(lambda: writer.retries >= 1)
    writer.finish(Deadline(0.1))
    writer.join(10)
    assert not writer.is_alive()
    other.close()

    again = opened_intake(path)
    assert again.spilled == 8
    again.close()


def test_a_damaged_database_ends_the_thread_and_keeps_the_batch(
    store: Store, intake: Intake, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(_deliveries: object) -> None:
        raise DatabaseError("damaged")

    monkeypatch.setattr(store, "apply", damaged)
    put(intake, range(3))
    writer = Writer(store, intake, batch_size=2)
    writer.start()
    writer.join(10)
    assert isinstance(writer.error, DatabaseError)

    again = opened_intake(path)
    assert again.spilled == 3
    again.close()


def test_upkeep_is_done_in_its_time_and_waits_for_no_lock(store: Store, intake: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    done: list[str] = []

    def busy(*, now_us: int) -> None:
        done.append("prune")
        raise DatabaseBusy("locked")

    monkeypatch.setattr(store, "prune", busy)
    monkeypatch.setattr(store, "check_file", lambda: done.append("check file"))
    monkeypatch.setattr(store, "checkpoint", lambda: done.append("checkpoint"))
    writer = Writer(store, intake, batch_size=2, clock=lambda: now[0])
    for second in (1, 59, 61, 62, 130, 700):
        now[0] = second
        writer.turn()
    assert writer.trouble is None, "nothing waits for it"
    assert done == ["check file", "prune", "check file", "prune", "check file", "prune", "checkpoint"]


def test_a_file_that_was_deleted_stops_the_writer(store: Store, intake: Intake, path: Path) -> None:
    now = [0.0]
    writer = Writer(store, intake, batch_size=2, clock=lambda: now[0])
    path.unlink()
    now[0] = 61
    with pytest.raises(DatabaseError, match="deleted or replaced"):
        writer.turn()


def test_an_idle_system_stores_one_message_without_waiting_for_more(store: Store, intake: Intake, path: Path) -> None:
    writer = Writer(store, intake, batch_size=1000)
    writer.start()
    for number in range(3):
        put(intake, range(number, number + 1))
        wait_for(lambda expected=number + 1: stored(path) == expected)  # type: ignore[misc]
    writer.finish(Deadline(10))
    writer.join(10)
