"""Which trades are too old, or too many, and who goes first: the oldest, a few at a time."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal, TypeAlias

import msgspec
import sqlalchemy as sa
from loguru import logger

from pumpwatch.storage import database
from pumpwatch.storage.pruning import Pruned, prune_token

_DAY_SECONDS: Final = 86_400

#: Whatever the size of the file, trades of the last hour stay.
YOUNGEST_SECONDS: Final = 3600

#: What a step takes at most is bounded by its rows; how many they are follows from how long the last step took.
_AIM_SECONDS: Final = 0.02
_FEWEST_ROWS, _MOST_ROWS = 20, 1000
_VACUUM_PAGES: Final = 250

#: With nothing left to do, the next look; and when something was blocked, which takes its time.
_REST_SECONDS: Final = 60.0
_PAGE: Final = 100

_OLDEST: Final = """
    SELECT block_time, token_id FROM trades WHERE block_time >= ? AND block_time < ? ORDER BY block_time LIMIT ?
"""
_OLDEST_OF_ALL: Final = "SELECT min(block_time) FROM trades"

Step: TypeAlias = Literal["pruned", "shrunk", "nothing"]


class Tally(msgspec.Struct):
    """
    What was done since the start.

    Attributes:
        blocked: Tokens by the reason for which old trades of theirs had to stay, of this round.
    """

    rows: int = 0
    steps: int = 0
    longest_seconds: float = 0.0
    pages_freed: int = 0
    blocked: dict[str, int] = {}


class Pruner:
    """
    Takes old trades out of one database, step by step; used by the thread that writes.

    Args:
        trade_days: Older trades go; 0 = none.
        max_bytes: Above this size the oldest go as well; 0 = no limit.

    """

    def __init__(
        self,
        engine: sa.Engine,
        path: Path,
        *,
        trade_days: float,
        max_bytes: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._path = path
        self._trade_days = trade_days
        self._max_bytes = max_bytes
        self._clock = clock
        self._rest_seconds = min(_REST_SECONDS, trade_days * _DAY_SECONDS / 4) if trade_days else _REST_SECONDS
        self._asked_days: float | None = None
        self._rows = 200
        self._from_time = 0
        self._blocked: set[int] = set()
        self._next_at = 0.0
        self._is_too_large = False
        self.tally = Tally()

    @property
    def is_on(self) -> bool:
        """Whether anything is to go, ever."""
        return bool(self._trade_days or self._max_bytes or self._asked_days is not None)

    def ask(self, days: float) -> None:
        """Once, whatever the settings: trades older than so many days go. From any thread."""
        self._asked_days = days
        self._next_at = 0.0

    def is_due(self) -> bool:
        """Whether :meth:`step` has something to do, as far as is known."""
        return self.is_on and self._clock() >= self._next_at

    def step(self, *, now_us: int) -> Step:
        """
        Do one small thing, in a transaction of its own.

        Raises:
            DatabaseBusy: Try again later.

        """
        with database.translated(self._path):
            horizon = self._horizon(now_us // 1_000_000)
            token_id = None if horizon is None else self._candidate(horizon)
            if horizon is not None and token_id is not None:
                self._prune(token_id, horizon, now_us)
                return "pruned"
            freed = self._shrink()
        if freed:
            return "shrunk"
        self._rest()
        return "nothing"

    def _horizon(self, now: int) -> int | None:
        """Trades before this moment (unix seconds) go; None: none do."""
        days = [each for each in (self._trade_days or None, self._asked_days) if each is not None]
        horizon = int(now - min(days) * _DAY_SECONDS) if days else None
        if self._max_bytes and self._used_bytes() > self._max_bytes:
            with self._engine.connect() as connection:
                oldest = connection.exec_driver_sql(_OLDEST_OF_ALL).scalar()
            youngest = now - YOUNGEST_SECONDS
            if oldest is None or oldest >= youngest:
                self._say_too_large()
                return horizon
            hour_behind = (oldest // 3600 + 1) * 3600
            horizon = max(horizon or 0, min(youngest, hour_behind))
        return horizon

    def _candidate(self, horizon: int) -> int | None:
        """The token with the oldest trade that may go, as far as is known."""
        while True:
            with self._engine.connect() as connection:
                found = connection.exec_driver_sql(_OLDEST, (self._from_time, horizon, _PAGE)).all()
            for _, token_id in found:
                if token_id not in self._blocked:
                    return int(token_id)
            if len(found) < _PAGE:
                return None
            self._from_time = max(found[-1][0], self._from_time + 1)

    def _prune(self, token_id: int, horizon: int, now_us: int) -> None:
        began = self._clock()
        with self._engine.begin() as connection:
            pruned = prune_token(connection, token_id, before=horizon, rows=self._rows, now_us=now_us)
        self._note(token_id, pruned, self._clock() - began)

    def _note(self, token_id: int, pruned: Pruned, seconds: float) -> None:
        self.tally.rows += pruned.rows
        self.tally.steps += 1
        self.tally.longest_seconds = max(self.tally.longest_seconds, seconds)
        if pruned.rows:
            share = _AIM_SECONDS / max(seconds, 0.001)
            self._rows = max(_FEWEST_ROWS, min(_MOST_ROWS, int(self._rows * min(2.0, max(0.25, share)))))
        if pruned.is_done:
            # What is left of it that is old enough may not go, or lies in the minute of the horizon.
            self._blocked.add(token_id)
        if pruned.blocked is not None:
            self.tally.blocked[pruned.blocked] = self.tally.blocked.get(pruned.blocked, 0) + 1

    def _shrink(self) -> int:
        """Give pages back to the disk. Return how many."""
        with self._engine.connect() as connection:
            before = int(connection.exec_driver_sql("PRAGMA freelist_count").scalar_one())
            if not before:
                return 0
            driver = connection.connection.driver_connection
            assert isinstance(driver, sqlite3.Connection)
            driver.executescript(f"PRAGMA incremental_vacuum({_VACUUM_PAGES})")
            freed = before - int(connection.exec_driver_sql("PRAGMA freelist_count").scalar_one())
        self.tally.pages_freed += freed
        return freed

    def _rest(self) -> None:
        """Everything that may go is gone: look again later, also at what was blocked."""
        self._next_at = self._clock() + self._rest_seconds
        self._asked_days = None
        self._from_time = 0
        self._blocked.clear()
        if self.tally.blocked:
            reasons = ", ".join(f"{count} tokens: {reason}" for reason, count in self.tally.blocked.items())
            logger.info("old trades stay for now: {}", reasons)
        self.tally.blocked = {}

    def _used_bytes(self) -> int:
        with self._engine.connect() as connection:
            pages, free, size = (
                int(connection.exec_driver_sql(f"PRAGMA {what}").scalar_one())
                for what in ("page_count", "freelist_count", "page_size")
            )
        return (pages - free) * size

    def _say_too_large(self) -> None:
        if not self._is_too_large:
            self._is_too_large = True
            logger.warning(
                "{} is larger than [retention] max_database_gb, and holds no trade older than an hour: raise it, or watch fewer "
                "tokens",
                self._path,
            )
