"""
One SQLite file: how it is opened, brought to this version's schema, and what its errors mean.

The recipe is measured in the project's notes on SQLite through SQLAlchemy: the driver begins nothing by itself, every writing
transaction is ``BEGIN IMMEDIATE``, and exactly one connection of the world writes and checkpoints.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from loguru import logger
from sqlalchemy.exc import DBAPIError

from pumpwatch.errors import DatabaseBusy, DatabaseError
from pumpwatch.files import make_private
from pumpwatch.storage.schema import MIGRATIONS, SCHEMA_VERSION
from pumpwatch.storage.upgrade import check_room

#: STRICT tables came with this version.
_OLDEST_SQLITE = (3, 37, 0)

#: The page cache of the writing connection.
_CACHE_KIB = 16 * 1024

#: The log is copied into the file when it is so long (32 MiB): a page that many batches change is copied once. With SQLite's own
#: 1,000 the commits of a busy record take twice as long (measured).
_CHECKPOINT_PAGES = 8_000

#: The log is truncated to this size when it is reset.
_JOURNAL_SIZE_LIMIT_BYTES = 64 * 1024 * 1024

#: Marks the file as ours (``PRAGMA application_id``): "pwat".
APPLICATION_ID = 0x70776174

_TRANSIENT = {
    sqlite3.SQLITE_BUSY: "the database is locked by another program",
    sqlite3.SQLITE_LOCKED: "the database is locked by another program",
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_IOERR: "the disk answers with an I/O error",
    sqlite3.SQLITE_NOMEM: "there is no memory left",
    sqlite3.SQLITE_PROTOCOL: "the database is locked by another program",
    sqlite3.SQLITE_READONLY: "the database cannot be written",
    sqlite3.SQLITE_CANTOPEN: "the database file cannot be opened",
    sqlite3.SQLITE_PERM: "the database file cannot be opened",
}

#: Of SQLite's machine: about a millisecond.
_STEPS_BETWEEN_LOOKS = 20_000

#: Transient while running (a disk can come back); at the start a person must act.
_NOT_ALLOWED = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM)

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


@contextlib.contextmanager
def translated(path: Path, *, opening: bool = False) -> Iterator[None]:
    """
    Turn the driver's errors into ours.

    Args:
        opening: Nothing was done with the file yet: what is not permitted is a wrong setting, not a disk that went away.

    Raises:
        DatabaseBusy: Locked, full, I/O error: the same may succeed later.
        DatabaseError: Corrupt, not a database, or not permitted: it will not.

    """
    try:
        yield
    except DBAPIError as error:
        cause = error.orig
    except sqlite3.Error as error:
        cause = error
    else:
        return
    code = _primary_code(cause)
    if opening and code in _NOT_ALLOWED:
        raise DatabaseError(
            f"{path} cannot be opened and written ({cause}): change its permissions, or choose another `database`"
        ) from cause
    if code in _TRANSIENT:
        raise DatabaseBusy(f"{_TRANSIENT[code]} ({cause})") from cause
    if code in _DAMAGED:
        raise _damaged(path, cause) from cause
    assert cause is not None
    raise cause


@contextlib.contextmanager
def in_time(path: Path) -> Iterator[None]:
    """As :func:`translated`, for an engine that has *most_seconds*: DatabaseBusy too when they are over."""
    try:
        with translated(path):
            yield
    except sqlite3.OperationalError as error:
        if _primary_code(error) != sqlite3.SQLITE_INTERRUPT:
            raise
        raise DatabaseBusy("reading took longer than it may") from error


def _primary_code(error: BaseException | None) -> int | None:
    code = getattr(error, "sqlite_errorcode", None)
    return code & 0xFF if isinstance(code, int) else None


def _damaged(path: Path, found: object) -> DatabaseError:
    return DatabaseError(
        f"the database {path} is damaged ({found}): move it away with its -wal and -shm neighbours and start again with a new "
        "one; `sqlite3 FILE .recover` can save what is readable of the old one"
    )


@contextlib.contextmanager
def _disposed_on_error(engine: sa.Engine) -> Iterator[None]:
    try:
        yield
    except BaseException:
        engine.dispose()
        raise


def _on_connect(statements: tuple[str, ...]) -> Any:
    def connect(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # the driver emits no BEGIN of its own
        for statement in statements:
            connection.execute(statement).fetchall()

    return connect


def _until(deadline: float) -> Any:
    def connect(connection: sqlite3.Connection, _record: object) -> None:
        connection.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS_BETWEEN_LOOKS)

    return connect


def writing_engine(path: Path, *, busy_timeout_seconds: float, synchronous: str) -> sa.Engine:
    """
    Return the engine of the one writing connection. The file and its folder are made when they are missing.

    Raises:
        DatabaseError: The folder cannot be made, the file system cannot do WAL, or SQLite is too old.
        DatabaseBusy: Another program holds the file right now.

    """
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        raise DatabaseError(
            f"this Python's SQLite is {sqlite3.sqlite_version}; pumpwatch needs {'.'.join(map(str, _OLDEST_SQLITE))} or newer: "
            "install a newer Python"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(OSError):
            make_private(path)  # SQLite gives its neighbours the same mode
    except OSError as error:
        raise DatabaseError(f"the folder {path.parent} cannot be made ({error.strerror}): choose another `database`") from error
    engine = sa.create_engine(
        sa.URL.create("sqlite", database=str(path)),
        poolclass=sa.pool.StaticPool,
        connect_args={"timeout": busy_timeout_seconds, "check_same_thread": False},
    )
    sa.event.listen(
        engine,
        "connect",
        _on_connect(
            (
                # Before journal_mode: in an empty file only, and silently ignored afterwards.
                "PRAGMA auto_vacuum=INCREMENTAL",
                "PRAGMA journal_mode=WAL",
                f"PRAGMA synchronous={synchronous}",
                f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}",
                f"PRAGMA journal_size_limit={_JOURNAL_SIZE_LIMIT_BYTES}",
                f"PRAGMA cache_size=-{_CACHE_KIB}",
                "PRAGMA foreign_keys=ON",
            )
        ),
    )
    sa.event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    with _disposed_on_error(engine):
        with translated(path, opening=True), engine.connect() as connection:
            mode = connection.connection.execute("PRAGMA journal_mode").fetchone()[0]
        if mode != "wal":
            raise DatabaseError(
                f"the file system of {path} cannot do write-ahead logging (journal mode {mode}): use a local disk"
            )
    return engine


def reading_engine(path: Path, *, most_seconds: float | None = None) -> sa.Engine:
    """
    Return an engine that cannot write. Keep its transactions short: a long reader keeps the log from shrinking.

    Args:
        most_seconds: After so long, a question that is not answered yet ends: see :func:`in_time`.

    Raises:
        DatabaseError: There is no such file, or it is of a newer schema.

    """
    if not path.is_file():
        raise DatabaseError(f"there is no database {path} yet: start `python -m pumpwatch` first, or name another with --config")
    uri = f"file:{quote(path.as_posix())}?mode=ro"
    engine = sa.create_engine(
        "sqlite://",
        creator=lambda: sqlite3.connect(uri, uri=True, timeout=5, check_same_thread=False),
        poolclass=sa.pool.QueuePool,
    )
    sa.event.listen(engine, "connect", _on_connect(("PRAGMA query_only=ON",)))
    if most_seconds is not None:
        sa.event.listen(engine, "connect", _until(time.monotonic() + most_seconds))
    with _disposed_on_error(engine), translated(path), engine.connect() as connection:
        _check_version(path, _user_version(connection))
    return engine


class ShortReads:
    """
    What a thread reads beside the writer: each question a short transaction of its own. For one thread.

    Raises:
        DatabaseBusy: From any method: try again later.

    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._engine = reading_engine(path)

    def close(self) -> None:
        """Close the connection. Idempotent."""
        self._engine.dispose()

    def _rows(self, statement: str, **parameters: object) -> list[Any]:
        with translated(self._path), self._engine.connect() as connection:
            return list(connection.execute(sa.text(statement), parameters))


def prepare(engine: sa.Engine, path: Path, *, origin: str, version: str) -> None:
    """
    Bring an opened file to this version's schema, or refuse it.

    Args:
        origin: ``mainnet``, ``simulator`` or ``replay``: put into a new file, demanded of an old one.
        version: Of pumpwatch, noted in a new file.

    Raises:
        DatabaseError: Damaged, of a newer schema, of another program, or of another origin; or there is no room for an update.
        DatabaseBusy: Another program holds the file right now.

    """
    with translated(path, opening=True):
        with engine.connect() as connection:
            found = _user_version(connection)
            _check_version(path, found)
            if found == 0 and connection.exec_driver_sql("SELECT count(*) FROM sqlite_schema").scalar():
                raise DatabaseError(f"{path} is a database of another program: choose another `database`")
            _check_pages(connection, path)
            if found:
                _check_origin(connection, path, origin)
        if 0 < found < SCHEMA_VERSION:
            check_room(path, found)
            logger.info("updating {} from schema {} to {}", path, found, SCHEMA_VERSION)
        for number in range(found, SCHEMA_VERSION):
            _migrate(engine, number, origin=origin, version=version)


def _check_origin(connection: sa.Connection, path: Path, origin: str) -> None:
    recorded = connection.exec_driver_sql("SELECT value FROM meta WHERE key = 'origin'").scalar()
    if recorded != origin:
        raise DatabaseError(
            f"{path} holds {recorded} data, and this run is {origin}: they are never mixed; choose another `database`"
        )


def _migrate(engine: sa.Engine, number: int, *, origin: str, version: str) -> None:
    """Lead schema *number* to the next, in one transaction with the new number."""
    with engine.begin() as connection:
        if _user_version(connection) != number:
            return  # another process was faster, before it lost the lock to us
        for statement in MIGRATIONS[number]:
            connection.exec_driver_sql(statement)
        if number == 0:
            connection.exec_driver_sql(f"PRAGMA application_id={APPLICATION_ID}")
            connection.exec_driver_sql(
                "INSERT INTO meta (key, value) VALUES ('origin', ?), ('created_at_us', ?), ('created_by', ?)",
                (origin, str(time.time_ns() // 1000), f"pumpwatch {version}"),
            )
        connection.exec_driver_sql(f"PRAGMA user_version={number + 1}")


def _user_version(connection: sa.Connection) -> int:
    return int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())


def _check_version(path: Path, found: int) -> None:
    if found > SCHEMA_VERSION:
        raise DatabaseError(
            f"{path} was written by a newer pumpwatch (schema {found}, known here {SCHEMA_VERSION}): update pumpwatch"
        )


def _check_pages(connection: sa.Connection, path: Path) -> None:
    """A quick look for damage. An insert into a damaged file can succeed, so it is looked for before the first."""
    if connection.exec_driver_sql("PRAGMA page_count").scalar_one() * 4096 > 1 << 30:
        return  # minutes on a slow disk: left to `db check`
    found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
    if found != "ok":
        raise _damaged(path, found)
