"""US dollar rates of the past, for trades that were fetched later: one-minute closes, asked for by stretches, each once."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, TypeAlias

from loguru import logger

from pumpwatch.errors import DecodeError
from pumpwatch.events import Event, QuotePriced, RatesSought
from pumpwatch.price_server import PriceServer, SourceFailed
from pumpwatch.rate_sources import MOST_QUOTES, Closes, name_of
from pumpwatch.rates import Ranges, believed, confirmed
from pumpwatch.storage.rates import PriceWorklist

#: A minute is over, and its close told by everybody, so many minutes later.
_SETTLED_MINUTES: Final = 3

#: Minutes with trades that are looked at in a step: the newest, and so many further down, where the last step ended.
_NEWEST_MINUTES: Final = 1_500
_OLDER_MINUTES: Final = 5_000
#: Stretches asked for in a step.
_MOST_STRETCHES: Final = 4
#: What not all sources could be asked about waits.
_LATER_SECONDS: Final = 600.0
#: Stretches remembered beside those that the record keeps.
_MOST_ASKED: Final = 5_000

#: Takes events in, all or none; False: there is no room now.
Tell: TypeAlias = Callable[[Sequence[Event]], bool]


class Candles(NamedTuple):
    """A source of closes and the server that is asked for them."""

    source: Closes
    server: PriceServer


class _Found(NamedTuple):
    """
    What a stretch came to.

    Attributes:
        rates: US dollars and source by minute.
        told: Minutes for which a source told anything, believed or not.
        is_all: Every source that knows the quote has answered: what is not told is told by nobody.
        is_done: Asking again would bring nothing new.
    """

    rates: dict[int, tuple[float, str]]
    told: set[int]
    is_all: bool
    is_done: bool


class PriceHistory:
    """
    Fills minutes that have trades and no rate, the newest first; one thread.

    A close is believed if it follows from a known rate without a jump, else only if a second source says the same.

    Args:
        candles: In the order in which they are asked.
        tell: Takes rates in.
        clock: Unix time in seconds.
    """

    def __init__(
        self,
        candles: Sequence[Candles],
        *,
        tell: Tell,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._candles = candles
        self._tell = tell
        self._clock = clock
        self._monotonic = monotonic
        #: By quote: what no source has (the record keeps it), what was asked for since the start, what waits, where to go on.
        self._sought: dict[str, Ranges] = {}
        self._asked: dict[str, Ranges] = {}
        self._later: dict[str, tuple[float, Ranges]] = {}
        self._cursor: dict[str, int] = {}

    def step(self, worklist: PriceWorklist) -> bool:
        """Ask for some of what is missing. True: there may be more."""
        more = False
        for quote in worklist.traded_quotes(limit=MOST_QUOTES):
            if any(each.source.knows(quote) for each in self._candles):
                more |= self._step(worklist, quote)
        return more

    def _step(self, worklist: PriceWorklist, quote: str) -> bool:
        if quote not in self._sought:
            self._sought[quote] = Ranges(worklist.sought(quote))
            self._asked[quote] = Ranges(most=_MOST_ASKED)
        minutes = self._missing(worklist, quote)
        if minutes and self._is_alone(quote) and worklist.nearest(quote, minutes[0]) is None:
            return False  # nothing to compare it with: a rate of now comes first
        for _ in range(_MOST_STRETCHES):
            if not minutes:
                return False
            servers = [each for each in self._candles if each.source.knows(quote) and not each.server.is_waiting]
            if not servers:
                return False
            most = min(each.source.most_minutes for each in servers)
            last = minutes[0]
            stretch = [minute for minute in minutes if minute > last - most]
            if not self._fill(worklist, quote, stretch, servers):
                return False
            minutes = minutes[len(stretch) :]
        return bool(minutes)

    def _is_alone(self, quote: str) -> bool:
        """Only one source has closes of it."""
        return sum(each.source.knows(quote) for each in self._candles) == 1

    def _missing(self, worklist: PriceWorklist, quote: str) -> list[int]:
        """Minutes to be asked for, the newest first."""
        newest = int(self._clock() // 60) - _SETTLED_MINUTES + 1
        top = worklist.walk(quote, before=newest, steps=_NEWEST_MINUTES)
        if minutes := self._wanted(quote, top.unpriced):
            return minutes
        if top.reached is None:
            return []
        below = worklist.walk(quote, before=min(self._cursor.get(quote, top.reached), top.reached), steps=_OLDER_MINUTES)
        minutes = self._wanted(quote, below.unpriced)
        if not minutes and below.reached is not None:
            self._cursor[quote] = below.reached
        elif not minutes:
            self._cursor.pop(quote, None)
        return minutes

    def _wanted(self, quote: str, minutes: Sequence[int]) -> list[int]:
        until, later = self._later.get(quote, (0.0, Ranges()))
        if self._monotonic() >= until:
            self._later.pop(quote, None)
            later = Ranges()
        known = (self._sought[quote], self._asked[quote], later)
        return [minute for minute in minutes if not any(minute in ranges for ranges in known)]

    def _fill(self, worklist: PriceWorklist, quote: str, wanted: Sequence[int], servers: Sequence[Candles]) -> bool:
        """Ask for *wanted*, the newest first, and all between. False: what came could not be handed over."""
        first, last = wanted[-1], wanted[0]
        found = self._ask(quote, wanted, servers, worklist.nearest(quote, last))
        at_us = int(self._clock() * 1_000_000)
        events: list[Event] = [
            QuotePriced(quote_mint=quote, minute=minute, usd=usd, source=source, at_us=at_us)
            for minute, (usd, source) in sorted(found.rates.items())
        ]
        silent = [minute for minute in range(first, last + 1) if minute not in found.told] if found.is_all else []
        if silent:
            self._sought[quote].add(silent)
            events.append(RatesSought(quote_mint=quote, ranges=self._sought[quote].as_tuple()))
        if events and not self._tell(events):
            return False
        doubtful = [minute for minute in wanted if minute in found.told and minute not in found.rates]
        if doubtful and found.is_done:
            logger.warning(
                "prices: {} minutes of {} stay without a rate: the sources differ, or tell of a jump",
                len(doubtful),
                name_of(quote),
            )
        if found.is_done:
            self._asked[quote].add_ranges([(first, last)])
        else:
            self._asked[quote].add(found.rates)
            _, later = self._later.get(quote, (0.0, Ranges()))
            later.add(minute for minute in wanted if minute not in found.rates)
            self._later[quote] = (self._monotonic() + _LATER_SECONDS, later)
        return True

    def _ask(self, quote: str, wanted: Sequence[int], servers: Sequence[Candles], anchor: tuple[int, float] | None) -> _Found:
        rates: dict[int, tuple[float, str]] = {}
        told: dict[int, float] = {}
        answered = 0
        for each in servers:
            closes = self._closes(each, quote, wanted[-1], wanted[0])
            if closes is None:
                continue
            answered += 1
            if rates and (anchor is None or anchor[0] not in rates):
                nearest = max(rates)
                anchor = (nearest, rates[nearest][0])
            for minute, usd in {**believed(closes, anchor), **confirmed(closes, told)}.items():
                rates.setdefault(minute, (usd, each.source.name))
            told = {**closes, **told}
            if all(minute in rates for minute in wanted):
                break
        is_all = answered == sum(each.source.knows(quote) for each in self._candles)
        return _Found(rates, set(told), is_all, is_done=is_all or all(minute in rates for minute in wanted))

    def _closes(self, each: Candles, quote: str, first: int, last: int) -> dict[int, float] | None:
        """By minute; None: the source failed."""
        try:
            body = each.server.get(each.source.path(quote, first, last))
            closes = {} if body is None else each.source.read(body, first, last)
        except SourceFailed:
            return None
        except DecodeError as error:
            each.server.blame(str(error))
            return None
        each.server.praise()
        return closes
