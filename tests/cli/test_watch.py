"""Promises of ``watch``: through the running worker, or without one by itself; in both cases answered in one line."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_samples import Record, Run

from pumpwatch.cli import watch
from pumpwatch.cli.output import AnswerIsNo
from pumpwatch.commands import ask as real_ask
from pumpwatch.commands import directory_of
from pumpwatch.config import WatchSettings
from pumpwatch.errors import DatabaseError
from pumpwatch.events import Delivery
from pumpwatch.feeds.wanted import Wanted
from pumpwatch.storage.lock import WriterLock
from pumpwatch.storage.store import Store
from pumpwatch.watchlist import Watchlist

NEW = "4Nd1mYvqnE6hdCXxPz7bSmCF8tJQ5vUbtn2oRwhXbrGk"
OTHER = "7YttLkHDoNj9wyDur5pM1ejNaAvT9X4eqaYcHQqtj2G5"


def rows(database: Path, query: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(database)
    try:
        return list(connection.execute(query))
    finally:
        connection.close()


def spells_of(database: Path, address: str) -> list[tuple[object, ...]]:
    return rows(database, f"SELECT kind, reason, end_reason FROM spells WHERE address = '{address}' ORDER BY id")


class Worker:
    """What of a worker matters here: it holds the lock, and a thread owns the list."""

    def __init__(self, database: Path) -> None:
        self.heard: list[Wanted] = []
        self.lock = WriterLock(database)
        self.lock.acquire()
        self.store = Store.open(database, origin="simulator")
        self.list = Watchlist(
            WatchSettings(admit="none"),
            record=self.record,
            publish=self.heard.append,
            spells=self.store.open_spells(),
            commands=directory_of(database),
        )
        self.list.start()

    def record(self, delivery: Delivery) -> bool:
        self.store.apply([delivery])
        return True

    def end(self) -> None:
        self.list.stop()
        self.list.join(10)
        self.store.close()
        self.lock.release()


@pytest.fixture
def worker(record: Record) -> Iterator[Worker]:
    running = Worker(record.database)
    yield running
    running.end()
    assert running.list.error is None


# Without a worker


def test_without_a_worker_the_list_is_changed_in_the_database(run: Run, record: Record) -> None:
    added = run("watch", "add", NEW)
    assert added.status == 0
    assert added.out == f"watching token {NEW}\n"
    assert run("watch", "add", NEW).out == f"token {NEW} is pinned already\n"
    assert run("watch", "add", OTHER, "--wallet").status == 0
    assert run("watch", "remove", NEW).out == f"no longer watching token {NEW}\n"

    assert spells_of(record.database, NEW) == [("token", "asked", "asked")]
    assert spells_of(record.database, OTHER) == [("wallet", "asked", None)]
    assert not directory_of(record.database).exists()


def test_the_next_worker_goes_on_with_what_was_added_without_one(run: Run, record: Record) -> None:
    run("watch", "add", NEW)

    running = Worker(record.database)
    try:
        assert running.list.watched() == 2
    finally:
        running.end()
    assert spells_of(record.database, NEW) == [("token", "asked", None)]


def test_a_change_without_a_worker_does_not_hide_that_none_ran(run: Run, record: Record) -> None:
    [(before,)] = rows(record.database, "SELECT value FROM meta WHERE key = 'last_commit_us'")

    run("watch", "add", NEW)

    [(gap_from, gap_to)] = rows(record.database, "SELECT from_us, to_us FROM gaps WHERE cause = 'restart'")
    assert gap_from == int(str(before))
    assert isinstance(gap_to, int)
    assert gap_to > gap_from


def test_a_refusal_changes_nothing_and_ends_with_1(run: Run, record: Record) -> None:
    before = rows(record.database, "SELECT * FROM meta")

    outcome = run("watch", "add", "hello\x1b[31m")
    assert outcome.status == 1
    assert outcome.out == ""
    assert outcome.err == "hello\\x1b[31m is not a Solana address (32 bytes in base58)\n"
    assert run("watch", "remove", NEW).err == f"token {NEW} is not watched\n"
    assert run("watch", "remove", NEW, PUMPWATCH_WATCH_MINTS=NEW).err.startswith(f"token {NEW} is pinned by the settings")

    assert rows(record.database, "SELECT * FROM meta") == before
    assert rows(record.database, "SELECT * FROM gaps") == []


def test_several_addresses_are_answered_one_by_one(run: Run, record: Record) -> None:
    outcome = run("watch", "add", NEW, "nonsense", OTHER, "--json")

    assert outcome.status == 1
    assert [(answer["address"], answer["ok"]) for answer in outcome.json()] == [(NEW, True), ("nonsense", False), (OTHER, True)]
    assert outcome.err == ""


def test_a_database_that_another_program_holds_is_said_and_nothing_is_half_done(run: Run, record: Record) -> None:
    blocker = sqlite3.connect(record.database, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    try:
        with pytest.raises(AnswerIsNo, match="not done: the database is locked"):
            run("watch", "add", NEW, PUMPWATCH_WRITER_BUSY_TIMEOUT_SECONDS="0.1")
    finally:
        blocker.execute("ROLLBACK")
        blocker.close()

    assert run("watch", "add", NEW).status == 0


def test_the_lock_is_free_again_afterwards(run: Run, record: Record) -> None:
    run("watch", "add", NEW)

    lock = WriterLock(record.database)
    lock.acquire()
    lock.release()


def test_before_the_first_run_adding_makes_the_database_and_only_for_what_can_be_watched(run: Run, record: Record) -> None:
    record.database.unlink()

    assert run("watch", "add", "abc").err == "abc is not a Solana address (32 bytes in base58)\n"
    assert run("watch", "add", NEW, PUMPWATCH_WATCH_MINTS=NEW).out == f"token {NEW} is pinned by the settings already\n"
    with pytest.raises(DatabaseError, match="there is no database"):
        run("watch", "remove", NEW)
    assert not record.database.exists()

    added = run("watch", "add", "abc", NEW, OTHER)

    assert (added.status, added.out) == (1, f"watching token {NEW}\nwatching token {OTHER}\n")
    assert rows(record.database, "SELECT value FROM meta WHERE key = 'origin'") == [("mainnet",)]
    assert spells_of(record.database, NEW) == [("token", "asked", None)]
    assert spells_of(record.database, OTHER) == [("token", "asked", None)]


# Through the worker


def test_with_a_worker_the_change_takes_effect_in_it(run: Run, record: Record, worker: Worker) -> None:
    assert run("watch", "add", NEW).out == f"watching token {NEW}\n"
    assert run("watch", "add", OTHER, "--wallet").status == 0
    refused = run("watch", "remove", OTHER)
    assert run("watch", "remove", OTHER, "--wallet").status == 0

    assert (refused.status, refused.err) == (1, f"token {OTHER} is not watched\n")
    assert NEW in worker.list._watched.tokens
    assert OTHER not in worker.list._watched.wallets
    assert rows(record.database, "SELECT * FROM gaps") == []
    assert list(directory_of(record.database).iterdir()) == []


def test_a_lock_holder_that_does_not_answer_is_no_hang(run: Run, record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "ask", lambda *arguments: real_ask(*arguments, timeout_seconds=0.05, sleep=lambda _: None))
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with WriterLock(record.database):
            held.set()
            release.wait(20)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(20)
    try:
        with pytest.raises(AnswerIsNo, match="did not answer"):
            run("watch", "add", NEW)
    finally:
        release.set()
        thread.join()
    assert spells_of(record.database, NEW) == []


# The list


def test_the_list_says_why_and_since_when(run: Run, record: Record) -> None:
    outcome = run("watch", "list", PUMPWATCH_WATCH_MINTS=NEW)

    assert outcome.status == 0
    assert outcome.lines() == [
        "KIND   ADDRESS                                      WHY      SINCE (UTC)",
        f"token  {record.mints[0]} admitted 2026-09-21 14:13:20",
        f"token  {record.mints[2]} admitted 2026-09-21 14:13:21",
        f"wallet {record.wallet:44} asked    2026-09-21 14:14:20",
        f"token  {NEW} pinned   from the next start",
    ]


def test_the_list_as_json_names_what_waits_for_the_next_start(run: Run, record: Record) -> None:
    document = run("watch", "list", "--json", PUMPWATCH_WATCH_WALLETS=OTHER).json()

    assert document["pinned_for_the_next_start"] == [{"kind": "wallet", "address": OTHER}]
    assert document["watched"][0] == {
        "kind": "token",
        "address": record.mints[0],
        "symbol": "CAT",
        "reason": "admitted",
        "started_at_us": 1_790_000_000_000_000,
    }


@pytest.mark.parametrize("line", [["watch"], ["watch", "add"], ["watch", "sing"]])
def test_half_a_command_is_wrong_usage(run: Run, line: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(*line)
    assert ended.value.code == 2
