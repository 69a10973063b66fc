"""The thread that measures the worker: takes its vitals every two seconds and shows them to whoever wants them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from loguru import logger

import pumpwatch
from pumpwatch.building import Parts
from pumpwatch.errors import DatabaseBusy
from pumpwatch.feeds.feed import Feed
from pumpwatch.files import free_bytes, size_of
from pumpwatch.storage.census import Census
from pumpwatch.threads import WorkerThread
from pumpwatch.vitals import FeedVitals, Vitals

EVERY_SECONDS: Final = 2.0

#: What must be asked of the database is asked less often.
_CENSUS_SECONDS: Final = 10.0

#: Too long for a look at a few tables: it is said, once a minute at most.
_SLOW_SECONDS: Final = 2.0


class Measuring(WorkerThread):
    """
    Measures *parts*, and shows each measurement to the *takers*, on this thread: they must be quick, and must not raise.

    Args:
        queue_size: The most deliveries that wait in memory.

    """

    def __init__(
        self, parts: Parts, *, database: Path, origin: str, queue_size: int, takers: Sequence[Callable[[Vitals], None]] = ()
    ) -> None:
        super().__init__("measuring")
        self._parts = parts
        self._database = database
        self._origin = origin
        self._queue_size = queue_size
        self._takers = takers
        self._started_at = time.time()
        self._trades_before = parts.store.trades
        self._census: Census | None = None
        self._counted = Census.NOTHING
        self._census_due = 0.0

    def work(self) -> None:
        try:
            while not self.stopping.is_set():
                self.pulse.beat()
                self.turn()
                self.stopping.wait(EVERY_SECONDS)
        finally:
            if self._census is not None:
                self._census.close()

    def turn(self) -> None:
        """Measure once."""
        vitals = self.take(time.time())
        for taker in self._takers:
            taker(vitals)

    def take(self, now: float) -> Vitals:
        """All that is measured at unix time *now*."""
        self._look_into_database()
        parts, counted = self._parts, self._counted
        free = free_bytes(self._database)
        parts.shedding.turn(time.monotonic(), free)
        backfill = None if parts.backfill is None else parts.backfill.state()
        alarm = parts.drift.alarm
        timings = parts.writer.timings
        return Vitals(
            at=now,
            started_at=self._started_at,
            version=pumpwatch.__version__,
            origin=self._origin,
            feeds=tuple(_feed(feed) for feed in parts.feeds),
            queue_depth=parts.intake.depth,
            queue_size=self._queue_size,
            spilled=parts.intake.spilled,
            trades=parts.store.trades,
            trades_stored_total=max(0, parts.store.trades - self._trades_before),
            watched=parts.watchlist.watched(),
            unread_total=parts.store.set_aside.snapshot(),
            not_ours_total=parts.store.passed_over.snapshot(),
            last_commit_at=parts.store.last_commit_at,
            commits_total=timings.commits,
            commit_seconds_total=timings.seconds,
            commit_seconds_longest=timings.longest(),
            lock_retries_total=parts.writer.retries,
            database_trouble=parts.writer.trouble,
            lag_seconds=timings.lag_seconds(),
            gaps_open=counted.gaps_open,
            gap_oldest_at=counted.gap_oldest_at,
            gaps_closed_total=counted.gaps_closed,
            completeness=counted.completeness,
            backfill_state=None if backfill is None else backfill.state,
            backfill_reason=None if backfill is None else backfill.reason,
            backfill_requests_total=None if backfill is None else backfill.requests,
            backfill_transactions_total=None if backfill is None else backfill.fetched,
            costs=parts.budget.costs(now),
            database_bytes=size_of(self._database),
            wal_bytes=size_of(self._database.with_name(f"{self._database.name}-wal")),
            disk_free_bytes=free,
            shed=parts.shedding.shed,
            database_growth_bytes_per_day=counted.growth_bytes_per_day,
            alarm=None if alarm is None else alarm.text,
        )

    def _look_into_database(self) -> None:
        began = time.monotonic()
        if began < self._census_due:
            return
        self._census_due = began + _CENSUS_SECONDS
        try:
            if self._census is None:
                self._census = Census(self._database)
            self._counted = self._census.take(since_us=int(self._started_at * 1_000_000))
        except DatabaseBusy as error:
            logger.debug("measuring: the record cannot be read now: {}", error)
        took = time.monotonic() - began
        if took > _SLOW_SECONDS:
            self._census_due += 30 * took  # a large file on a slow disk: measured less often
            logger.debug("measuring: counting took {:.1f} s", took)


def _feed(feed: Feed) -> FeedVitals:
    state = feed.state()
    return FeedVitals(
        name=state.name,
        state=state.state,
        since=state.since,
        last_data_at=state.last_data_at,
        reason=state.reason,
        connects_total=state.connects,
        drops_total=dict(state.drops),
        failed_connects_total=dict(state.failed_connects),
        messages_total=state.messages,
        trades_total=state.trades,
    )
