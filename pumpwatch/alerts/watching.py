"""The thread that judges: each measurement of the worker by the operational rules, each new trade by those of the market."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Final

import msgspec
from loguru import logger

from pumpwatch.alerts.book import Book, Rationing
from pumpwatch.alerts.market import Market
from pumpwatch.alerts.rules import Rules
from pumpwatch.alerts.sending import NoSender, Sender
from pumpwatch.config import AlertsSettings
from pumpwatch.errors import DatabaseBusy
from pumpwatch.events import AlertRaised, AlertResolved, Event
from pumpwatch.storage.alerts import AlertRow, raised_again
from pumpwatch.storage.newest import Newest
from pumpwatch.telemetry import visible
from pumpwatch.threads import WorkerThread
from pumpwatch.vitals import Vitals

_LOOK_SECONDS: Final = 1.0
_MOST_UNTOLD: Final = 1000
_LEVELS: Final = {"info": "INFO", "warning": "WARNING", "critical": "ERROR"}


class Alerts(WorkerThread):
    """
    Judges, logs, tells the record and has it sent.

    Args:
        tell: Takes events for the database; False: there is no room now.
        wallets: Says which are watched now.
        adopted: Alerts that an earlier run left open. Those that reached nobody are sent by this one.

    Attributes:
        sender: Its threads are to be started and stopped with this one; None: there is nobody to send to.
    """

    def __init__(
        self,
        settings: AlertsSettings,
        *,
        database: Path,
        tell: Callable[..., bool],
        wallets: Callable[[], Collection[str]] = frozenset,
        adopted: Sequence[AlertRow] = (),
    ) -> None:
        super().__init__("alerts")
        self._settings = settings
        self._database = database
        self._tell = tell
        self._rules = Rules(settings)
        open_before = ((alert.rule, alert.subject, alert.raised_at_us) for alert in adopted)
        self._book = Book(cooldown_seconds=settings.cooldown_minutes * 60, adopted=open_before)
        self._market = Market(settings, wallets=wallets)
        self._rationing = Rationing(settings.most_per_hour)
        self._newest: Newest | None = None
        self._vitals: Vitals | None = None
        self._woken = threading.Event()
        #: Events that found no room in the intake: offered again, the oldest go beyond a bound.
        self._untold: list[Event] = []
        self._lock = threading.Lock()
        self.sender = self._make_sender()
        if self.sender is not None:
            for alert in adopted:
                if alert.sent in ("pending", "failed"):
                    self.sender.put(raised_again(alert))

    def _make_sender(self) -> Sender | None:
        if not self._settings.urls:
            return None
        try:
            return Sender(self._settings.urls, tell=self._keep)
        except NoSender as error:
            logger.error("alerts are not sent: {}", error)
            return None

    def take(self, vitals: Vitals) -> None:
        """The newest measurement. From any thread, never blocks."""
        self._vitals = vitals
        self._woken.set()

    def stop(self) -> None:
        super().stop()
        self._woken.set()

    def say_end(self, reason: str, wall_seconds: float) -> None:
        """The worker ends, for a *reason* that nobody asked for. From any thread; it is over when the next one has started."""
        alert = AlertRaised(
            rule="worker ended",
            subject="",
            severity="critical",
            raised_at_us=int(wall_seconds * 1_000_000),
            text=f"the worker has ended, nothing is recorded: {reason}",
        )
        logger.error("alert: {}: {}", alert.rule, alert.text)
        self._pass_on(alert)
        self._keep()

    def work(self) -> None:
        try:
            while not self.stopping.is_set():
                self.pulse.beat()
                self._woken.wait(_LOOK_SECONDS)
                self._woken.clear()
                self.turn(time.monotonic(), time.time())
        finally:
            if self._newest is not None:
                self._newest.close()
            self._keep()

    def turn(self, now: float, wall_seconds: float) -> None:
        """One look at what is new (*now*: monotonic seconds; *wall_seconds*: unix)."""
        now_us = int(wall_seconds * 1_000_000)
        vitals, self._vitals = self._vitals, None
        if vitals is not None:
            raised, resolved = self._book.update(self._rules.judge(vitals, now), now=now, now_us=now_us)
            for alert in raised:
                logger.log(_LEVELS[alert.severity], "alert: {}: {}", alert.rule, alert.text)
                self._pass_on(alert)
            for over in resolved:
                logger.info("alert {}", over.text)
                self._pass_on(over)
        if self._market.is_on:
            self._look_at_market(now, wall_seconds, now_us)
        self._keep()

    def _look_at_market(self, now: float, wall_seconds: float, now_us: int) -> None:
        try:
            if self._newest is None:
                self._newest = Newest(self._database)
            news = self._newest.take()
        except DatabaseBusy as error:
            logger.debug("alerts: the record cannot be read now: {}", error)
            return
        if news.left_out:
            logger.warning("alerts: {} trades were not looked at, there were too many at once", news.left_out)
        for found in self._market.judge(news.trades, news.tokens, now=wall_seconds, now_us=now_us):
            alert = self._rationing.admit(found, now)
            if alert is not None:
                logger.info("alert: {}: {}", alert.rule, visible(alert.text, limit=500))
                self._pass_on(alert)

    def _pass_on(self, alert: AlertRaised | AlertResolved) -> None:
        if isinstance(alert, AlertRaised):
            alert = msgspec.structs.replace(alert, to_send=self.sender is not None)
        with self._lock:
            self._untold.append(alert)  # before what becomes of it, which the sender may tell at once
        if self.sender is not None:
            self.sender.put(alert)

    def _keep(self, *events: Event) -> None:
        """Tell what has happened; what finds no room is told with the next. From the senders' threads too."""
        with self._lock:
            self._untold.extend(events)
            if self._untold and self._tell(*self._untold):
                self._untold.clear()
            del self._untold[:-_MOST_UNTOLD]
