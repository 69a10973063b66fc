"""What each feed really sent on an open socket, and which coins somebody asked for: the measure of every grading."""

from __future__ import annotations

import threading
import time
from array import array
from collections.abc import Iterable, Iterator
from typing import Final, Literal, TypeAlias

Feed: TypeAlias = Literal["pumpportal", "helius"]
FEEDS: Final[tuple[Feed, ...]] = ("pumpportal", "helius")


class Delivered:
    """
    Trades by their number in the ledger, with the time at which a feed first sent each.

    Times are milliseconds since the start of the run, plus one; 0 is "never sent". Four bytes a trade and feed. Any thread.
    """

    def __init__(self) -> None:
        self._started = time.time()
        self._began = time.monotonic()
        self._times: dict[Feed, array[int]] = {feed: array("I") for feed in FEEDS}
        self._lock = threading.Lock()
        self.in_flight = 0

    def mark(self, feed: Feed, numbers: Iterable[int]) -> list[int]:
        """Note that *feed* sent these trades now; returns those that it had not sent before."""
        now = int((time.monotonic() - self._began) * 1000) + 1
        new = []
        with self._lock:
            times = self._times[feed]
            for number in numbers:
                if number >= len(times):
                    times.extend([0] * (number + 1024 - len(times)))
                if not times[number]:
                    times[number] = now
                    new.append(number)
        return new

    def unmark(self, feed: Feed, numbers: Iterable[int]) -> None:
        """Take back: the peer had closed before it could read them."""
        with self._lock:
            for number in numbers:
                if self._times[feed][number]:
                    self._times[feed][number] = 0
                    self.in_flight += 1

    def numbers(self, feed: Feed) -> Iterator[int]:
        """Trades that *feed* sent, in the ledger's order."""
        with self._lock:
            times = array("I", self._times[feed])
        return (number for number, at in enumerate(times) if at)

    def sent_at_us(self, feed: Feed, number: int) -> int | None:
        """When *feed* first sent a trade, in unix microseconds; None if never."""
        times = self._times[feed]
        at = times[number] if number < len(times) else 0
        return int(self._started * 1e6) + (at - 1) * 1000 if at else None

    def count_any(self) -> int:
        """How many trades were sent by any feed."""
        return len({number for feed in FEEDS for number in self.numbers(feed)})

    def count(self, feed: Feed) -> int:
        """How many trades *feed* sent."""
        return sum(1 for _ in self.numbers(feed))


class Interest:
    """From which trade of the run to which one each feed was asked for a coin (reconnects do not end it). Any thread."""

    def __init__(self) -> None:
        self._spells: dict[tuple[Feed, str], list[list[int]]] = {}
        self._lock = threading.Lock()

    def begin(self, feed: Feed, mint: str, number: int) -> None:
        """Somebody subscribed to *mint*; *number* is the next trade's."""
        with self._lock:
            spells = self._spells.setdefault((feed, mint), [])
            if not spells or spells[-1][1] >= 0:
                spells.append([number, -1])

    def end(self, feed: Feed, mint: str, number: int) -> None:
        """The last subscription to *mint* was given up by the client."""
        with self._lock:
            spells = self._spells.get((feed, mint))
            if spells and spells[-1][1] < 0:
                spells[-1][1] = number

    def covers(self, mint: str, number: int) -> bool:
        """Was any feed asked for *mint* when trade *number* happened?"""
        for feed in FEEDS:
            for first, last in self._spells.get((feed, mint), ()):
                if first <= number and (last < 0 or number < last):
                    return True
        return False
