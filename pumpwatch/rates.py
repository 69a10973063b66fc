"""PURE. Which of the prices that sources tell are believed, and which minutes of the past have been asked for."""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

#: Prices that differ by no more are one price.
TOLERANCE: Final = 0.05

#: A price so much earlier or later may differ by this much more for each hour between them, up to the most.
_TOLERANCE_PER_HOUR: Final = 0.01
_LARGEST_TOLERANCE: Final = 0.5

#: Stretches of minutes without a close that are remembered.
MOST_RANGES: Final = 500


class Offer(NamedTuple):
    """What one source says a whole one of a quote costs."""

    source: str
    usd: float


class Choice(NamedTuple):
    """
    The offer that is believed.

    Attributes:
        confirmed: Two sources say so.
    """

    offer: Offer
    confirmed: bool


def near(one: float, other: float, *, tolerance: float = TOLERANCE) -> bool:
    """Whether two positive prices differ by at most *tolerance* of the smaller."""
    return abs(one - other) <= tolerance * min(one, other)


def choose(offers: Sequence[Offer], *, last: float | None, confirm: bool, is_all: bool) -> Choice | None:
    """
    The offer to be believed, or None: another source must be asked, or there is none.

    Two that agree confirm each other. One alone is believed if it is near the *last* known rate and need not *confirm*, or if
    nobody else answers (*is_all*). What nobody confirms is not believed.
    """
    for place, offer in enumerate(offers):
        if any(near(offer.usd, other.usd) for other in offers[place + 1 :]):
            return Choice(offer, confirmed=True)
    if len(offers) == 1 and last is not None and near(offers[0].usd, last) and (is_all or not confirm):
        return Choice(offers[0], confirmed=False)
    return None


def believed(closes: Mapping[int, float], anchor: tuple[int, float] | None) -> dict[int, float]:
    """
    Those of *closes* (by minute) that follow from a known rate without a jump: *anchor* is its minute and US dollars.

    Each is compared with the nearest that is believed already, first forward in time, then backward. None: nothing is.
    """
    if anchor is None:
        return {}
    minutes = sorted(closes)
    found: dict[int, float] = {}
    start = bisect.bisect_left(minutes, anchor[0])
    for way in (minutes[start:], minutes[:start][::-1]):
        last_minute, last_usd = anchor
        for minute in way:
            if near(closes[minute], last_usd, tolerance=_tolerance(abs(minute - last_minute))):
                found[minute] = closes[minute]
                last_minute, last_usd = minute, closes[minute]
    return found


def confirmed(closes: Mapping[int, float], others: Mapping[int, float]) -> dict[int, float]:
    """Those of *closes* that another source tells too."""
    return {minute: usd for minute, usd in closes.items() if (other := others.get(minute)) is not None and near(usd, other)}


def _tolerance(minutes: int) -> float:
    return min(TOLERANCE + _TOLERANCE_PER_HOUR * minutes / 60, _LARGEST_TOLERANCE)


class Ranges:
    """
    A set of minutes, kept as stretches; the oldest are forgotten beyond *most* stretches.

    Args:
        ranges: First and last minute of each.
    """

    def __init__(self, ranges: Iterable[tuple[int, int]] = (), *, most: int = MOST_RANGES) -> None:
        self._most = most
        self._ranges: list[tuple[int, int]] = []
        self.add_ranges(ranges)

    def add(self, minutes: Iterable[int]) -> None:
        """Add single minutes."""
        self.add_ranges((minute, minute) for minute in minutes)

    def add_ranges(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Add stretches."""
        joined: list[tuple[int, int]] = []
        for first, last in sorted((*self._ranges, *ranges)):
            if joined and first <= joined[-1][1] + 1:
                joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
            else:
                joined.append((first, last))
        self._ranges = joined[-self._most :]

    def __contains__(self, minute: int) -> bool:
        place = bisect.bisect(self._ranges, (minute, math.inf)) - 1
        return place >= 0 and minute <= self._ranges[place][1]

    def as_tuple(self) -> tuple[tuple[int, int], ...]:
        """The stretches, the oldest first."""
        return tuple(self._ranges)
