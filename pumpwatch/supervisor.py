"""
Read this first: what pumpwatch is made of, how it starts, how it is watched, how it stops.

    PumpPortal feed ─┐                      ┌─> watch list ──> wanted ──> both feeds
                     ├─> deliver ─> intake ─┤
    Helius feed ─────┘   (queue and spill)  └─> writer ──> SQLite

Data moves one way. The main thread polls: a thread that dies, or a signal, stops everything, in the order of the flow.
"""

from __future__ import annotations

import functools
import math
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec
from loguru import logger

import pumpwatch
from pumpwatch import status as status_file
from pumpwatch.budget import HELIUS, PUMPPORTAL, Budget, projected_cost
from pumpwatch.commands import directory_of
from pumpwatch.config import Settings
from pumpwatch.errors import AllFeedsRefused, DatabaseBusy
from pumpwatch.events import Covered, Delivery, Event, GapOpened
from pumpwatch.feeds.feed import Feed
from pumpwatch.feeds.helius import HeliusFeed
from pumpwatch.feeds.opens import Opens
from pumpwatch.feeds.pumpportal import PumpPortalFeed
from pumpwatch.feeds.waits import Waits
from pumpwatch.feeds.wanted import Wanted
from pumpwatch.providers import Provider, provider_named, provider_of
from pumpwatch.status import FeedStatus, Status, StatusFile
from pumpwatch.storage.intake import Intake
from pumpwatch.storage.lock import WriterLock, beside
from pumpwatch.storage.store import Store
from pumpwatch.threads import Deadline, WorkerThread
from pumpwatch.watchlist import Watchlist
from pumpwatch.writer import Writer

#: A stop takes no longer, whatever hangs; what is not committed when SPILL_AFTER_SECONDS have passed goes to the spill.
STOP_WITHIN_SECONDS = 5.0
SPILL_AFTER_SECONDS = 4.0

_POLL_SECONDS = 0.1
_START_WAITS_SECONDS = 0.5
_USAGE_SECONDS = 10.0
_HEARTBEAT_SECONDS = 60.0
_MOST_POOLS = 50_000


class Supervisor:
    """
    Builds the recorder, starts it, watches it and stops it. The only place that knows every part.

    Args:
        origin: Of the data: ``mainnet``, or ``simulator`` for the built-in one.
        provider: The loopback server plays this provider: its limits hold, and its rules for opening connections.
        folder: Where the memory of servers is kept.

    """

    def __init__(self, settings: Settings, *, folder: Path, origin: str = "mainnet", provider: str | None = None) -> None:
        self._settings = settings
        self._origin = origin
        self._plays = provider
        self._folder = folder
        self._database = settings.pumpwatch.database
        self._lock = WriterLock(self._database)
        self._status_file = StatusFile(status_file.path_of(self._database))
        self._started_at = time.time()
        self._state = "starting"
        #: Monotonic seconds at which something is to be done next.
        self._due = {"heartbeat": time.monotonic() + _HEARTBEAT_SECONDS}
        self._restart_gap: GapOpened | None = None
        #: Unix seconds of each feed's last data that were noted.
        self._covered: dict[str, float] = {}

    def run(self, *, stop_requested: Callable[[], bool], for_seconds: float | None = None) -> int:
        """
        Record until *stop_requested* or *for_seconds* have passed. Returns the exit status 0.

        Raises:
            StopError: A person must act; everything is stopped and safe.
            Exception: What ended a thread: a defect. Everything is stopped and safe.

        """
        end = Deadline(math.inf if for_seconds is None else for_seconds)

        def is_over() -> bool:
            return stop_requested() or end.left() <= 0

        with self._lock:
            store = self._open_store(is_over)
            if store is None:
                return 0
            try:
                self._build(store)
            except BaseException:
                store.close()
                raise
            self._start()
            try:
                self._watch(is_over)
            finally:
                self._stop()
        for thread in self._threads():
            if thread.error is not None:
                raise thread.error
        return 0

    def _open_store(self, is_over: Callable[[], bool]) -> Store | None:
        """Open the database; as long as another program holds it, wait. None when it *is_over* before that."""
        writer = self._settings.writer
        while not is_over():
            try:
                store = Store.open(
                    self._database,
                    origin=self._origin,
                    # SQLite's own wait cannot be interrupted, and this is the thread that a signal must reach.
                    busy_timeout_seconds=min(writer.busy_timeout_seconds, _START_WAITS_SECONDS),
                    synchronous=writer.synchronous,
                )
            except DatabaseBusy as error:
                if self._is_due("word", time.monotonic(), _HEARTBEAT_SECONDS):
                    logger.error("the start must wait: {}", error)
                if self._is_due("status", time.monotonic(), status_file.WRITTEN_EVERY_SECONDS):
                    self._write_early_status("starting", reason=f"the start must wait: {error}")
                time.sleep(_POLL_SECONDS)
            else:
                store.wait_for_locks(writer.busy_timeout_seconds)
                return store
        self._write_early_status("stopped")
        return None

    def _build(self, store: Store) -> None:
        settings = self._settings
        now_us = time.time_ns() // 1000
        self._store = store
        self._intake = Intake(
            beside(self._database, "spill"),
            queue_size=settings.writer.queue_size,
            spill_bytes=settings.writer.spill_megabytes * 1024 * 1024,
            now_us=now_us,
        )
        self._writer = Writer(store, self._intake, batch_size=settings.writer.batch_size)
        self._chain = chain = self._provider_of_chain()
        self._budget = Budget(
            pumpportal_sol_per_day=settings.budget.pumpportal_sol_per_day,
            helius_credits_per_month=settings.budget.helius_credits_per_month,
            metered=chain.metered,
            start=store.usage(),
        )
        spells = store.open_spells()
        self._watchlist = Watchlist(
            settings.watch,
            record=self._intake.put,
            publish=self._publish,
            provider_tokens=chain.watchable_tokens,
            everything=settings.helius.scope == "all",
            budget=self._budget if settings.helius.enabled else None,
            spells=spells,
            quote_mints=store.quote_mints(spell.address for spell in spells if spell.kind == "token"),
            commands=directory_of(self._database),
            listening=self._is_listening,
        )
        self._feeds = tuple(self._build_feeds())
        # Whoever would have told their end has ended. What follows is the restart's.
        self._tell(*(msgspec.structs.replace(gap, to_us=max(gap.from_us, now_us)) for gap in store.endless_gaps()))
        self._restart_gap = self._gap_at_start(is_watching=bool(spells), now_us=now_us)
        if self._restart_gap is not None:
            self._tell(self._restart_gap)

    def _gap_at_start(self, *, is_watching: bool, now_us: int) -> GapOpened | None:
        """What is watched trades unseen until the feeds deliver again: since the last data that were stored, or since now."""
        last_us = self._store.covered_us(feed.source for feed in self._feeds_of_trades())
        last_us = self._store.last_commit_us() if last_us is None else last_us
        if last_us is None:
            return GapOpened(cause="start", from_us=now_us) if is_watching or self._settings.watch.mints else None
        if is_watching or self._settings.watch.mints or self._settings.helius.scope == "all":
            return GapOpened(cause="restart", from_us=min(last_us, now_us))
        return None

    def _feeds_of_trades(self) -> list[Feed]:
        """Those that deliver the trades of all watched tokens: the chain's, or without it what there is."""
        return [feed for feed in self._feeds if feed.source == HELIUS] or list(self._feeds)

    def _provider_of_chain(self) -> Provider:
        endpoint = self._settings.helius.ws
        if endpoint.is_loopback and self._plays is not None:
            return provider_named(self._plays)
        memory = Opens(endpoint, folder=None if endpoint.is_loopback else self._folder, waits=Waits())
        is_paid = memory.plan_allows_transactions() is True
        return provider_of(endpoint.host, is_loopback=endpoint.is_loopback, has_transaction_subscribe=is_paid)

    def _build_feeds(self) -> Iterable[Feed]:
        common: dict[str, Any] = {
            "connection": self._settings.connection,
            "deliver": self._deliver,
            "room": self._intake.room,
            "origin": self._origin,
            "folder": self._folder,
            "plays_provider": self._plays is not None,
        }
        if self._settings.pumpportal.enabled:
            yield PumpPortalFeed(settings=self._settings.pumpportal, **self._accounting(PUMPPORTAL), **common)
        if self._settings.helius.enabled:
            yield HeliusFeed(
                settings=self._settings.helius,
                provider=self._chain,
                pools=self._store.pools(most=_MOST_POOLS),
                **self._accounting(HELIUS),
                **common,
            )

    def _accounting(self, provider: str) -> dict[str, Any]:
        budget = self._budget
        return {
            "received": lambda size, paid: budget.received(provider, size, paid=paid),
            "connected": functools.partial(budget.connected, provider),
            "paid_allowed": functools.partial(budget.paid_allowed, provider),
        }

    # What connects the parts; called by their threads

    def _deliver(self, delivery: Delivery) -> bool:
        """From a feed: into the intake, and news to the watch list. False when there is no room."""
        if not self._intake.put(delivery):
            return False
        self._watchlist.notice(delivery.events, delivery.received_at_us)
        return True

    def _publish(self, wanted: Wanted) -> None:
        """From the watch list to the feeds."""
        for feed in self._feeds:
            feed.want(wanted)

    def _is_listening(self) -> bool:
        """Whether trades of admitted tokens would arrive now."""
        portal = self._settings.pumpportal
        buys_all = portal.has_key and portal.trades == "all"
        return any(feed.state().state == "connected" and (feed.source == HELIUS or buys_all) for feed in self._feeds)

    def _tell(self, *events: Event) -> bool:
        """Say something ourselves. False when there is no room."""
        return not events or self._intake.put(Delivery(source="pumpwatch", received_at_us=time.time_ns() // 1000, events=events))

    def _tell_usage(self) -> None:
        usage = self._budget.drain()
        if not self._tell(*usage):
            self._budget.give_back(usage)

    def _tell_covered(self) -> None:
        """Note how far each feed's data are stored, for the gap after a kill: told behind them, it is committed after them."""
        for feed in self._feeds:
            last = feed.state().last_data_at
            if last is not None and last != self._covered.get(feed.source):
                self._covered[feed.source] = last
                self._tell(Covered(feed=feed.source, until_us=int(last * 1_000_000)))

    # Start, watch, stop

    def _start(self) -> None:
        names = ", ".join(feed.source for feed in self._feeds) or "no feed"
        logger.info("pumpwatch {} records {} data into {} from {}", pumpwatch.__version__, self._origin, self._database, names)
        for line in projected_cost(self._settings, self._chain, self._budget, time.time()):
            logger.info("cost: {}", line)
        for thread in self._threads():
            thread.start()
        self._state = "running"

    def _watch(self, is_over: Callable[[], bool]) -> None:
        """Look at everything a few times a second, until it is time to stop."""
        while not is_over():
            self.turn(time.monotonic())
            for thread in self._threads():
                if not thread.is_alive():
                    raise thread.error or RuntimeError(f"the {thread.name} thread has ended by itself")
            time.sleep(_POLL_SECONDS)

    def turn(self, now: float) -> None:
        """
        One look: everything that is due at *now* (monotonic seconds).

        Raises:
            AllFeedsRefused: No feed is left that a server lets in.

        """
        if self._is_due("usage", now, _USAGE_SECONDS):
            self._tell_usage()
        if self._is_due("status", now, status_file.WRITTEN_EVERY_SECONDS):
            self._tell_covered()
            self._write_status()
        if self._is_due("heartbeat", now, _HEARTBEAT_SECONDS):
            self._log_heartbeat()
        if self._restart_gap is not None and all(feed.is_complete() for feed in self._feeds_of_trades()):
            gap = self._restart_gap
            self._tell(GapOpened(cause=gap.cause, from_us=gap.from_us, to_us=time.time_ns() // 1000))
            self._restart_gap = None
        states = [feed.state() for feed in self._feeds]
        if states and all(state.state == "refused" for state in states):
            reasons = "; ".join(f"{state.name}: {state.reason}" for state in states)
            raise AllFeedsRefused(f"every enabled feed was refused, nothing can be recorded: {reasons}")

    def _is_due(self, what: str, now: float, every_seconds: float) -> bool:
        if now < self._due.get(what, now):
            return False
        self._due[what] = now + every_seconds
        return True

    def _threads(self) -> tuple[WorkerThread, ...]:
        return (self._writer, self._watchlist, *self._feeds)

    def _stop(self) -> None:
        """Producers first: what they have put in is written before the writer goes. One deadline for all, not one each."""
        self._state = "stopping"
        self._write_status()
        logger.info("stopping")
        deadline, spill_after = Deadline(STOP_WITHIN_SECONDS), Deadline(SPILL_AFTER_SECONDS)
        for thread in (*self._feeds, self._watchlist):
            thread.stop()
        for thread in (*self._feeds, self._watchlist):
            thread.join(spill_after.left() / 2)
        self._tell_covered()
        self._tell_usage()
        self._writer.finish(spill_after)
        self._writer.join(max(0.0, deadline.left() - 0.5))
        if self._writer.is_alive():
            # It hangs in the disk or in a lock. What it does not store is stored at the next start; if it does after all, twice
            # the same changes nothing.
            self._intake.keep()
            logger.warning("{} messages wait in the spill file and are stored at the next start", self._intake.spilled)
        self._state = "stopped"
        self._write_status()
        logger.info("stopped: {} trades in {}", self._store.trades, self._database)

    # What others see

    def _write_status(self) -> None:
        self._status_file.write(
            Status(
                pid=os.getpid(),
                started_at=self._started_at,
                written_at=time.time(),
                version=pumpwatch.__version__,
                state=self._state,
                feeds={feed.source: _feed_status(feed) for feed in self._feeds},
                queue_depth=self._intake.depth,
                spilled=self._intake.spilled,
                last_commit_at=self._store.last_commit_at,
                trades=self._store.trades,
                watched=self._watchlist.watched(),
                gaps_open=self._store.gaps_open,
            )
        )

    def _write_early_status(self, state: str, *, reason: str | None = None) -> None:
        """While there is no database yet, and nothing that needs one."""
        feeds = ((PUMPPORTAL, self._settings.pumpportal.enabled), (HELIUS, self._settings.helius.enabled))
        waiting = FeedStatus(state="waiting", since=self._started_at, reason=reason)
        self._status_file.write(
            Status(
                pid=os.getpid(),
                started_at=self._started_at,
                written_at=time.time(),
                version=pumpwatch.__version__,
                state=state,
                feeds={name: waiting for name, is_enabled in feeds if is_enabled and reason is not None},
            )
        )

    def _log_heartbeat(self) -> None:
        feeds = ", ".join(f"{state.name} {state.state} {state.messages} messages" for state in (f.state() for f in self._feeds))
        logger.info(
            "{} trades, {} watched, {} queued, {} spilled; {}",
            self._store.trades,
            self._watchlist.watched(),
            self._intake.depth,
            self._intake.spilled,
            feeds,
        )


def _feed_status(feed: Feed) -> FeedStatus:
    state = feed.state()
    return FeedStatus(
        state=state.state,
        since=state.since,
        last_data_at=state.last_data_at,
        messages=state.messages,
        trades=state.trades,
        reason=state.reason or None,
    )
