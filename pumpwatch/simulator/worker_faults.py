"""Faults inside the worker, for ``run --simulator`` only: a disk that is full when the simulator says so."""

from __future__ import annotations

from pathlib import Path
from typing import Final
from weakref import WeakSet

import sqlalchemy as sa

from pumpwatch.simulator.faults import disk_full_marker

#: SQLite's own default: no limit that anybody reaches.
_NO_LIMIT: Final = 4_294_967_294


def install(database: Path) -> None:
    """
    From now on, transactions on *database* find no room to grow while the marker file of ``disk_full`` exists.

    SQLite itself answers SQLITE_FULL: the file may keep its pages and get no more. Everything else of the process is untouched.
    """
    marker = disk_full_marker(database)
    limited: WeakSet[sa.Engine] = WeakSet()

    def limit_pages(connection: sa.Connection) -> None:
        engine = connection.engine
        if engine.url.database != str(database):
            return
        if marker.exists():
            connection.exec_driver_sql("PRAGMA max_page_count=1")  # SQLite makes it the present number of pages
            limited.add(engine)
        elif engine in limited:
            connection.exec_driver_sql(f"PRAGMA max_page_count={_NO_LIMIT}")
            limited.discard(engine)

    sa.event.listen(sa.Engine, "begin", limit_pages)
