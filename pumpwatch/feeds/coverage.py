"""Which time a feed has covered, and the gap it leaves behind when its connection ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from pumpwatch.events import Delivery, GapOpened
from pumpwatch.feeds.outcome import Ending


@dataclass(frozen=True, slots=True)
class _Gap:
    cause: str
    from_us: int
    detail: str


class Coverage:
    """
    Tells of each stretch without data as a :class:`GapOpened`: when it begins, and again with its end.

    For the feed's thread only. A gap begins with the last data that was taken, not when the loss was noticed.

    Args:
        feed: Its name.
        deliver: Takes the event; False when there is no room: it is told again later.

    """

    def __init__(self, feed: str, deliver: Callable[[Delivery], bool]) -> None:
        self._feed = feed
        self._deliver = deliver
        self._gap: _Gap | None = None
        #: Up to here nothing is missing that this feed could have had; 0 before the first connection.
        self.until_us = 0

    @property
    def has_gap(self) -> bool:
        """A gap waits for its end."""
        return self._gap is not None

    def lose(self, ending: Ending) -> None:
        """The connection has ended. A second end within one gap belongs to it."""
        if self._gap is not None or not self.until_us:
            return
        cause = ending.kind if ending.kind in ("silent", "spill full") else "disconnected"
        self._gap = _Gap(cause, self.until_us, ending.reason)
        if cause != "spill full":  # then nobody would take it
            self.tell()

    def regain(self, now_us: int) -> None:
        """Data flows again."""
        if self.tell(to_us=now_us):
            self._gap = None

    def tell(self, *, to_us: int | None = None) -> bool:
        """Deliver the gap, if there is one, as far as it is known. The same gap told twice is one row."""
        if self._gap is None:
            return True
        gap = GapOpened(cause=self._gap.cause, from_us=self._gap.from_us, to_us=to_us, feed=self._feed, detail=self._gap.detail)
        return self._deliver(Delivery(source="pumpwatch", received_at_us=time.time_ns() // 1000, events=(gap,)))
