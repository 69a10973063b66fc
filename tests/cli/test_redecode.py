"""``db redecode``: through the running worker or by itself, to the same end."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest
from cli_samples import Record, Run
from kept_samples import kept, trade_payload
from serving_worker import ServingWorker
from storage_samples import MINT, SIGNATURE

from pumpwatch.cli.output import AnswerIsNo
from pumpwatch.events import Delivery
from pumpwatch.redecode import COMMAND, handler
from pumpwatch.storage.store import Store


@pytest.fixture
def unread(record: Record) -> Record:
    """The record, with two trades and something still newer that an older version kept."""
    store = Store.open(record.database, origin="simulator")
    events = (kept(trade_payload()), kept(b"a newer one still", index=1), kept(trade_payload(number=1), index=2))
    store.apply([Delivery(source="helius", received_at_us=5, events=events)])
    store.close()
    return record


@pytest.fixture
def worker(unread: Record) -> Iterator[ServingWorker]:
    running = ServingWorker(unread.database, lambda intake, _pruner: {COMMAND: handler(unread.database, intake)})
    yield running
    running.end()


def trades_of(record: Record) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(record.database)
    try:
        return list(
            connection.execute("SELECT signature, event_index, sources FROM trade_log WHERE mint = ? ORDER BY 2", (MINT,))
        )
    finally:
        connection.close()


BOTH = [(SIGNATURE, 0, "helius"), (SIGNATURE, 2, "helius")]


def test_without_a_worker_it_stores_them_itself(run: Run, unread: Record) -> None:
    outcome = run("db", "redecode")
    assert outcome.status == 0
    assert outcome.lines() == [
        "3 kept messages read again: 2 understood now, with 2 trades",
        "1 remain unread (unknown event: 1); they stay for a later version",
    ]
    assert trades_of(unread) == BOTH


def test_the_running_worker_stores_them(run: Run, unread: Record, worker: ServingWorker) -> None:
    outcome = run("db", "redecode", "--json")
    assert outcome.status == 0
    assert outcome.json() == {
        "read_again": 3,
        "understood": 2,
        "trades": 2,
        "remaining": 1,
        "remaining_by_kind": {"unknown event": 1},
    }
    assert trades_of(unread) == BOTH
    assert run("db", "redecode", "--json").json()["understood"] == 0


def test_with_nothing_kept_it_says_so(run: Run) -> None:
    assert run("db", "redecode").lines() == ["0 kept messages read again: 0 understood now, with 0 trades", "none remain unread"]


def test_a_worker_that_does_not_know_it_is_told(run: Run, unread: Record) -> None:
    running = ServingWorker(unread.database)
    try:
        with pytest.raises(AnswerIsNo, match="knows no command db redecode"):
            run("db", "redecode")
    finally:
        running.end()
    assert trades_of(unread) == []


def test_our_own_commit_does_not_hide_that_no_worker_ran(run: Run, unread: Record) -> None:
    run("db", "redecode")
    connection = sqlite3.connect(unread.database)
    try:
        assert connection.execute("SELECT count(*) FROM gaps WHERE cause = 'restart' AND to_us IS NOT NULL").fetchone() == (1,)
    finally:
        connection.close()
