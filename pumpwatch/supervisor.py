"""
Read this first: what pumpwatch is made of, how it starts, how it is watched, how it stops.

    PumpPortal feed ─┐                      ┌─> watch list ──> wanted ──> both feeds
                     ├─> deliver ─> intake ─┤
    Helius feed ─────┘   (queue and spill)  └─> writer ──> SQLite ──┐
                              ^                                     │ open gaps, watched tokens
                              └──────────── backfill <──────────────┘

Data moves one way. ``building.py`` makes the parts and connects them. The main thread polls: a thread that dies, or a signal,
stops everything, in the order of the flow.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from loguru import logger

import pumpwatch
from pumpwatch import status as status_file
from pumpwatch.alerts.watching import Alerts
from pumpwatch.budget import HELIUS, PUMPPORTAL, projected_cost
from pumpwatch.building import Parts
from pumpwatch.config import Settings
from pumpwatch.errors import AllFeedsRefused, DatabaseBusy, StopError
from pumpwatch.events import Covered, GapOpened, RunEnded, RunStarted
from pumpwatch.measuring import Measuring
from pumpwatch.memory import give_back
from pumpwatch.metrics_server import MetricsServer
from pumpwatch.notify import Notifier
from pumpwatch.reporting import heartbeat, status_of
from pumpwatch.session_writer import Recording
from pumpwatch.status import FeedStatus, Status, StatusFile, StatusUnreadable
from pumpwatch.storage.lock import WriterLock
from pumpwatch.storage.store import Store
from pumpwatch.telemetry import visible
from pumpwatch.threads import Deadline, Pulse, WorkerThread
from pumpwatch.watchdog import EXIT_STATUS as STUCK_STATUS
from pumpwatch.watchdog import Watchdog

#: A stop takes no longer, whatever hangs; what is not committed when SPILL_AFTER_SECONDS have passed goes to the spill.
STOP_WITHIN_SECONDS = 5.0
SPILL_AFTER_SECONDS = 4.0

_POLL_SECONDS = 0.1
_START_WAITS_SECONDS = 0.5
_USAGE_SECONDS = 10.0
_HEARTBEAT_SECONDS = 60.0
_MEMORY_SECONDS = 10.0


class Supervisor:
    """
    Builds the recorder, starts it, watches it and stops it. The only place that knows every part.

    Args:
        origin: Of the data: ``mainnet``, or ``simulator`` for the built-in one.
        provider: The loopback server plays this provider: its limits hold, and its rules for opening connections.
        folder: Where the memory of servers is kept.
        record: Where the raw messages of the feeds go; None: they are not kept.
        end: Ends the process when something in it is stuck; None: nobody looks (where a process is more than this).

    """

    def __init__(
        self,
        settings: Settings,
        *,
        folder: Path,
        origin: str = "mainnet",
        provider: str | None = None,
        record: Recording | None = None,
        end: Callable[[int], object] | None = None,
    ) -> None:
        self._settings = settings
        self._origin = origin
        self._plays = provider
        self._folder = folder
        self._record = record
        self._end = end
        self._notifier = Notifier()
        self._pulse = Pulse("main")
        self._database = settings.pumpwatch.database
        self._lock = WriterLock(self._database)
        self._status_file = StatusFile(status_file.path_of(self._database))
        self._started_at = time.time()
        self._state = "starting"
        #: What the status file says, or would if it could be written: /health says the same.
        self._told: Status | None = None
        #: Monotonic seconds at which something is to be done next.
        self._due = {"heartbeat": time.monotonic() + _HEARTBEAT_SECONDS}
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
            before = self._end_before()
            store = self._open_store(is_over)
            if store is None:
                return 0
            try:
                self._build(store, before)
            except BaseException:
                store.close()
                raise
            self._start()
            failure: BaseException | None = None
            try:
                self._watch(is_over)
            except BaseException as error:
                failure = error
                raise
            finally:
                self._stop(failure)
        for thread in self._threads:
            if thread.error is not None:
                raise thread.error
        return 0

    def _build(self, store: Store, before: dict[str, Any]) -> None:
        settings = self._settings
        self._parts = parts = Parts(
            settings, store, folder=self._folder, origin=self._origin, plays=self._plays, record=self._record
        )
        metrics = [self._build_metrics()] if settings.metrics.port else []
        alerts = [self._build_alerts(store)] if settings.alerts.enabled else []
        takers = (*(judge.take for judge in alerts), *(server.take for server in metrics))
        self._measuring = Measuring(
            parts, database=self._database, origin=self._origin, queue_size=settings.writer.queue_size, takers=takers
        )
        self._alerts = alerts
        senders = (receiver for judge in alerts if judge.sender is not None for receiver in judge.sender.receivers)
        self._observers: tuple[WorkerThread, ...] = (self._measuring, *alerts, *senders, *metrics)
        self._threads = (*parts.threads, *self._observers)
        self._watchdog = Watchdog(
            lambda: (self._pulse, *(thread.pulse for thread in self._threads if thread.is_alive())),
            stuck_after_seconds=settings.pumpwatch.stuck_after_seconds,
            on_stuck=self._write_stuck,
            alive=self._notifier.alive,
            end=self._end or (lambda _status: None),
        )
        started = RunStarted(
            started_at_us=int(self._started_at * 1_000_000), pid=os.getpid(), version=pumpwatch.__version__, **before
        )
        parts.tell(started)

    def _build_alerts(self, store: Store) -> Alerts:
        settings = self._settings
        return Alerts(
            settings.alerts,
            database=self._database,
            tell=self._parts.tell,
            wallets=self._parts.watchlist.wallets,
            adopted=store.open_alerts(),
        )

    def _build_metrics(self) -> MetricsServer:
        settings = self._settings.metrics

        def health() -> list[str]:
            return ["the worker is starting"] if self._told is None else status_file.problems(self._told, time.time())

        return MetricsServer(port=settings.port, hosts=settings.hosts, health=health)

    def _end_before(self) -> dict[str, Any]:
        """What the status file says of the end of the worker before this one, if that could not say so in the database."""
        try:
            last = status_file.read(self._status_file.path)
        except StatusUnreadable:
            return {}
        if last is None:
            return {}
        ended = {"before_ended_at_us": int(max(last.written_at, last.last_commit_at or 0.0) * 1_000_000)}
        if last.state == "stuck":
            return {**ended, "before_exit_status": STUCK_STATUS, "before_reason": f"stuck: {last.reason}"}
        return ended

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
                    break_grace_seconds=self._settings.backfill.break_grace_seconds,
                    everything=self._settings.helius.scope == "all",
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

    def _tell_covered(self) -> None:
        """Note how far each feed's data are stored, for the gap after a kill: told behind them, it is committed after them."""
        for feed in self._parts.feeds:
            last = feed.state().last_data_at
            if last is not None and last != self._covered.get(feed.source):
                self._covered[feed.source] = last
                self._parts.tell(Covered(feed=feed.source, until_us=int(last * 1_000_000)))

    # Start, watch, stop

    def _start(self) -> None:
        parts = self._parts
        names = ", ".join(feed.source for feed in parts.feeds) or "no feed"
        logger.info("pumpwatch {} records {} data into {} from {}", pumpwatch.__version__, self._origin, self._database, names)
        for line in projected_cost(self._settings, parts.chain, parts.budget, time.time()):
            logger.info("cost: {}", line)
        if parts.session is not None and self._record is not None:
            logger.info("raw messages go to {}, {} MB at most", self._record.folder, self._record.megabytes)
            parts.session.start()
        for thread in self._threads:
            thread.start()
        if self._end is not None:
            self._watchdog.start()
        self._state = "running"
        self._notifier.ready()

    def _watch(self, is_over: Callable[[], bool]) -> None:
        """Look at everything a few times a second, until it is time to stop."""
        while not is_over():
            self._pulse.beat()
            self.turn(time.monotonic())
            for thread in self._threads:
                if not thread.is_alive():
                    raise thread.error or RuntimeError(f"the {thread.name} thread has ended by itself")
            time.sleep(_POLL_SECONDS)

    def turn(self, now: float) -> None:
        """
        One look: everything that is due at *now* (monotonic seconds).

        Raises:
            AllFeedsRefused: No feed is left that a server lets in.

        """
        parts = self._parts
        if self._is_due("usage", now, _USAGE_SECONDS):
            parts.tell_usage()
        if self._is_due("status", now, status_file.WRITTEN_EVERY_SECONDS):
            self._tell_covered()
            self._write_status()
        if self._is_due("memory", now, _MEMORY_SECONDS):
            give_back()
        if self._is_due("heartbeat", now, _HEARTBEAT_SECONDS):
            line = heartbeat(self._parts)
            logger.info("{}", line)
            self._notifier.status(line)
        gap = parts.restart_gap
        if gap is not None and all(feed.is_complete() for feed in parts.feeds_of_trades()):
            # The clock may have been set since, or was wrong when the last data came: the longer stretch holds all of it.
            to_us = max(time.time_ns() // 1000, parts.restart_gap_until_us)
            parts.tell(GapOpened(cause=gap.cause, from_us=gap.from_us, to_us=to_us))
            parts.restart_gap = None
        states = [feed.state() for feed in parts.feeds]
        if states and all(state.state == "refused" and not state.is_open for state in states):
            reasons = "; ".join(f"{state.name}: {state.reason}" for state in states)
            raise AllFeedsRefused(f"every enabled feed was refused, nothing can be recorded: {reasons}")

    def _is_due(self, what: str, now: float, every_seconds: float) -> bool:
        if now < self._due.get(what, now):
            return False
        self._due[what] = now + every_seconds
        return True

    def _stop(self, failure: BaseException | None) -> None:
        """Producers first: what they have put in is written before the writer goes. One deadline for all, not one each."""
        parts = self._parts
        self._state = "stopping"
        self._notifier.stopping()
        self._pulse.beat()
        self._write_status()
        logger.info("stopping")
        if failure is not None:
            for judge in self._alerts:
                judge.say_end(self._ended(failure).reason, time.time())
        deadline, spill_after = Deadline(STOP_WITHIN_SECONDS), Deadline(SPILL_AFTER_SECONDS)
        producers = (*parts.producers, *self._observers)
        for thread in producers:
            thread.stop()
        for thread in producers:
            thread.join(spill_after.left() / 2)
        if parts.session is not None:
            parts.session.stop()
        self._tell_covered()
        parts.tell_usage()
        ended = self._ended(failure)
        parts.tell(ended)
        parts.writer.finish(spill_after)
        parts.writer.join(max(0.0, deadline.left() - 0.5))
        if parts.writer.is_alive():
            # It hangs in the disk or in a lock. What it does not store is stored at the next start; if it does after all, twice
            # the same changes nothing.
            parts.intake.keep()
            logger.warning("{} messages wait in the spill file and are stored at the next start", parts.intake.spilled)
        if parts.session is not None:
            parts.session.join(deadline.left())
        self._state = "stopped"
        self._write_status(reason=None if failure is None else ended.reason)
        self._watchdog.stop()
        logger.info("stopped: {} trades in {}", parts.store.trades, self._database)

    def _ended(self, failure: BaseException | None) -> RunEnded:
        """How this run ends, for its row. *failure* None: as asked."""
        status, reason = 0, "stopped as asked"
        if isinstance(failure, StopError):
            status, reason = failure.exit_status, visible(failure, limit=500)
        elif failure is not None:
            status, reason = STUCK_STATUS, f"a defect: {type(failure).__name__}"
        return RunEnded(
            started_at_us=int(self._started_at * 1_000_000), ended_at_us=time.time_ns() // 1000, exit_status=status, reason=reason
        )

    # What others see

    def _write_stuck(self, reason: str) -> None:
        """The last words, from the watchdog: nothing that may hang is asked."""
        self._state = "stuck"
        self._status_file.write(
            Status(
                pid=os.getpid(),
                started_at=self._started_at,
                written_at=time.time(),
                version=pumpwatch.__version__,
                state="stuck",
                reason=reason,
                feeds={},
                last_commit_at=self._parts.store.last_commit_at,
            )
        )

    def _write_status(self, *, reason: str | None = None) -> None:
        if self._state == "stuck":
            return
        self._told = status_of(self._parts, state=self._state, started_at=self._started_at, reason=reason)
        self._status_file.write(self._told)

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
