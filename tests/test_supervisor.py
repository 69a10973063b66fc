"""What holds the recorder together: how it starts, is watched and stops; with the simulator, in this process and in another."""

from __future__ import annotations

import functools
import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from loguru import logger
from real_worker import EVERYTHING, QUICK, RealWorker, endpoints, logs_subscribed, opening_coins, subscribed, until

from pumpwatch import __version__
from pumpwatch.building import Parts
from pumpwatch.commands import ask, directory_of
from pumpwatch.config import load
from pumpwatch.decode.addresses import bonding_curve
from pumpwatch.errors import AllFeedsRefused, DatabaseError
from pumpwatch.events import Delivery, GapOpened, Usage
from pumpwatch.feeds.feed import Feed
from pumpwatch.simulator.serving import Client
from pumpwatch.simulator.simulator import Simulator
from pumpwatch.simulator.solana import SolanaServer
from pumpwatch.status import StatusFile, path_of, problems, read
from pumpwatch.storage.lock import WriterLock
from pumpwatch.storage.store import Store
from pumpwatch.supervisor import Supervisor
from pumpwatch.vitals import Vitals
from pumpwatch.watchlist import Watchlist
from pumpwatch.writer import Writer


class Run:
    """One supervisor, running in a thread of this process."""

    def __init__(self, folder: Path, settings: dict[str, str]) -> None:
        self.database = folder / "pumpwatch.db"
        self.stop_requested = threading.Event()
        self.status: int | None = None
        self.error: BaseException | None = None
        self.supervisor = Supervisor(
            load(config=None, environ=settings, directory=folder), origin="simulator", folder=folder / "servers"
        )
        self.thread = threading.Thread(target=self._run, name="supervisor")
        self.thread.start()

    def _run(self) -> None:
        try:
            self.status = self.supervisor.run(stop_requested=self.stop_requested.is_set)
        except Exception as error:  # noqa: BLE001 - kept for the test to look at
            self.error = error

    def stop(self) -> int | None:
        self.stop_requested.set()
        self.thread.join(20)
        return self.status

    def failure(self) -> BaseException:
        """What it ended with, by itself."""
        self.thread.join(20)
        assert self.error is not None
        return self.error

    def ask(self, query: str) -> list[Any]:
        connection = sqlite3.connect(self.database, timeout=10)
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator(seed=3, rate=100) as running:
        yield running


@pytest.fixture
def settings(simulator: Simulator) -> dict[str, str]:
    return {**QUICK, **EVERYTHING, **endpoints(simulator), **opening_coins(simulator)}


@pytest.fixture
def run(tmp_path: Path, settings: dict[str, str]) -> Iterator[Callable[[], Run]]:
    """Starts a supervisor; again in the same folder, when it is called again."""
    runs: list[Run] = []

    def start() -> Run:
        runs.append(Run(tmp_path, settings))
        return runs[-1]

    yield start
    for started in runs:
        started.stop()


@pytest.fixture
def worker(tmp_path: Path, settings: dict[str, str]) -> Iterator[RealWorker]:
    real = RealWorker(tmp_path, settings)
    try:
        yield real
    finally:
        real.end_all()


@pytest.fixture
def said() -> Iterator[list[str]]:
    """Every log line."""
    lines: list[str] = []
    sink = logger.add(lambda line: lines.append(str(line)), level="INFO", format="{level} {message}")
    yield lines
    logger.remove(sink)


def all_subscribed(simulator: Simulator) -> bool:
    """Both feeds, and all that is pinned: what is traded before that is repaired, which takes longer than these tests."""
    return subscribed(simulator) and logs_subscribed(simulator) >= 2 * len(simulator.market.opening)  # curve and pool of each


def test_after_a_stop_nothing_is_left_but_the_record(run: Callable[[], Run], simulator: Simulator) -> None:
    running = run()
    until(lambda: all_subscribed(simulator))
    traded = simulator.trade(30)
    # Those of PumpPortal may be there before the chain confirms them: a stop does not wait for what is still on its way.
    until(lambda: running.ask("SELECT count(*) FROM trade_log WHERE confirmed") >= [(len(traded),)], what="all trades, confirmed")

    assert running.stop() == 0

    until(lambda: not any(server.open_clients() for server in simulator.next_servers()), what="the end of all connections")
    with WriterLock(running.database):
        pass
    assert running.ask("SELECT count(*) FROM trade_log WHERE confirmed") >= [(len(traded),)]
    assert running.ask("PRAGMA journal_mode") == [("wal",)]


def test_a_start_that_must_wait_says_so_in_the_status_and_ends_in_time(worker: RealWorker) -> None:
    Store.open(worker.database, origin="simulator").close()
    blocker = sqlite3.connect(worker.database, isolation_level=None)
    blocker.execute("PRAGMA locking_mode=EXCLUSIVE")
    blocker.execute("BEGIN EXCLUSIVE")
    try:
        worker.start("--for", "3")
        until(lambda: read(path_of(worker.database)))
        status = read(path_of(worker.database))
        assert worker.wait() == 0, worker.log
    finally:
        blocker.close()

    assert status is not None
    assert status.state == "starting"
    assert {"pumpportal", "helius"} == set(status.feeds)
    assert "helius is waiting: the start must wait: the database is locked by another program" in str(
        problems(status, time.time())
    )
    ended = read(path_of(worker.database))
    assert ended is not None
    assert ended.state == "stopped"


def test_a_start_that_fails_behind_the_database_closes_it(
    run: Callable[[], Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[Store] = []

    def close(store: Store, close: Callable[[Store], None] = Store.close) -> None:
        close(store)
        closed.append(store)

    monkeypatch.setattr(Store, "close", close)
    (tmp_path / "pumpwatch.db.spill").mkdir()

    assert isinstance(run().failure(), DatabaseError)

    assert len(closed) == 1


def test_what_feeds_have_put_in_is_written_before_the_writer_goes(
    run: Callable[[], Run], simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    finish, stop = Writer.finish, Feed.stop

    def note_finish(writer: Writer, *arguments: Any) -> None:
        order.append(f"writer, with {sum(feed.is_alive() for feed in running.supervisor._parts.feeds)} feeds alive")
        finish(writer, *arguments)

    def note_stop(feed: Feed) -> None:
        order.append("feed")
        stop(feed)

    running = run()
    until(lambda: all_subscribed(simulator))
    monkeypatch.setattr(Writer, "finish", note_finish)
    monkeypatch.setattr(Feed, "stop", note_stop)

    assert running.stop() == 0

    assert order == ["feed", "feed", "writer, with 0 feeds alive"]


def test_a_thread_that_dies_stops_everything_and_its_error_comes_out(
    run: Callable[[], Run], simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = run()
    until(lambda: all_subscribed(simulator))
    simulator.trade(10)
    until(lambda: running.supervisor._parts.store.trades >= 10)

    def fail(*_: object) -> None:
        raise ZeroDivisionError("made by the test")

    monkeypatch.setattr(Watchlist, "turn", fail)

    assert isinstance(running.failure(), ZeroDivisionError)
    status = read(path_of(running.database))
    assert status is not None
    assert status.state == "stopped"
    assert running.ask("SELECT count(*) >= 10 FROM trade_log") == [(1,)]


def test_a_thread_that_ends_without_an_error_is_a_defect_too(run: Callable[[], Run], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Watchlist, "work", lambda _: None)

    assert "ended by itself" in str(run().failure())


def test_when_all_feeds_are_refused_it_stops_and_says_why(run: Callable[[], Run], simulator: Simulator) -> None:
    for server in simulator.next_servers():
        server.trouble.refuse = 401
        server.trouble.refuse_until = time.monotonic() + 60

    running = run()
    error = running.failure()

    assert isinstance(error, AllFeedsRefused)
    assert problems(read(path_of(running.database)), time.time()) == [f"the worker is stopped: {error}"]
    assert "PUMPPORTAL_API_KEY" in str(error)
    assert "HELIUS_API_KEY" in str(error)
    assert "test-key" not in str(error)


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("db prune", {"older_than_days": "1e300"}),
        ("db prune", {"older_than_days": "nan"}),
        ("db prune", {"older_than_days": "9" * 5000}),
        ("db redecode", {"after_id": "9" * 30}),
        ("db redecode", {"after_id": "9" * 5000}),
        ("db redecode", {"after_id": "-1"}),
        ("backfill progress", {"order": "9" * 5000}),
        ("backfill", {"mint": "9" * 5000}),
        ("watch add", {"mint": "9" * 5000}),
    ],
)
def test_no_request_ends_the_worker(run: Callable[[], Run], command: str, arguments: dict[str, str]) -> None:
    running = run()
    until(lambda: (now := read(path_of(running.database))) is not None and now.state == "running")

    answer = ask(directory_of(running.database), command, arguments)

    assert not answer.ok, answer
    status = read(path_of(running.database))
    until(
        lambda: (now := read(path_of(running.database))) is not None and status is not None and now.written_at > status.written_at
    )
    assert running.stop() == 0


def test_the_status_file_tells_how_it_goes_and_is_written_again_and_again(run: Callable[[], Run], simulator: Simulator) -> None:
    running = run()
    until(lambda: all_subscribed(simulator))
    simulator.trade(20)
    until(lambda: running.supervisor._parts.store.trades >= 20)
    path = path_of(running.database)
    first = read(path)
    assert first is not None
    until(lambda: (now := read(path)) is not None and now.written_at > first.written_at and not problems(now, time.time()))
    status = read(path)
    assert status is not None

    assert (status.state, status.version, status.schema) == ("running", __version__, 1)
    assert set(status.feeds) == {"pumpportal", "helius"}
    assert {feed.state for feed in status.feeds.values()} == {"connected"}
    helius = status.feeds["helius"]
    assert helius.messages > 20
    assert helius.trades >= 15
    assert helius.last_data_at is not None
    assert abs(helius.last_data_at - time.time()) < 60
    assert status.trades >= 20
    assert status.watched >= len(simulator.market.opening)
    assert status.last_commit_at is not None
    assert status.started_at < status.last_commit_at
    assert status.spilled == 0
    assert status.backfill is not None
    assert status.backfill.requests > 0
    assert running.stop() == 0
    last = read(path)
    assert last is not None
    assert last.state == "stopped"


def test_once_a_minute_it_says_that_it_is_alive(run: Callable[[], Run], simulator: Simulator, said: list[str]) -> None:
    running = run()
    until(lambda: all_subscribed(simulator))

    running.supervisor.turn(time.monotonic() + 61)

    beats = [line for line in said if "watched" in line and "queued" in line]
    assert len(beats) == 1
    assert "pumpportal connected" in beats[0]
    assert "helius connected" in beats[0]


def has_recorded(running: Run, trades: int) -> bool:
    return running.supervisor._parts.store.trades >= trades


def test_what_providers_delivered_is_counted_over_restarts(run: Callable[[], Run], simulator: Simulator) -> None:
    def usage(running: Run) -> dict[str, tuple[int, ...]]:
        query = "SELECT provider, sum(connections), sum(messages), sum(received_bytes), sum(paid_messages) FROM usage GROUP BY 1"
        return {provider: tuple(numbers) for provider, *numbers in running.ask(query)}

    counted: list[dict[str, tuple[int, ...]]] = []
    for _ in range(2):
        running = run()
        until(lambda: all_subscribed(simulator))
        simulator.trade(20)
        until(functools.partial(has_recorded, running, 15 * (len(counted) + 1)))
        feeds = running.supervisor._parts.feeds
        until(lambda feeds=feeds: all(feed.state().trades for feed in feeds))  # type: ignore[misc]
        assert running.stop() == 0
        until(lambda: not any(server.open_clients() for server in simulator.next_servers()))
        counted.append(usage(running))

    first, second = counted
    for provider in ("pumpportal", "helius"):
        assert (first[provider][0], second[provider][0]) == (1, 2)
        assert all(later > before for before, later in zip(first[provider][1:3], second[provider][1:3], strict=True))
    assert second["pumpportal"][3] > first["pumpportal"][3] > 0


def test_what_was_spent_today_is_not_spent_again_after_a_restart(
    run: Callable[[], Run], tmp_path: Path, simulator: Simulator, settings: dict[str, str]
) -> None:
    settings["PUMPWATCH_BUDGET_PUMPPORTAL_SOL_PER_DAY"] = "0.02"
    store = Store.open(tmp_path / "pumpwatch.db", origin="simulator")
    today = time.strftime("%Y-%m-%d", time.gmtime())
    spent = Usage(provider="pumpportal", day=today, messages=20_000, paid_messages=20_000)
    store.apply([Delivery(source="pumpwatch", received_at_us=time.time_ns() // 1000, events=(spent,))])
    store.close()

    running = run()
    until(lambda: all_subscribed(simulator))
    simulator.trade(20)
    until(functools.partial(has_recorded, running, 10))

    assert simulator.pumpportal.subscribed_new()
    assert simulator.pumpportal.followed() == set()


def test_usage_that_finds_no_room_is_told_later(tmp_path: Path, settings: dict[str, str]) -> None:
    store = Store.open(tmp_path / "pumpwatch.db", origin="simulator")
    loaded = load(config=None, environ=settings, directory=tmp_path)
    parts = Parts(loaded, store, folder=tmp_path, origin="simulator", plays=None)
    parts.budget.received("pumpportal", 100, paid=True)
    parts.intake.close()

    parts.tell_usage()

    (usage,) = parts.budget.drain()
    assert (usage.messages, usage.received_bytes) == (1, 100)
    assert parts.backfill is not None
    parts.backfill.close()
    store.close()


def test_a_restart_is_a_gap_until_the_chain_delivers_all_that_is_wanted(
    run: Callable[[], Run], simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run()
    until(lambda: all_subscribed(simulator))
    simulator.trade(20)
    until(lambda: first.supervisor._parts.store.trades >= 20)
    until(
        lambda: simulator.trade(1) and all(feed.state().last_data_at for feed in first.supervisor._parts.feeds),
        what="data of both",
    )
    assert first.stop() == 0
    assert first.ask("SELECT cause FROM gaps") == [("start",)]
    (covered_us,) = first.ask("SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'covered_us helius'")[0]
    held_back: list[tuple[Client, str]] = []
    receive = SolanaServer.receive

    def hold_back(server: SolanaServer, client: Client, text: str) -> None:
        if "logsSubscribe" in text:
            held_back.append((client, text))
        else:
            receive(server, client, text)

    monkeypatch.setattr(SolanaServer, "receive", hold_back)
    second = run()
    until(
        lambda: held_back and simulator.trade(1) and all(feed.state().last_data_at for feed in second.supervisor._parts.feeds),
        what="data of both",
    )

    second.supervisor.turn(time.monotonic())
    until(lambda: second.ask("SELECT from_us, to_us FROM gaps WHERE cause = 'restart'") == [(covered_us, None)])

    monkeypatch.setattr(SolanaServer, "receive", receive)
    for client, text in held_back:
        receive(simulator.solana, client, text)
    until(lambda: second.ask("SELECT count(*) FROM gaps WHERE cause = 'restart' AND to_us > from_us") == [(1,)])

    assert second.stop() == 0
    assert second.ask("SELECT cause FROM gaps ORDER BY id") == [("start",), ("restart",)]


def test_a_gap_whose_process_has_ended_ends_with_the_next_start(
    run: Callable[[], Run], tmp_path: Path, simulator: Simulator
) -> None:
    store = Store.open(tmp_path / "pumpwatch.db", origin="simulator")
    gap = GapOpened(cause="disconnected", feed="helius", from_us=1_790_000_000_000_000)
    store.apply([Delivery(source="pumpwatch", received_at_us=1_790_000_000_000_000, events=(gap,))])
    store.close()
    before_us = time.time_ns() // 1000

    running = run()
    until(lambda: all_subscribed(simulator))
    until(lambda: running.ask("SELECT count(*) FROM gaps WHERE to_us IS NULL") == [(0,)])

    ((to_us,),) = running.ask("SELECT to_us FROM gaps WHERE cause = 'disconnected'")
    assert before_us <= to_us <= time.time_ns() // 1000


def test_watch_add_and_remove_reach_the_servers_of_a_running_worker_within_two_seconds(
    worker: RealWorker, simulator: Simulator
) -> None:
    mint = simulator.market.opening["plain"].mint
    curve = bonding_curve(mint)
    worker.settings["PUMPWATCH_WATCH_MINTS"] = ""

    def is_asked_for() -> bool:
        with simulator.solana.world.lock:
            chain = any(curve in held.logs for held in simulator.solana._subscriptions.values())
        return chain and mint in simulator.pumpportal.followed()

    worker.start()
    until(lambda: simulator.pumpportal.subscribed_new() and simulator.solana.open_clients())

    added = worker.command("watch", "add", mint)
    answered_at = time.monotonic()
    until(is_asked_for)
    assert time.monotonic() - answered_at < 2
    listed = json.loads(worker.command("watch", "list", "--json").out)
    removed = worker.command("watch", "remove", mint)
    until(lambda: not is_asked_for())

    assert (added.status, removed.status) == (0, 0)
    assert [(row["address"], row["reason"]) for row in listed["watched"]] == [(mint, "asked")]
    assert worker.stop() == 0
    assert worker.ask("SELECT reason, end_reason FROM spells") == [("asked", "asked")]


def test_what_a_person_asked_for_is_watched_after_a_restart(worker: RealWorker, simulator: Simulator) -> None:
    mint = simulator.market.opening["plain"].mint
    worker.settings["PUMPWATCH_WATCH_MINTS"] = ""
    worker.start()
    until(lambda: simulator.pumpportal.subscribed_new())
    assert worker.command("watch", "add", mint).status == 0
    until(lambda: worker.count("spells") == 1)
    worker.kill()
    until(lambda: not simulator.pumpportal.open_clients())

    worker.start()

    until(lambda: simulator.pumpportal.followed() == {mint} and logs_subscribed(simulator) > 0)
    assert worker.ask("SELECT count(*), count(ended_at_us) FROM spells") == [(1, 0)]


def test_status_tells_healthy_from_not_and_from_stale(worker: RealWorker, simulator: Simulator) -> None:
    worker.start()
    until(lambda: all_subscribed(simulator))
    until(lambda: (status := read(path_of(worker.database))) is not None and not problems(status, time.time()))

    healthy = worker.command("status", "--json")
    simulator.pumpportal.trouble.refuse_until = time.monotonic() + 60
    simulator.fault("drop", feed="pumpportal")
    until(lambda: (status := read(path_of(worker.database))) is not None and status.feeds["pumpportal"].state != "connected")
    unhealthy = worker.command("status", "--json")
    worker.kill()
    path = path_of(worker.database)
    path.write_text(json.dumps({**json.loads(path.read_bytes()), "written_at": time.time() - 11}), encoding="utf-8")
    stale = worker.command("status", "--json")

    assert (healthy.status, unhealthy.status, stale.status) == (0, 1, 1)
    assert json.loads(healthy.out)["healthy"] is True
    assert json.loads(healthy.out)["worker"]["pid"] == worker.process.pid
    assert "pumpportal is " in json.loads(unhealthy.out)["problems"][0]
    assert f"the worker (pid {worker.process.pid}) is gone or hangs" in json.loads(stale.out)["problems"][0]


def test_the_worker_measures_itself(run: Callable[[], Run], simulator: Simulator) -> None:
    running = run()
    until(lambda: all_subscribed(simulator))
    traded = simulator.trade(30)
    until(lambda: running.ask("SELECT count(*) FROM trade_log WHERE confirmed") >= [(len(traded),)], what="all trades, confirmed")
    seen: list[Vitals] = []
    measuring = running.supervisor._measuring
    measuring._takers = (seen.append,)

    def is_whole(vitals: Vitals) -> bool:
        return bool(vitals.completeness) and all(feed.last_data_at for feed in vitals.feeds)

    # The chain alone may have brought all trades: what PumpPortal sent of them can be the last to arrive.
    until(lambda: any(is_whole(vitals) for vitals in seen), what="a look into the database, and data of both feeds")

    vitals = seen[-1]
    assert vitals.origin == "simulator"
    assert [feed.name for feed in vitals.feeds] == ["pumpportal", "helius"]
    assert all(feed.connects_total and feed.messages_total and feed.last_data_at for feed in vitals.feeds)
    assert vitals.trades == vitals.trades_stored_total >= len(traded)
    assert vitals.commits_total > 0
    assert 0 < vitals.commit_seconds_longest <= vitals.commit_seconds_total
    assert vitals.lag_seconds is not None
    assert 0 <= vitals.lag_seconds < 60
    assert vitals.database_bytes > 0
    assert vitals.disk_free_bytes
    assert sum(vitals.completeness.values()) <= vitals.watched
    assert vitals.database_trouble is None
    assert vitals.backfill_requests_total


def test_a_run_that_ends_by_an_error_says_so_in_its_row(
    run: Callable[[], Run], simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = run()
    until(lambda: all_subscribed(simulator))
    monkeypatch.setattr(Watchlist, "turn", lambda _self, _now: 1 / 0)  # a defect of ours

    assert isinstance(running.failure(), ZeroDivisionError)

    assert running.ask("SELECT exit_status, reason FROM runs") == [(70, "a defect: ZeroDivisionError")]


def test_a_run_that_could_not_say_how_it_ended_gets_its_end_from_the_next(run: Callable[[], Run], simulator: Simulator) -> None:
    running = run()
    until(lambda: all_subscribed(simulator))
    running.stop()
    with sqlite3.connect(running.database) as connection:
        connection.execute("UPDATE runs SET ended_at_us = NULL, exit_status = NULL, reason = NULL")
    connection.close()
    status = read(path_of(running.database))
    assert status is not None
    StatusFile(path_of(running.database)).write(msgspec.structs.replace(status, state="stuck", reason="writer: hangs"))
    again = run()
    until(lambda: again.ask("SELECT count(*) FROM runs") == [(2,)], what="the second run")

    [(ended_at_us, exit_status, reason)] = again.ask("SELECT ended_at_us, exit_status, reason FROM runs WHERE id = 1")

    assert ended_at_us == int(max(status.written_at, status.last_commit_at or 0) * 1_000_000)
    assert (exit_status, reason) == (70, "stuck: writer: hangs")
