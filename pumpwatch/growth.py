"""PURE. How fast the database grows, and when what it may take is taken."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

DAY_SECONDS: Final = 86_400

#: Growth is that of the last day; what was measured over less than this says nothing of a day.
_LEAST_SECONDS: Final = 1800


class Room(NamedTuple):
    """
    What the database takes and may take, in bytes.

    Attributes:
        used_bytes: Of pages that hold something, in the file or in its log.
        unused_bytes: Of pages of the file that are free: what comes next goes there first.
        free_bytes: Of the disk; None: unknown.
        min_free_bytes: Of the disk: what must stay free.
        most_bytes: Above it the oldest trades go; 0: there is no limit.
    """

    used_bytes: int
    unused_bytes: int
    free_bytes: int | None
    min_free_bytes: int
    most_bytes: int


class Left(NamedTuple):
    """*what*, ``disk`` or ``max_database_gb``, is full after *days*."""

    days: float
    what: str


def bytes_per_day(samples: Iterable[tuple[int, int]], *, now: float, used_bytes: int) -> float | None:
    """
    Return the growth over the last day, or since the first sample in it. None: that is too short a time.

    Args:
        samples: When (unix seconds), and the bytes in use then.
        now: Unix seconds, and the bytes in use.

    """
    lately = [(at, used) for at, used in samples if now - DAY_SECONDS - 3600 <= at <= now - _LEAST_SECONDS]
    if not lately:
        return None
    at, used = min(lately)
    return (used_bytes - used) / (now - at) * DAY_SECONDS


def left(growth_bytes_per_day: float | None, room: Room) -> Left | None:
    """Return what is full first, and when. None: nothing will be, or nobody knows."""
    if growth_bytes_per_day is None or growth_bytes_per_day < 1:
        return None
    ends = []
    if room.free_bytes is not None:
        ends.append((room.free_bytes - room.min_free_bytes + room.unused_bytes, "disk"))
    if room.most_bytes:
        ends.append((room.most_bytes - room.used_bytes, "max_database_gb"))
    if not ends:
        return None
    bytes_left, what = min(ends)
    return Left(max(0.0, bytes_left / growth_bytes_per_day), what)
