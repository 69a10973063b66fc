"""
Recorded messages through the whole path: servers on loopback play them over real sockets to the real feeds, whose events go
through the intake to the writer, into a database of origin ``replay``. It needs no network.

The times of a session are kept. At full speed the same files make the same tables: messages are taken in one after the other,
in the order of their times, whichever feed they are of, and are stored in batches of one size.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection

from pumpwatch.errors import DatabaseBusy, DatabaseError, StopError
from pumpwatch.events import Delivery, PoolSeen, Rejected
from pumpwatch.feeds.feed import Feed
from pumpwatch.feeds.helius import HeliusFeed
from pumpwatch.replay_files import Source, merged
from pumpwatch.replay_stage import ORIGIN, TICK_SECONDS, Batches, Pace, Stage, feeds_of
from pumpwatch.sessions import FeedName, Problem
from pumpwatch.simulator.simulator import Simulator
from pumpwatch.storage.lock import WriterLock, beside
from pumpwatch.storage.store import Store
from pumpwatch.threads import Deadline
from pumpwatch.writer import Writer

_BATCH: Final = 500
_QUEUE: Final = 10_000
_SPILL_BYTES: Final = 256 * 1024 * 1024
_MOST_POOLS: Final = 50_000

_CONNECT_SECONDS: Final = 15.0
_STOP_SECONDS: Final = 4.0
_LOOK_SECONDS: Final = 0.1


class ReplayFailed(StopError):
    """What was played did not arrive."""

    exit_status = 70


@dataclass(slots=True)
class Summary:
    """
    What a replay did.

    Attributes:
        messages: Played, of each feed.
        trades: New ones in the database; those that were there already, or told by both feeds, count once.
        tokens: That something was told of.
        rejected: Messages, or parts of them, that are no event.
        unreadable: Lines of the files that are no message.
        seconds: How long it took.
    """

    database: Path
    messages: dict[FeedName, int]
    trades: int = 0
    trades_in_all: int = 0
    tokens: int = 0
    rejected: int = 0
    unreadable: int = 0
    seconds: float = 0.0


class Replay:
    """
    One replay of *sources* into *database*.

    Args:
        speed: 1 keeps the recorded pauses, 10 is ten times as fast; None: as fast as it goes.
        told: Hears of what cannot be read.
        progress: Called now and then with the bytes of the files that are behind us, and of all.

    """

    def __init__(
        self,
        sources: Sequence[Source],
        database: Path,
        *,
        speed: float | None = None,
        told: Callable[[Problem], None] = lambda _problem: None,
        progress: Callable[[int, int], None] = lambda _done, _total: None,
    ) -> None:
        self._sources = sources
        self._database = database
        self._speed = speed
        self._told = told
        self._progress = progress
        self._stage = Stage()
        self._stopping = threading.Event()
        self._mints: set[str] = set()
        self.summary = Summary(database, {})

    def run(self) -> Summary:
        """
        Play everything, and return when all of it is committed.

        Raises:
            DatabaseError: The file is of another origin, damaged, or held by another program.
            AlreadyRunning: Another process writes to it.
            ReplayFailed: A feed did not get what was played.

        """
        began = time.monotonic()
        with WriterLock(self._database):
            try:
                store = Store.open(self._database, origin=ORIGIN, everything=True)
            except DatabaseBusy as error:
                raise DatabaseError(f"{self._database} cannot be written now ({error}): try again later") from error
            trades_before = store.trades
            try:
                self._build(store)
                pools = store.pools(most=_MOST_POOLS)
            except BaseException:
                store.close()
                raise
            self._writer.start()
            try:
                with Simulator(origin=None, rpc=False) as simulator:
                    self._play_all(simulator, feeds_of(simulator, self._deliver, self._stage, pools))
                self._finish(Deadline(math.inf))
            finally:
                self._finish(Deadline(_STOP_SECONDS))
            if not self._intake.spilled:
                beside(self._database, "spill").unlink(missing_ok=True)  # nothing but its reserve
        summary = self.summary
        summary.trades, summary.trades_in_all = store.trades - trades_before, store.trades
        summary.tokens = len(self._mints)
        summary.seconds = time.monotonic() - began
        return summary

    def _build(self, store: Store) -> None:
        spill = beside(self._database, "spill")
        self._intake = Batches(spill, queue_size=_QUEUE, spill_bytes=_SPILL_BYTES, now_us=time.time_ns() // 1000)
        self._intake.is_hasty = self._speed is not None
        self._writer = Writer(store, self._intake, batch_size=_BATCH)

    def _finish(self, deadline: Deadline) -> None:
        """Have everything stored that was taken in, until the deadline."""
        self._intake.is_hasty = True
        self._writer.finish(deadline)
        while self._writer.is_alive() and (deadline.left() or not self._stopping.is_set()):
            self._writer.join(_LOOK_SECONDS)
        if self._writer.error is not None:
            raise self._writer.error

    # Sending

    def _play_all(self, simulator: Simulator, feeds: Mapping[FeedName, Feed]) -> None:
        for feed in feeds.values():
            feed.start()
        try:
            self._wait(lambda: _are_subscribed(simulator, feeds), feeds)
            connections = {name: simulator.server(name).open_clients()[0].connection for name in feeds}
            self._play(connections, feeds)
            self._wait_until_taken(feeds)
        finally:
            self._stopping.set()
            for feed in feeds.values():
                feed.stop()
            for feed in feeds.values():
                feed.join(_STOP_SECONDS)

    def _play(self, connections: Mapping[FeedName, ServerConnection], feeds: Mapping[FeedName, Feed]) -> None:
        before: FeedName | None = None
        pace = Pace(self._speed)
        total = sum(source.size_bytes for source in self._sources)
        for message in merged(self._sources, self._on_problem):
            assert message.feed is not None
            if message.feed != before or message.pools:
                self._wait_until_taken(feeds)
                before = message.feed
            if message.pools:
                _know(feeds["helius"], message.pools)
                continue
            self._progress(sum(source.bytes_read for source in self._sources), total)
            pace.wait(message.at_us)
            self._check(feeds)
            self._stage.sending(message.feed, message)
            try:
                connections[message.feed].send(message.raw, text=not message.is_binary)
            except (ConnectionClosed, OSError) as error:
                raise _lost(feeds[message.feed]) from error
            self.summary.messages[message.feed] = self.summary.messages.get(message.feed, 0) + 1

    def _wait_until_taken(self, feeds: Mapping[FeedName, Feed]) -> None:
        while not self._stage.wait_until_empty(_LOOK_SECONDS):
            self._check(feeds)

    def _wait(self, condition: Callable[[], bool], feeds: Mapping[FeedName, Feed]) -> None:
        ends = Deadline(_CONNECT_SECONDS)
        while not condition():
            self._check(feeds)
            if not ends.left():
                raise ReplayFailed("the feeds did not connect to this machine's own servers: is loopback blocked?")
            time.sleep(TICK_SECONDS)

    def _check(self, feeds: Mapping[FeedName, Feed]) -> None:
        """All threads live, and every feed has its first connection still."""
        if not self._writer.is_alive():
            raise self._writer.error or ReplayFailed("the writer has ended by itself")
        for feed in feeds.values():
            if not feed.is_alive() or feed.state().connects > 1:
                raise feed.error or _lost(feed)

    def _on_problem(self, problem: Problem) -> None:
        self.summary.unreadable += 1
        self._told(problem)

    # Taking: each feed's thread, one at a time

    def _deliver(self, delivery: Delivery) -> bool:
        if not delivery.raw:
            return True  # of our own connections, which are no part of the session
        for event in delivery.events:
            if isinstance(event, Rejected):
                self.summary.rejected += 1
            elif (mint := getattr(event, "mint", None)) is not None:
                self._mints.add(mint)
        # The session waits for the database, never the other way round: nothing is spilled.
        while self._intake.depth >= _BATCH and not self._stopping.is_set():
            time.sleep(TICK_SECONDS)
        return self._intake.put(delivery)


def _lost(feed: Feed) -> ReplayFailed:
    return ReplayFailed(f"the {feed.name} lost its connection to this machine's own server: {feed.state().reason or 'no reason'}")


def _know(feed: Feed, pools: Sequence[PoolSeen]) -> None:
    assert isinstance(feed, HeliusFeed)
    feed.know_pools(pools)


def _are_subscribed(simulator: Simulator, feeds: Mapping[FeedName, Feed]) -> bool:
    helius = feeds["helius"]
    assert isinstance(helius, HeliusFeed)
    return simulator.pumpportal.subscribed_new() and helius.delivers("any of all")
