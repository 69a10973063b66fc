"""A record with a real store behind a real intake, beside a simulator whose feeds nobody listens to: all must come by HTTP."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pumpwatch.backfill.backfill import Backfill, ChainFeed
from pumpwatch.backfill.rpc import Rpc
from pumpwatch.config import BackfillSettings, Endpoint
from pumpwatch.events import Delivery, Event, SpellStarted
from pumpwatch.simulator.simulator import Simulator
from pumpwatch.storage.intake import Intake
from pumpwatch.storage.store import Store


class Record:
    """A database that a test writes to batch by batch, with the thread's own steps done by hand."""

    def __init__(self, folder: Path, simulator: Simulator, **settings: Any) -> None:
        self.simulator = simulator
        self.path = folder / "pumpwatch.db"
        self.store = Store.open(self.path, origin="simulator", break_grace_seconds=0.0)
        self.intake = Intake(folder / "spill", queue_size=10_000, spill_bytes=1 << 20, now_us=0)
        self.calls: list[str] = []
        self.feed: ChainFeed | None = None
        #: Added to the clock of the backfill thread.
        self.ahead_seconds = 0.0
        self._settings = settings
        self._backfills: list[Backfill] = []

    def backfill(self, **named: Any) -> Backfill:
        def connect(stopping: threading.Event, count: Callable[[str, int], None]) -> Rpc:
            def called(method: str, number: int) -> None:
                count(method, number)
                self.calls.extend([method] * number)

            return Rpc(Endpoint.of(self.simulator.rpc_url), timeout_seconds=5, stopping=stopping, called=called, tries=2)

        made = Backfill(
            BackfillSettings(**self._settings),
            database=self.path,
            connect=connect,
            put=self.intake.put_backfill,
            feed=self.feed,
            clock=lambda: time.time() + self.ahead_seconds,
            **named,
        )
        self._backfills.append(made)
        return made

    def tell(self, *events: Event, source: str = "pumpwatch") -> None:
        """Store these at once."""
        self.store.apply([Delivery(source=source, received_at_us=time.time_ns() // 1000, events=events)])

    def watch(self, *mints: str) -> None:
        now_us = time.time_ns() // 1000
        self.tell(*(SpellStarted(kind="token", address=mint, reason="asked", at_us=now_us) for mint in mints))

    def settle(self) -> None:
        """Store what backfill has put, and let time judge."""
        while batch := self.intake.take(1000, timeout_seconds=0.0):
            self.store.apply(batch)
            self.intake.stored()
        self.store.look(now_us=time.time_ns() // 1000)

    def turn(self, backfill: Backfill, times: int = 1, *, step_seconds: float = 3.0) -> None:
        """So many turns, each *step_seconds* after the last by the thread's monotonic clock and by the chain's."""
        for _ in range(times):
            self._now = getattr(self, "_now", time.monotonic()) + step_seconds
            backfill.turn(self._now)
            self.settle()
            self.simulator.pass_time(step_seconds)

    def ask(self, query: str, *parameters: object) -> list[Any]:
        connection = sqlite3.connect(self.path)
        try:
            return connection.execute(query, parameters).fetchall()
        finally:
            connection.close()

    def close(self) -> None:
        for backfill in self._backfills:
            backfill.close()
        self.intake.close()
        self.store.close()
