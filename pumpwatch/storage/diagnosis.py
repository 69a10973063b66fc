"""What a report tells of a database: how large, which shape, what went wrong. No trade, no message, no address."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from pumpwatch.storage.database import reading_engine, translated

_PRAGMAS: Final = (
    *("user_version", "application_id", "journal_mode", "auto_vacuum", "page_size", "page_count", "freelist_count", "encoding"),
    *("synchronous", "schema_version"),
)
_TABLES: Final = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name"

#: Each has columns that no stranger and no market filled, but for texts that are cleaned.
_QUESTIONS: Final = {
    "meta": "SELECT key, value FROM meta ORDER BY key",
    "gaps": "SELECT cause, feed, state, closed_by, count(*) AS count, min(from_us) AS first_us, max(from_us) AS last_us "
    "FROM gaps GROUP BY cause, feed, state, closed_by ORDER BY count(*) DESC LIMIT 200",
    "rejected": "SELECT source, kind, count(*) AS count, min(received_at_us) AS first_us, max(received_at_us) AS last_us "
    "FROM rejected GROUP BY source, kind ORDER BY count(*) DESC LIMIT 200",
    "unread": "SELECT source, kind, count(*) AS count, min(received_at_us) AS first_us, max(received_at_us) AS last_us "
    "FROM unread GROUP BY source, kind ORDER BY count(*) DESC LIMIT 200",
    "counts": "SELECT kind, count FROM counts ORDER BY count DESC LIMIT 500",
    "completeness": "SELECT completeness, count(*) AS count FROM tokens GROUP BY completeness",
    "runs": "SELECT started_at_us, ended_at_us, pid, version, exit_status, reason FROM runs ORDER BY id DESC LIMIT 100",
    # A market alert tells of a trade: of those only that they were.
    "alerts": "SELECT rule, severity, is_market, raised_at_us, resolved_at_us, sent, attempts, value, threshold, "
    "CASE is_market WHEN 0 THEN subject END AS subject, CASE is_market WHEN 0 THEN text END AS text "
    "FROM alerts ORDER BY id DESC LIMIT 200",
    "usage": "SELECT * FROM usage ORDER BY day DESC, provider LIMIT 100",
    "sizes": "SELECT at, used_bytes FROM sizes ORDER BY hour",
}
_WATCHED: Final = (
    "SELECT address FROM spells WHERE kind = 'wallet' OR reason IN ('pinned', 'asked', 'wallet') GROUP BY address LIMIT 50000"
)


def library_version() -> str:
    """Of SQLite."""
    return sqlite3.sqlite_version


class Diagnosis:
    """Reads one database of any schema that this version knows. Use :func:`open_diagnosis`."""

    def __init__(self, driver: sqlite3.Connection) -> None:
        self._driver = driver

    def watched(self) -> list[str]:
        """Addresses that a person put on the watch list, and what their wallets traded."""
        with contextlib.suppress(sqlite3.OperationalError):
            return [str(address) for (address,) in self._driver.execute(_WATCHED)]
        return []

    def schema(self) -> str:
        """The statements that made the file."""
        found = self._driver.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY type, name").fetchall()
        return "".join(f"{sql};\n" for (sql,) in found)

    def facts(self) -> dict[str, Any]:
        """Everything else. What a file of this schema has not, or what cannot be read, is a sentence in its place."""
        told: dict[str, Any] = {"pragmas": {name: self._one(f"PRAGMA {name}") for name in _PRAGMAS}}
        tables = [table for (table,) in self._driver.execute(_TABLES)]
        told["rows"] = {table: self._one(f'SELECT count(*) FROM "{table}"') for table in tables}
        return told | {name: self._dicts(question) for name, question in _QUESTIONS.items()}

    def _one(self, question: str) -> object:
        try:
            row = self._driver.execute(question).fetchone()
        except sqlite3.DatabaseError as error:
            return f"cannot be read: {error}"
        return None if row is None else row[0]

    def _dicts(self, question: str) -> object:
        try:
            found = self._driver.execute(question)
            names = [name for name, *_ in found.description]
            return [dict(zip(names, row, strict=True)) for row in found]
        except sqlite3.DatabaseError as error:
            return f"cannot be read: {error}"


@contextlib.contextmanager
def open_diagnosis(path: Path) -> Iterator[Diagnosis]:
    """
    Open the database at *path* for reading; each question is a transaction of its own.

    Raises:
        DatabaseError: Missing, damaged, or of a newer schema.
        DatabaseBusy: It cannot be read now.

    """
    engine = reading_engine(path)
    try:
        with translated(path), engine.connect() as connection:
            driver = connection.connection.driver_connection
            assert isinstance(driver, sqlite3.Connection)
            yield Diagnosis(driver)
    finally:
        engine.dispose()
