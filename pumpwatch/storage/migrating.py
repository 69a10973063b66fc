"""``db migrate``: bring a file to this version's schema by itself, with a backup before and a look at all of it after."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from pumpwatch.errors import DatabaseError
from pumpwatch.storage.backup import Backup, Content, content_of, needed_bytes
from pumpwatch.storage.database import reading_engine, translated
from pumpwatch.storage.schema import SCHEMA_VERSION
from pumpwatch.storage.store import Store
from pumpwatch.storage.upgrade import check_room

#: What no update may change.
_FACTS: Final = ("trades", "tokens", "wallets", "quotes", "spells", "rejected", "unread", "usage")

_IS_PENDING: Final = "SELECT 1 FROM meta WHERE key IN ('to_link', 'to_figure')"


class Migrated(NamedTuple):
    """
    What was done.

    Attributes:
        backup: None: none was asked for.
        rows: By table, after it.
    """

    from_schema: int
    to_schema: int
    backup: Backup | None
    rows: dict[str, int]


class Found(NamedTuple):
    """
    A file before its update.

    Attributes:
        is_pending: An update was begun and did not come to its end.
    """

    content: Content
    is_pending: bool

    @property
    def is_current(self) -> bool:
        """Nothing is to be done."""
        return self.content.schema == SCHEMA_VERSION and not self.is_pending


def look(path: Path) -> Found:
    """
    Look at the file at *path*.

    Raises:
        DatabaseError: Missing, damaged, of a newer schema, or not one of ours.
        DatabaseBusy: It cannot be read now.

    """
    engine = reading_engine(path)
    try:
        with translated(path), engine.connect() as connection:
            driver = connection.connection.driver_connection
            assert isinstance(driver, sqlite3.Connection)
            content = content_of(driver)
            if content.origin is None or not content.schema:
                raise DatabaseError(f"{path} holds no record of pumpwatch: name another file")
            return Found(content, driver.execute(_IS_PENDING).fetchone() is not None)
    finally:
        engine.dispose()


def migrate(path: Path, found: Found, make_backup: Callable[[], Backup] | None, *, is_same_disk: bool = True) -> Migrated:
    """
    Update the file that was *found*; the caller holds the writer's lock.

    Args:
        make_backup: Makes one before anything is touched.
        is_same_disk: The backup takes room of the disk that the file grows on.

    Raises:
        DatabaseError: There is no room, or the file is not right afterwards.
        DatabaseBusy: Another program holds it: nothing, or only a part that goes on with the next try, was done.

    """
    size = path.stat().st_size
    check_room(path, found.content.schema, beside_bytes=needed_bytes(size) if make_backup and is_same_disk else 0)
    backup = None if make_backup is None else make_backup()
    with contextlib.closing(Store.open(path, origin=str(found.content.origin))) as store:
        store.checkpoint()
    after = look(path)
    _check(path, found.content, after)
    return Migrated(found.content.schema, after.content.schema, backup, after.content.rows)


def _check(path: Path, before: Content, after: Found) -> None:
    wrong = [
        f"{table} has {after.content.rows.get(table, 0):,} rows in place of {before.rows[table]:,}"
        for table in _FACTS
        if table in before.rows and before.rows[table] != after.content.rows.get(table)
    ]
    if not after.is_current:
        wrong.append(f"its schema is {after.content.schema}")
    engine = reading_engine(path)
    try:
        with translated(path), engine.connect() as connection:
            damage = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
    finally:
        engine.dispose()
    if damage != "ok":
        wrong.append(str(damage))
    if wrong:
        raise DatabaseError(f"{path} is not right after its update ({'; '.join(wrong)}): use the backup, and please report it")
