"""The writing side of the database: batches of deliveries in, each in one transaction."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from loguru import logger
from sqlalchemy.exc import DataError, IntegrityError, InterfaceError, ProgrammingError

import pumpwatch
from pumpwatch.errors import DatabaseError
from pumpwatch.events import Delivery, GapOpened, PoolSeen, Rejected, SpellStarted, Usage
from pumpwatch.files import file_identity
from pumpwatch.storage import database, statements
from pumpwatch.storage.alerts import ALERT_COLUMNS, AlertRow, alert_rows
from pumpwatch.storage.chains import Chains
from pumpwatch.storage.figures import rebuild
from pumpwatch.storage.ids import Ids
from pumpwatch.storage.judging import Judging, Unsettled
from pumpwatch.storage.pruner import Pruner
from pumpwatch.storage.recent import RecentSignatures
from pumpwatch.storage.recording import Recording
from pumpwatch.storage.sizes import note_size
from pumpwatch.telemetry import Counters

#: A value that cannot be written raises one of these; SQLAlchemy does not wrap all of what the driver raises. An OperationalError
#: is about the file, or a defect of ours.
_POISON = (IntegrityError, DataError, InterfaceError, ProgrammingError, OverflowError, UnicodeError, ValueError, TypeError)

#: Pages given back to the disk with each :meth:`Store.prune`: 8 MB, some tens of milliseconds.
_VACUUM_PAGES = 2_000

_OPEN_GAPS = "SELECT count(*) FROM gaps WHERE state IN ('open', 'filling')"

#: Bounds of what is kept of messages that became no event: oldest out.
REJECTED_ROWS = 20_000
REJECTED_BYTES = 16 * 1024 * 1024
UNREAD_BYTES = 64 * 1024 * 1024
UNREAD_DAYS = 30

#: And of what is kept of closed gaps.
GAP_DAYS = 90
GAP_ROWS = 200_000

#: And of alerts and runs.
ALERT_ROWS: Final = 100_000
RUN_ROWS: Final = 10_000

#: And of the journal for those who follow the record: who is further behind is told that something is lost.
CHANGES_ROWS = 500_000


class Store:
    """
    The one writing connection. Whoever opens it holds the WriterLock; one thread at a time uses it.

    Attributes:
        trades: Rows in trade_log now.
        gaps_open: Gaps that nobody has closed.
        last_commit_at: Unix seconds of the last commit that stored something, None before the first.
        set_aside: By kind, since the start: what could not be read; *passed_over*: what is not recorded by design.
    """

    def __init__(self, engine: sa.Engine, path: Path, *, break_grace_seconds: float = 5.0, everything: bool = False) -> None:
        self._engine = engine
        self._path = path
        self._everything = everything
        self._grace_us = int(break_grace_seconds * 1_000_000)
        self._ids = Ids()
        self._recent = RecentSignatures()
        #: Told of each token whose record was judged: mint, trades, and breaks that outlived the grace. The writer's thread.
        self.on_judged: Callable[[str, int, int], None] = lambda _mint, _trades, _breaks: None
        self._chains = Chains()
        self._unsettled = Unsettled()
        self._file = file_identity(path)
        #: After a rollback the remembered ids may be wrong: they are read again with the next batch.
        self._stale = True
        self.trades = int(self._read("SELECT ifnull(sum(trades), 0) FROM tokens")[0][0])
        self.gaps_open = self._read(_OPEN_GAPS)[0][0]
        self.last_commit_at: float | None = None
        self.set_aside = Counters()
        self.passed_over = Counters()
        self._to_count: list[tuple[dict[str, int], dict[str, int]]] = []
        self._kept_since_prune = 0
        self._kept_bytes_since_prune = 0

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        origin: str,
        busy_timeout_seconds: float = 5.0,
        synchronous: str = "normal",
        break_grace_seconds: float = 5.0,
        everything: bool = False,
    ) -> Store:
        """
        Open or make the file and bring it to this version's schema.

        Args:
            everything: All tokens are recorded, on the watch list or not.
            break_grace_seconds: How long two trades of a token may fail to link before that is a gap: feeds reorder.

        Raises:
            DatabaseError: A person must act.
            DatabaseBusy: Another program holds the file.

        """
        engine = database.writing_engine(path, busy_timeout_seconds=busy_timeout_seconds, synchronous=synchronous)
        try:
            database.prepare(engine, path, origin=origin, version=pumpwatch.__version__)
            store = cls(engine, path, break_grace_seconds=break_grace_seconds, everything=everything)
            store._link_all()
            store._figure_all()
        except BaseException:
            engine.dispose()
            raise
        return store

    def _link_all(self) -> None:
        """Link the trades of a file that was written before there were segments."""
        if not self._read("SELECT 1 FROM meta WHERE key = 'to_link'"):
            return
        logger.info("linking all trades of {}: once, after an update", self._path)
        with database.translated(self._path), self._engine.begin() as connection:
            judging = self._judging(connection, time.time_ns() // 1000)
            for (token_id,) in connection.exec_driver_sql("SELECT id FROM tokens WHERE trades > 0").all():
                self._chains.load(connection, (token_id,))
                self._chains.rebuild(connection, token_id)
                self._chains.flush(connection)
                judging.judge((token_id,))
            connection.exec_driver_sql("DELETE FROM meta WHERE key = 'to_link'")
        self._stale = False

    def _figure_all(self) -> None:
        """Make the figures of a file that was written before there were any."""
        if not self._read("SELECT 1 FROM meta WHERE key = 'to_figure'"):
            return
        logger.info("adding up all trades of {}: once, after an update", self._path)
        with database.translated(self._path), self._engine.begin() as connection:
            for (token_id,) in connection.exec_driver_sql("SELECT id FROM tokens WHERE trades > 0").all():
                rebuild(connection, token_id)
            connection.exec_driver_sql("DELETE FROM meta WHERE key = 'to_figure'")

    def apply(self, deliveries: Sequence[Delivery]) -> None:
        """
        Store *deliveries* in one transaction: all or nothing, and the same twice changes nothing (but counters).

        A delivery that no table takes is stored as rejected, with its raw message; its neighbours are not harmed.

        Raises:
            DatabaseBusy: Nothing was stored; the same call may succeed later.
            DatabaseError: The file is damaged.

        """
        self._to_count.clear()
        with database.translated(self._path):
            try:
                with self._engine.begin() as connection:
                    added = self._write(connection, deliveries)
            except _POISON as error:
                reason = type(error).__name__
                self._to_count.clear()
                logger.warning("a batch of {} was not storable as a whole ({}): storing one by one", len(deliveries), reason)
                added = self._apply_one_by_one(deliveries)
        self._stale = False
        self.trades += added
        self.last_commit_at = time.time()
        for set_aside, passed_over in self._to_count:
            self.set_aside.add_all(set_aside)
            self.passed_over.add_all(passed_over)

    def _apply_one_by_one(self, deliveries: Sequence[Delivery]) -> int:
        with self._engine.begin() as connection:
            return sum(self._write_or_reject(connection, delivery) for delivery in deliveries)

    def _write_or_reject(self, connection: sa.Connection, delivery: Delivery) -> int:
        savepoint = connection.begin_nested()
        try:
            added = self._write(connection, [delivery])
        except _POISON as error:
            savepoint.rollback()
            reason = f"{type(error).__name__}: {str(error).splitlines()[0][:200]}"
            raw = delivery.raw or msgspec.json.encode(delivery.events)
            signature = next((told for event in delivery.events if (told := getattr(event, "signature", None))), None)
            rejected = Rejected(kind="not storable", reason=reason, raw=raw, signature=signature)
            return self._write(connection, [msgspec.structs.replace(delivery, events=(rejected,))])
        savepoint.commit()
        self._stale = False  # until the next one
        return added

    def _write(self, connection: sa.Connection, deliveries: Sequence[Delivery]) -> int:
        now_us = time.time_ns() // 1000
        judging = self._judging(connection, now_us)
        recording = Recording(connection, self._ids, self._recent, self._chains, judging)
        recording.write(deliveries)
        self._to_count.append((recording.counts, recording.passed_over))
        connection.exec_driver_sql(statements.SET_META, ("last_commit_us", str(now_us)))
        self._kept_since_prune += recording.kept
        self._kept_bytes_since_prune += recording.kept_bytes
        if recording.has_gaps:
            self.gaps_open = connection.exec_driver_sql(_OPEN_GAPS).scalar_one()
        return recording.trades

    def _judging(self, connection: sa.Connection, now_us: int) -> Judging:
        """Make sure that what we remember is what the database has."""
        if self._stale:
            self._ids.forget(connection)
            self._recent.forget(connection)
            self._chains.forget(connection)
            self._unsettled.forget(connection, now_us=now_us)
        self._stale = True  # until the batch is committed
        return Judging(
            connection,
            self._chains,
            self._unsettled,
            now_us=now_us,
            grace_us=self._grace_us,
            noticed=self.on_judged,
            everything=self._everything,
        )

    @property
    def has_unsettled(self) -> bool:
        """Whether :meth:`look` has something to do: always after the start."""
        return self._stale or bool(self._unsettled.since_us)

    def look(self, *, now_us: int) -> None:
        """
        Let time pass: what has been broken for longer than the grace becomes a gap.

        Raises:
            DatabaseBusy: Try again later.

        """
        with database.translated(self._path), self._engine.begin() as connection:
            judging = self._judging(connection, now_us)
            judging.look()
            if judging.has_gaps:
                self.gaps_open = connection.exec_driver_sql(_OPEN_GAPS).scalar_one()
        self._stale = False

    def wait_for_locks(self, seconds: float) -> None:
        """From now on, wait so long for another program's lock before :class:`DatabaseBusy` is raised."""
        self._read(f"PRAGMA busy_timeout={round(seconds * 1000)}")

    def last_commit_us(self) -> int | None:
        """When the file was last written by us, in unix microseconds; None in a new file."""
        rows = self._read("SELECT value FROM meta WHERE key = 'last_commit_us'")
        return int(rows[0][0]) if rows else None

    def covered_us(self, feeds: Iterable[str]) -> int | None:
        """Up to when everything that *feeds* brought is stored, in unix microseconds: the worst of them; None in a new file."""
        wanted = msgspec.json.encode([f"covered_us {feed}" for feed in feeds]).decode()
        rows = self._read("SELECT value FROM meta WHERE key IN (SELECT value FROM json_each(?))", (wanted,))
        return min((int(value) for (value,) in rows), default=None)

    def endless_gaps(self) -> list[GapOpened]:
        """Gaps that were told without their end."""
        rows = self._read("SELECT cause, feed, mint, signature, slot, from_us, detail FROM gaps WHERE to_us IS NULL ORDER BY id")
        return [
            GapOpened(cause=cause, feed=feed, mint=mint, signature=signature, slot=slot, from_us=from_us, detail=detail)
            for cause, feed, mint, signature, slot, from_us, detail in rows
        ]

    def open_spells(self) -> list[SpellStarted]:
        """What was being watched when the file was last written."""
        rows = self._read("SELECT kind, address, reason, started_at_us FROM spells WHERE ended_at_us IS NULL ORDER BY id")
        return [SpellStarted(kind=kind, address=address, reason=reason, at_us=at_us) for kind, address, reason, at_us in rows]

    def suspended(self) -> list[str]:
        """The tokens that a person asked for and that were given up for lack of money, the first first."""
        return [mint for (mint,) in self._read(statements.SUSPENDED)]

    def open_alerts(self) -> list[AlertRow]:
        """The alerts that still last."""
        return alert_rows(self._read(f"SELECT {ALERT_COLUMNS} FROM alerts WHERE resolved_at_us IS NULL ORDER BY id"))

    def quote_mints(self, mints: Iterable[str]) -> dict[str, str]:
        """What those of *mints* trade against, where it is known."""
        wanted = msgspec.json.encode(list(mints)).decode()
        return dict(
            self._read(
                "SELECT tokens.mint, quotes.mint FROM tokens JOIN quotes ON quotes.id = quote_id "
                "WHERE tokens.mint IN (SELECT value FROM json_each(?))",
                (wanted,),
            )
        )

    def pools(self, *, most: int) -> list[PoolSeen]:
        """Known canonical pools, those of the newest tokens first."""
        rows = self._read(
            "SELECT pools.pool, tokens.mint, quotes.mint, base_decimals, quote_decimals FROM pools "
            "JOIN tokens ON tokens.id = token_id JOIN quotes ON quotes.id = pools.quote_id ORDER BY token_id DESC LIMIT ?",
            (most,),
        )
        return [
            PoolSeen(pool=pool, mint=mint, quote_mint=quote_mint, base_decimals=base, quote_decimals=quote)
            for pool, mint, quote_mint, base, quote in rows
        ]

    def usage(self) -> list[Usage]:
        """What each provider delivered, a row each day, of the last 62 days."""
        rows = self._read(f"{statements.USAGE} WHERE day >= date('now', '-62 days') ORDER BY day, provider")
        return statements.usage_of(rows)

    def _read(self, statement: str, parameters: tuple[object, ...] = ()) -> list[Any]:
        with database.translated(self._path), self._engine.connect() as connection:
            return list(connection.exec_driver_sql(statement, parameters))

    @property
    def is_crowded(self) -> bool:
        """So many messages were kept since the last :meth:`prune` that it should not wait."""
        return self._kept_since_prune >= REJECTED_ROWS // 4 or self._kept_bytes_since_prune >= REJECTED_BYTES // 4

    def prune(self, *, now_us: int) -> None:
        """
        Take the oldest of the kept messages, closed gaps and changes out, beyond their bounds; age what is said of tokens; note
        how large the file is.

        Raises:
            DatabaseBusy: Try again later.

        """
        self._kept_since_prune = self._kept_bytes_since_prune = 0
        oldest_us = now_us - UNREAD_DAYS * 24 * 3600 * 1_000_000
        with database.translated(self._path), self._engine.begin() as connection:
            connection.exec_driver_sql(
                "DELETE FROM rejected WHERE id <= (SELECT max(id) FROM rejected) - ?",
                (REJECTED_ROWS,),
            )
            connection.exec_driver_sql(
                "DELETE FROM gaps WHERE state IN ('closed', 'unfillable') "
                "AND (closed_at_us < ? OR id <= (SELECT max(id) FROM gaps) - ?)",
                (now_us - GAP_DAYS * 24 * 3600 * 1_000_000, GAP_ROWS),
            )
            for table, most_rows in (("alerts", ALERT_ROWS), ("runs", RUN_ROWS)):
                connection.exec_driver_sql(f"DELETE FROM {table} WHERE id <= (SELECT max(id) FROM {table}) - ?", (most_rows,))
            connection.exec_driver_sql("DELETE FROM changes WHERE id <= (SELECT max(id) FROM changes) - ?", (CHANGES_ROWS,))
            connection.exec_driver_sql("DELETE FROM unread WHERE received_at_us < ?", (oldest_us,))
            for table, most_bytes in (("rejected", REJECTED_BYTES), ("unread", UNREAD_BYTES)):
                newest_first = f"SELECT id, sum(length(raw) + 200) OVER (ORDER BY id DESC) AS size FROM {table}"
                connection.exec_driver_sql(
                    f"DELETE FROM {table} WHERE id IN (SELECT id FROM ({newest_first}) WHERE size > ?)", (most_bytes,)
                )
        with database.translated(self._path), self._engine.begin() as connection:
            self._judging(connection, now_us).age()
            note_size(connection, now_us=now_us)
        self._stale = False
        with database.translated(self._path), self._engine.connect() as connection:
            driver = connection.connection.driver_connection
            assert isinstance(driver, sqlite3.Connection)
            # Not execute(), which would take one step, and each step frees one page.
            driver.executescript(f"PRAGMA incremental_vacuum({_VACUUM_PAGES})")

    def checkpoint(self) -> bool:
        """Copy the log into the database and empty it. Return False if a reader kept some of it."""
        with database.translated(self._path), self._engine.connect() as connection:
            driver = connection.connection.driver_connection
            assert isinstance(driver, sqlite3.Connection)
            busy = driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            return not busy

    def pruner(self, *, trade_days: float, max_bytes: int) -> Pruner:
        """What takes old trades out; for the thread that uses this store."""
        return Pruner(self._engine, self._path, trade_days=trade_days, max_bytes=max_bytes)

    def check_file(self) -> None:
        """
        Make sure that we still write to the file of that name.

        Raises:
            DatabaseError: It was deleted or replaced: what we write goes nowhere.

        """
        if file_identity(self._path) != self._file:
            raise DatabaseError(
                f"{self._path} was deleted or replaced while it was being written: pumpwatch stops; start it again"
            )

    def close(self) -> None:
        """Close the connection. Idempotent."""
        self._engine.dispose()
