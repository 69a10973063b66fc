"""Files as older versions left them, made from one of today: the real statements of their schema, the same trades."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from pumpwatch.storage.schema import MIGRATIONS


def make_old(new: Path, old: Path, schema: int) -> None:
    """Write *old*, of *schema*, with all that *new* holds and that schema has a place for."""
    with closing(sqlite3.connect(old, isolation_level=None)) as connection:
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("ATTACH ? AS new", (str(new),))
        [(ours,)] = connection.execute("PRAGMA new.application_id")
        connection.execute(f"PRAGMA application_id={ours}")
        connection.execute("BEGIN")
        for statements in MIGRATIONS[:schema]:
            for statement in statements:
                connection.execute(statement)
        of_type = "SELECT name FROM main.sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
        for (table,) in connection.execute(of_type).fetchall():
            columns = ", ".join(row[1] for row in connection.execute(f"PRAGMA main.table_info({table})"))
            connection.execute(f"DELETE FROM main.{table}")
            connection.execute(f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM new.{table}")
        connection.execute(f"PRAGMA main.user_version={schema}")
        connection.execute("COMMIT")
