"""One look at a database that need not be good: for ``check``, which changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pumpwatch.events import Usage
from pumpwatch.storage import statements
from pumpwatch.storage.database import reading_engine, translated


@dataclass(frozen=True, slots=True)
class Glance:
    """
    What a database says of itself.

    Attributes:
        origin: ``mainnet``, ``simulator`` or ``replay``; None: not one of ours.
        schema: ``PRAGMA user_version``.
        usage: What the providers delivered, by day.
    """

    origin: str | None
    schema: int
    usage: tuple[Usage, ...]


def glance_at(path: Path) -> Glance:
    """
    Look into the file at *path*.

    Raises:
        DatabaseError: Missing, damaged, or of a newer schema.
        DatabaseBusy: It cannot be read now.

    """
    engine = reading_engine(path)
    try:
        with translated(path), engine.connect() as connection:
            schema = int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())
            tables = {name for (name,) in connection.exec_driver_sql("SELECT name FROM sqlite_schema WHERE type = 'table'")}
            if not {"meta", "usage"} <= tables:
                return Glance(None, schema, ())
            origin = connection.exec_driver_sql("SELECT value FROM meta WHERE key = 'origin'").scalar()
            rows = connection.exec_driver_sql(statements.USAGE if schema > 1 else statements.USAGE_1).all()
    finally:
        engine.dispose()
    return Glance(origin, schema, tuple(statements.usage_of(rows)))
