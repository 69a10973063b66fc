"""Which trades are too old, or too many, and who goes first: the oldest, a few at a time."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal, TypeAlias

import msgspec
import sqlalchemy as sa
from loguru import logger

from pumpwatch.storage import database
from pumpwatch.storage.baseline import Ask, asking
from pumpwatch.storage.pruning import Pruned, prune_token

_DAY_SECONDS: Final = 86_400
_HOUR_SECONDS: Final = 3600

#: Whatever the size of the file, trades of the last hour stay.
YOUNGEST_SECONDS: Final = 3600

#: What a step takes at most is bounded by its rows; how many they are follows from what a row has cost.
_AIM_SECONDS: Final = 0.012
_FEWEST_ROWS, _MOST_ROWS = 20, 1000
_FIRST_ROW_SECONDS: Final = 1e-4
_VACUUM_PAGES: Final = 250

#: After so many rows or pages the log is copied into the file: SQLite by itself would do it less often, for much longer.
_FLUSHED_ROWS: Final = 400

#: How far our clock may be ahead of the chain's, the newest trade's: one that is wrong by a year must not empty the record.
_CLOCK_AHEAD_SECONDS: Final = 86_400

#: With nothing left to do, the next look: also at what was blocked, which takes its time.
_REST_SECONDS: Final = 60.0

#: Rows of the index by time that one step goes over.
_PAGE: Final = 1000
_LOOK_ON: Final = -1

_OLDEST: Final = """
    SELECT block_time, token_id FROM trades WHERE block_time >= ? AND block_time < ? ORDER BY block_time LIMIT ?
"""
_OLDEST_SINCE: Final = "SELECT min(block_time) FROM trades WHERE block_time >= ?"
_NEWEST: Final = "SELECT max(block_time) FROM trades"

Step: TypeAlias = Literal["pruned", "looked", "flushed", "shrunk", "nothing"]


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
        self._lock = threading.Lock()
        #: Days, and the number of the question.
        self._asked: tuple[float, int] | None = None
        self._row_seconds = _FIRST_ROW_SECONDS
        self._unflushed = 0
        #: The round that goes on: up to when it has looked, up to which hour the size made it go, and whose turn is over: up to
        #: that hour, and altogether.
        self._from_time = 0
        self._reached = 0
        self._done: set[int] = set()
        self._blocked: set[int] = set()
        self._next_at = 0.0
        self._told_too_large = False
        self.tally = Tally()
        #: Tokens by the reason for which old trades of theirs had to stay, of the last whole round.
        self.stayed: dict[str, int] = {}

    @property
    def is_on(self) -> bool:
        """Whether anything is to go, ever."""
        return bool(self._trade_days or self._max_bytes or self._asked is not None)

    @property
    def is_asked(self) -> bool:
        """Whether what :meth:`ask` asked for is not done yet."""
        return self._asked is not None

    def ask(self, days: float) -> None:
        """Once, whatever the settings: trades older than so many days go. From any thread."""
        with self._lock:
            self._asked = (days, time.monotonic_ns())
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
        began = self._clock()
        with database.translated(self._path), self._engine.connect() as connection:
            did = self._step(connection, now_us)
        self.tally.steps += 1
        self.tally.longest_seconds = max(self.tally.longest_seconds, self._clock() - began)
        return did

    def _step(self, connection: sa.Connection, now_us: int) -> Step:
        ask = asking(connection)
        if self._unflushed >= _FLUSHED_ROWS:
            self._unflushed = 0
            ask("PRAGMA wal_checkpoint(PASSIVE)", ())
            return "flushed"
        asked, now = self._asked, now_us // 1_000_000
        by_age = self._by_age(now, _number(ask, _NEWEST), asked)
        is_large = bool(self._max_bytes) and self._used_bytes(ask) > self._max_bytes
        self._told_too_large = self._told_too_large and is_large
        horizon = max(by_age or 0, self._reached) if is_large else by_age
        if horizon:
            found = self._candidate(ask, horizon)
            if found == _LOOK_ON:
                return "looked"
            if found is not None:
                self._prune(connection, found, horizon, now_us)
                return "pruned"
        if is_large and self._go_on(ask, now, horizon or 0):
            return "looked"
        if self._shrink(connection):
            return "shrunk"
        self._rest(asked)
        return "nothing"

    def _by_age(self, now: int, newest: int, asked: tuple[float, int] | None) -> int | None:
        """
        Trades before this moment (unix seconds) go as they are too old; None: none do.

        Of the settings' days the clock may be wrong; who asks is shown the date.
        """
        moments = []
        if self._trade_days:
            moment = int(min(now, newest + _CLOCK_AHEAD_SECONDS) - self._trade_days * _DAY_SECONDS)
            # Not a minute of each token every minute: whole hours are cheaper.
            moments.append(moment // _HOUR_SECONDS * _HOUR_SECONDS if self._trade_days >= 1 else moment)
        if asked is not None:
            moments.append(int(now - asked[0] * _DAY_SECONDS))
        return max(moments, default=None)

    def _go_on(self, ask: Ask, now: int, horizon: int) -> bool:
        """The file is too large, and all of before *horizon* is gone, or may not go: on to the next hour that has a trade."""
        youngest = now - YOUNGEST_SECONDS
        oldest = next(iter(ask(_OLDEST_SINCE, (horizon,))))[0] if horizon < youngest else None
        if oldest is None or oldest >= youngest:
            self._say_too_large()
            return False
        self._reached = min(youngest, (oldest // _HOUR_SECONDS + 1) * _HOUR_SECONDS)
        self._from_time = 0 if horizon == 0 else horizon
        self._done.clear()
        return True

    def _candidate(self, ask: Ask, horizon: int) -> int | None:
        """The token with the oldest trade that may go, as far as is known. None: there is none; -1: look on from where it was."""
        looked = 0
        for at, token_id in ask(_OLDEST, (self._from_time, horizon, _PAGE)):
            if token_id not in self._done and token_id not in self._blocked:
                self._from_time = at
                return int(token_id)
            looked += 1
        if looked < _PAGE:
            return None
        self._from_time = max(at, self._from_time + 1)
        return _LOOK_ON

    def _prune(self, connection: sa.Connection, first: int, horizon: int, now_us: int) -> None:
        """The tokens with the oldest trades, from *first* on, as many as fit into a step."""
        began = self._clock()
        most = max(_FEWEST_ROWS, min(_MOST_ROWS, int(_AIM_SECONDS / self._row_seconds)))
        rows = 0
        token_id: int | None = first
        ask = asking(connection)
        with connection.begin():
            while token_id is not None and token_id != _LOOK_ON:
                pruned = prune_token(connection, token_id, before=horizon, rows=most - rows, now_us=now_us)
                self._note(token_id, pruned)
                rows += pruned.rows
                if rows + _FEWEST_ROWS > most or self._clock() - began > _AIM_SECONDS / 2:
                    break
                token_id = self._candidate(ask, horizon)
        self._unflushed += rows
        if rows >= _FEWEST_ROWS:
            cost = (self._clock() - began) / rows
            self._row_seconds = max(cost, 0.9 * self._row_seconds + 0.1 * cost)

    def _note(self, token_id: int, pruned: Pruned) -> None:
        self.tally.rows += pruned.rows
        if pruned.blocked is not None:
            self._blocked.add(token_id)
            self.tally.blocked[pruned.blocked] = self.tally.blocked.get(pruned.blocked, 0) + 1
        elif pruned.is_done:
            self._done.add(token_id)

    def _shrink(self, connection: sa.Connection) -> int:
        """Give pages back to the disk. Return how many."""
        ask = asking(connection)
        before = _number(ask, "PRAGMA freelist_count")
        if not before:
            return 0
        driver = connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        # Not execute(), which would take one step, and each step frees one page.
        driver.executescript(f"PRAGMA incremental_vacuum({_VACUUM_PAGES})")
        freed = before - _number(ask, "PRAGMA freelist_count")
        self.tally.pages_freed += freed
        self._unflushed += freed
        return freed

    def _rest(self, asked: tuple[float, int] | None) -> None:
        """Everything that may go is gone: look again later, also at what was blocked."""
        with self._lock:
            if self._asked == asked:
                self._asked = None
                self._next_at = self._clock() + self._rest_seconds
        self._from_time = self._reached = 0
        self._done.clear()
        self._blocked.clear()
        if self.tally.blocked and self.tally.blocked != self.stayed:
            reasons = ", ".join(f"{count} tokens: {reason}" for reason, count in self.tally.blocked.items())
            logger.info("old trades stay for now: {}", reasons)
        self.stayed, self.tally.blocked = self.tally.blocked, {}

    def _used_bytes(self, ask: Ask) -> int:
        pages, free, size = (_number(ask, f"PRAGMA {what}") for what in ("page_count", "freelist_count", "page_size"))
        return (pages - free) * size

    def _say_too_large(self) -> None:
        if not self._told_too_large:
            self._told_too_large = True
            logger.warning(
                "{} is larger than [retention] max_database_gb, and has no trade older than an hour that may go: raise it, or "
                "watch fewer tokens",
                self._path,
            )


def _number(ask: Ask, statement: str) -> int:
    return int(next(iter(ask(statement, ())))[0] or 0)
