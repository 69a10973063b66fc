"""A clock for durations of hours that must be told in unix time: it does not follow the system's clock when that jumps."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

#: Two looks may differ so much from what has passed meanwhile: a slow step, or a clock that is being corrected gently.
_TOLERANCE_SECONDS: Final = 5.0

#: A clock that is off for so long was set; before that it may have been a mistake of moments.
_BELIEVED_AFTER_SECONDS: Final = 60.0


class SteadyClock:
    """
    One thread.

    Attributes:
        stepped_seconds: By how much the time was set with the last call; 0.0 mostly. What is kept in the old time is to be moved.
    """

    def __init__(self, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._base = wall() - monotonic()
        self._off_since: float | None = None
        self.stepped_seconds = 0.0

    def time(self) -> float:
        """Unix time in seconds, as it would be had nobody set the clock within the last minute."""
        monotonic = self._monotonic()
        off = self._wall() - monotonic - self._base
        self.stepped_seconds = 0.0
        if abs(off) <= _TOLERANCE_SECONDS:
            self._off_since = None
            self._base += off
            return self._base + monotonic
        if self._off_since is None:
            self._off_since = monotonic
        if monotonic - self._off_since >= _BELIEVED_AFTER_SECONDS:
            self._off_since = None
            self._base += off
            self.stepped_seconds = off
        return self._base + monotonic
