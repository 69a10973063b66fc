"""What the record takes on the disk, what it grows by, and how long that goes well: a part of ``status``."""

from __future__ import annotations

from typing import Final

from pumpwatch.cli import output
from pumpwatch.files import gigabytes
from pumpwatch.growth import DAY_SECONDS
from pumpwatch.overview import Disk

#: Beyond it nobody plans.
_LONGEST_DAYS: Final = 3650


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
