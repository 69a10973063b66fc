"""What the record takes on the disk, what it grows by, and how long that goes well: a part of ``status``."""

from __future__ import annotations

from typing import Final

import msgspec

from pumpwatch.cli import output
from pumpwatch.config import Settings
from pumpwatch.files import free_bytes, gigabytes, size_of
from pumpwatch.growth import DAY_SECONDS, Room, left
from pumpwatch.storage.queries import Reader
from pumpwatch.storage.sizes import measured

_GIGABYTE: Final = 1_000_000_000

#: Beyond it nobody plans.
_LONGEST_DAYS: Final = 3650


class Disk(msgspec.Struct, frozen=True, kw_only=True):
    """
    Bytes, but for *days_left*.

    Attributes:
        database_bytes: Of the file; *wal_bytes* of its log.
        unused_bytes: Of the file: what comes next goes there first.
        free_bytes: Of the disk; None: unknown.
        growth_bytes_per_day: Over the last day; None: not measured yet.
        days_left: Until *full* (``disk``, less [retention] min_free_gb, or ``max_database_gb``) is; None: it does not grow, or
            it is not known.
    """

    database_bytes: int
    wal_bytes: int
    unused_bytes: int
    free_bytes: int | None
    growth_bytes_per_day: float | None
    days_left: float | None
    full: str | None


def disk_of(reader: Reader, settings: Settings, now: float) -> Disk:
    """What is so at unix time *now*."""
    path, retention = settings.pumpwatch.database, settings.retention
    size = measured(reader.rows, now=now)
    free = free_bytes(path)
    ends = left(
        size.growth_bytes_per_day,
        Room(
            used_bytes=size.used_bytes,
            unused_bytes=size.unused_bytes,
            free_bytes=free,
            min_free_bytes=int(retention.min_free_gb * _GIGABYTE),
            most_bytes=int(retention.max_database_gb * _GIGABYTE),
        ),
    )
    return Disk(
        database_bytes=size_of(path),
        wal_bytes=size_of(path.with_name(f"{path.name}-wal")),
        unused_bytes=size.unused_bytes,
        free_bytes=free,
        growth_bytes_per_day=size.growth_bytes_per_day,
        days_left=None if ends is None else ends.days,
        full=None if ends is None else ends.what,
    )


def print_room(disk: Disk) -> None:
    """Two sentences."""
    free = "" if disk.free_bytes is None else f", {gigabytes(disk.free_bytes)} free"
    log = f" and {gigabytes(disk.wal_bytes)} of log" if disk.wal_bytes else ""
    output.print_text(f"disk: {gigabytes(disk.database_bytes)}{log}{free}; {_growth(disk)}")


def _growth(disk: Disk) -> str:
    growth = disk.growth_bytes_per_day
    if growth is None:
        return "what it grows by is known after half an hour"
    if growth < 1:
        return "it does not grow"
    by = f"it grows by {gigabytes(growth)} a day"
    if disk.days_left is None:
        return by
    if disk.days_left > _LONGEST_DAYS:
        return f"{by}, which goes well for more than ten years"
    until = "then the oldest trades go" if disk.full == "max_database_gb" else "until [retention] min_free_gb is reached"
    return f"{by}: {_days(disk.days_left)} left, {until}"


def _days(days: float) -> str:
    return f"{days:.0f} days" if days >= 2 else output.ago(days * DAY_SECONDS)
