"""``db prune``: through the running worker or by itself, to the same end; and what is told of what is gone."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from cli_samples import Record, Run

from pumpwatch.cli.output import AnswerIsNo
from pumpwatch.commands import CommandBox, directory_of
from pumpwatch.errors import UsageError
from pumpwatch.retention import handlers
from pumpwatch.storage.intake import Intake
from pumpwatch.storage.lock import WriterLock, beside
from pumpwatch.storage.store import Store
from pumpwatch.threads import Deadline
from pumpwatch.writer import Writer

SHOWN = ("SELECT * FROM token_board ORDER BY mint", "SELECT * FROM position_board ORDER BY 1, 3", "SELECT * FROM minutes")


class Worker:
    """What of a worker matters here: it holds the lock, writes, prunes, and serves what is asked."""

    def __init__(self, record: Record, *, knows: bool = True) -> None:
        path = record.database
        self.lock = WriterLock(path)
        self.lock.acquire()
        store = Store.open(path, origin="simulator")
        pruner = store.pruner(trade_days=0.0, max_bytes=0)
        intake = Intake(beside(path, "spill"), queue_size=100, spill_bytes=1_000_000, now_us=0)
        self.writer = Writer(store, intake, batch_size=50, pruner=pruner)
        self.box = CommandBox(directory_of(path), handlers=handlers(pruner) if knows else {})
        self.stopping = threading.Event()
        self.server = threading.Thread(target=self.serve)
        self.writer.start()
        self.server.start()

    def serve(self) -> None:
        while not self.stopping.wait(0.02):
            self.box.serve()

    def end(self) -> None:
        self.stopping.set()
        self.server.join(10)
        self.writer.finish(Deadline(5))
        self.writer.join(10)
        self.lock.release()
        assert self.writer.error is None


@pytest.fixture
def worker(record: Record) -> Iterator[Worker]:
    running = Worker(record)
    yield running
    running.end()


def ask(record: Record, query: str) -> list[Any]:
    with closing(sqlite3.connect(record.database)) as connection:
        return connection.execute(query).fetchall()


def count(record: Record) -> int:
    return int(ask(record, "SELECT count(*) FROM trades")[0][0])


def test_without_a_worker_it_takes_them_out_itself_and_all_else_stays(run: Run, record: Record) -> None:
    shown, size = [ask(record, query) for query in SHOWN], record.database.stat().st_size
    trades = count(record)

    told = run("db", "prune", "--older-than", "1", "--json").json()

    assert told["trades"] == trades - count(record) > 2900
    assert told["freed_bytes"] > 0
    assert told["database_bytes"] == record.database.stat().st_size < size
    assert [ask(record, query) for query in SHOWN] == shown
    assert run("db", "check").status == 0
    assert run("db", "prune", "--older-than", "1", "--json").json()["trades"] == 0


def test_the_running_worker_takes_them_out(run: Run, record: Record, worker: Worker) -> None:
    outcome = run("db", "prune", "--older-than", "1")

    assert outcome.status == 0
    assert "taken out" in outcome.lines()[0]
    assert count(record) < 100


def test_a_worker_that_does_not_know_it_is_told(run: Run, record: Record) -> None:
    running = Worker(record, knows=False)
    try:
        with pytest.raises(AnswerIsNo, match="knows no command db prune"):
            run("db", "prune", "--older-than", "1")
    finally:
        running.end()


def test_a_dry_run_changes_nothing(run: Run, record: Record) -> None:
    trades = count(record)
    assert run("db", "prune", "--older-than", "1", "--dry-run").lines()[0].startswith("3003 trades of before ")
    assert run("db", "prune", "--older-than", "100000", "--dry-run", "--json").json()["old_trades"] == 0
    assert count(record) == trades


def test_somebody_must_say_how_old(run: Run, record: Record) -> None:
    with pytest.raises(UsageError, match="--older-than DAYS"):
        run("db", "prune")
