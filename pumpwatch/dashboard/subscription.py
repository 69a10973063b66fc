"""One client who listens."""

from __future__ import annotations

import time
from typing import Final

from pumpwatch.dashboard.answers import LiveEvent
from pumpwatch.dashboard.live import Live
from pumpwatch.dashboard.ticks import Interest, Position
from pumpwatch.errors import DatabaseError, TransientError

_RETRY_SECONDS: Final = 0.2


class Subscription:
    """
    One client's line, for the thread that serves it.

    Attributes:
        cursor: Behind the last event that was taken.

    Args:
        after: Where an earlier line ended; None: from now on.

    Raises:
        TooManyStreams: Others have all there are.

    """

    def __init__(self, live: Live, interest: Interest, after: Position | None = None) -> None:
        self._live = live
        self._interest = interest
        self._position = after
        self._missed: list[LiveEvent] = []
        self._has_begun = False
        self._number = live.enter(interest)
        self.cursor = ""

    def take(self, timeout_seconds: float) -> list[LiveEvent]:
        """
        What happened since the last time, ``hello`` alone first. Nothing: not in this time, or the record cannot be read.

        A line that is cut in the middle of what was taken is told it again by the next; nothing is left out.
        """
        try:
            return self._next(timeout_seconds)
        except (DatabaseError, TransientError):
            self._live.stopping.wait(min(_RETRY_SECONDS, timeout_seconds))
            self._live.wait_for_record(timeout_seconds)
            return []

    def close(self) -> None:
        """Idempotent."""
        self._live.leave(self._number)

    def _next(self, timeout_seconds: float) -> list[LiveEvent]:
        if not self._has_begun:
            return self._hello()
        assert self._position is not None
        events, self._missed = self._missed, []
        if not events and self._position.tick:
            events, self._position = self._live.wait(self._interest, self._position, timeout_seconds)
        elif not events:  # nobody read then
            _, events, self._position = self._live.begin(self._interest, self._position)
        self.cursor = self._position.text()
        return events

    def _hello(self) -> list[LiveEvent]:
        origin, self._missed, position = self._live.begin(self._interest, self._position)
        # It begins where the client was: what it missed follows.
        self.cursor = (self._position or position).text()
        self._position, self._has_begun = position, True
        return [LiveEvent("hello", {"cursor": self.cursor, "origin": origin, "now": time.time()})]
