"""Is the file itself whole: SQLite's own checks, one table after the other, so that no transaction is long."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pumpwatch.storage.database import reading_engine, translated

#: Of each table so many findings at most: a damaged file has thousands.
_MOST: Final = 20

#: Steps of SQLite's machine between two calls of *alive*.
_STEPS: Final = 200_000

_TABLES: Final = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name"
#: What no foreign key says.
_LOOSE: Final = {"changes": "SELECT count(*) FROM changes WHERE token_id NOT IN (SELECT id FROM tokens)"}


def find_damage(path: Path, *, looking_at: Callable[[str], None], alive: Callable[[], None]) -> list[str]:
    """
    Return what is wrong with the file at *path*, a sentence each: pages, indexes, types, and ids that point nowhere.

    Args:
        looking_at: Told of each table.
        alive: Called again and again meanwhile.

    Raises:
        DatabaseError: It cannot be read at all.
        KeyboardInterrupt: Ctrl-C, which SQLite would else not notice before its end.

    """
    found: list[str] = []
    engine = reading_engine(path)
    try:
        with translated(path), engine.connect() as connection:
            driver = connection.connection.driver_connection
            assert driver is not None
            driver.set_progress_handler(alive, _STEPS)
            for (table,) in driver.execute(_TABLES).fetchall():
                looking_at(table)
                try:
                    found += _of_table(driver, table)
                except sqlite3.DatabaseError as error:
                    if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_CORRUPT:
                        raise
                    found.append(f"{table}: {error}")
            driver.set_progress_handler(None, 0)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
            raise KeyboardInterrupt from error
        raise
    finally:
        engine.dispose()
    return found


def _of_table(driver: sqlite3.Connection, table: str) -> list[str]:
    rows = driver.execute(f"PRAGMA integrity_check({table})").fetchmany(_MOST)
    found = [f"{table}: {text}" for (text,) in rows if text != "ok"]
    nowhere: dict[str, int] = {}
    for _, _, parent, _ in driver.execute(f"PRAGMA foreign_key_check({table})"):
        nowhere[parent] = nowhere.get(parent, 0) + 1
    if table in _LOOSE:
        (count,) = driver.execute(_LOOSE[table]).fetchone()
        nowhere |= {"tokens": count} if count else {}
    return found + [f"{table}: {count} ids of {parent} point nowhere" for parent, count in sorted(nowhere.items())]
