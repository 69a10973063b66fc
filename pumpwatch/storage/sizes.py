"""How large the database is, and was: a sample each hour, for what it grows by in a day."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from pumpwatch.growth import bytes_per_day

_HOUR_SECONDS: Final = 3600

#: 15 days of hours.
_KEPT_HOURS: Final = 360

_PAGES: Final = """
    SELECT page_count, freelist_count, page_size FROM pragma_page_count(), pragma_freelist_count(), pragma_page_size()
"""
_NOTE: Final = "INSERT INTO sizes (hour, at, used_bytes) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
#: A clock that was ahead leaves hours that have not come yet.
_FORGET: Final = "DELETE FROM sizes WHERE hour <= ? OR hour > ?"
_SAMPLES: Final = "SELECT at, used_bytes FROM sizes"


class Size(NamedTuple):
    """
    Of the database at one moment, in bytes, what waits in its log included.

    Attributes:
        used_bytes: Of pages that hold something; *unused_bytes* of the others.
        growth_bytes_per_day: None: not measured yet.
    """

    used_bytes: int
    unused_bytes: int
    growth_bytes_per_day: float | None


def note_size(connection: sa.Connection, *, now_us: int) -> None:
    """Remember how large it is, once an hour; in a transaction of the writer."""
    at = now_us // 1_000_000
    hour = at // _HOUR_SECONDS
    pages, free, page_bytes = connection.exec_driver_sql(_PAGES).one()
    connection.exec_driver_sql(_FORGET, (hour - _KEPT_HOURS, hour))
    connection.exec_driver_sql(_NOTE, (hour, at, (pages - free) * page_bytes))


def measured(rows: Callable[[str], list[Any]], *, now: float) -> Size:
    """The size now (unix seconds), and how it grows; *rows* asks the database."""
    [(pages, free, page_bytes)] = rows(_PAGES)
    used = (pages - free) * page_bytes
    samples = [(int(at), int(used)) for at, used in rows(_SAMPLES)]
    return Size(used, free * page_bytes, bytes_per_day(samples, now=now, used_bytes=used))
