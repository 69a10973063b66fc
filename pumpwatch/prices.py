"""
The thread that keeps the US dollar rates of what tokens trade against: now, every so often, and for minutes of the past.

Nothing is stored that only one source says and that is far from what is known; no rate is ever assumed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from loguru import logger

from pumpwatch.backfill.answers import RpcStopped
from pumpwatch.config import Endpoint
from pumpwatch.config_model import PricesSettings
from pumpwatch.errors import DatabaseBusy, DecodeError
from pumpwatch.events import Event, QuotePriced
from pumpwatch.price_history import Candles, PriceHistory
from pumpwatch.price_server import PriceServer, SourceFailed
from pumpwatch.rate_sources import (
    MOST_QUOTES,
    Closes,
    Spot,
    configured_closes,
    configured_spot,
    name_of,
    public_closes,
    public_spots,
)
from pumpwatch.rates import Choice, Offer, choose, near
from pumpwatch.storage.rates import PriceWorklist
from pumpwatch.threads import WorkerThread

#: For one request.
_TIMEOUT_SECONDS: Final = 8.0
#: The longest sleep between two looks at what is due.
_LOOK_SECONDS: Final = 1.0
#: A rate that one source alone tells is compared with another's at least so often.
_CONFIRM_SECONDS: Final = 600.0
#: Where only one source knows a quote, it is asked again so soon about what is not near the last rate.
_AGAIN_SECONDS: Final = 15.0
#: Who was outvoted is left alone so long.
_OUTVOTED_SECONDS: Final = 600.0
_HISTORY_SECONDS: Final = 30.0
_HISTORY_WORKING_SECONDS: Final = 5.0
#: Vain rounds after which it is said that there is no rate.
_VAIN_ROUNDS: Final = 3
_US: Final = 1_000_000


class Live(NamedTuple):
    """A source of prices of now and the server that is asked for them."""

    source: Spot
    server: PriceServer


class _Known(NamedTuple):
    """The last rate of a quote, and when (monotonic) two sources agreed on it last."""

    usd: float
    confirmed_at: float | None


def may_run(settings: PricesSettings, origin: str) -> bool:
    """Whether there is a source for data of this *origin*: real prices are for real trades, unless another server is named."""
    if not settings.enabled:
        return False
    if origin == "simulator":
        return settings.endpoint is not None and settings.endpoint.is_loopback
    return origin == "mainnet" or settings.endpoint is not None


class Prices(WorkerThread):
    """
    Asks the sources one after another, and hands over what is believed.

    Args:
        put: Takes events of now in; False: there is no room.
        put_history: The same for rates of the past; may wait for room.
        spots, closes: The sources; default: those that *settings* name.
        clock, monotonic: Unix time and a clock that never jumps, in seconds.
    """

    def __init__(
        self,
        settings: PricesSettings,
        *,
        database: Path,
        put: Callable[[Sequence[Event]], bool],
        put_history: Callable[[Sequence[Event]], bool],
        origin: str,
        spots: Sequence[Spot] | None = None,
        closes: Sequence[Closes] | None = None,
        timeout_seconds: float = _TIMEOUT_SECONDS,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__("prices")
        self._refresh_seconds = settings.refresh_seconds
        self._database = database
        self._put = put
        self._clock = clock
        self._monotonic = monotonic

        def server(source: Spot | Closes) -> PriceServer:
            endpoint = settings.endpoint or Endpoint.of(source.base)
            return PriceServer(
                source.name,
                endpoint,
                stopping=self.stopping,
                timeout_seconds=timeout_seconds,
                origin=origin,
                monotonic=monotonic,
            )

        spots, closes = _sources(settings.endpoint) if spots is None or closes is None else (spots, closes)
        self._live = [Live(source, server(source)) for source in spots]
        candles = [Candles(source, server(source)) for source in closes]
        self._servers = [*(each.server for each in self._live), *(each.server for each in candles)]
        self._history = PriceHistory(candles, tell=put_history, clock=clock, monotonic=monotonic)
        self._history_every = min(settings.refresh_seconds, _HISTORY_SECONDS)
        self._due = self._history_due = 0.0
        self._known: dict[str, _Known] | None = None
        #: What the only source that knows a quote said last and nobody could confirm.
        self._held: dict[str, float] = {}
        self._vain: dict[str, int] = {}
        self._worklist: PriceWorklist | None = None

    def work(self) -> None:
        try:
            while not self.stopping.is_set():
                self.pulse.beat()
                self.turn()
                due = min(self._due, self._history_due)
                self.stopping.wait(max(0.0, min(due - self._monotonic(), _LOOK_SECONDS)))
        finally:
            self.close()

    def close(self) -> None:
        """Close what is open. Idempotent."""
        for server in self._servers:
            server.close()
        if self._worklist is not None:
            self._worklist.close()
            self._worklist = None

    def turn(self) -> None:
        """What is due now: prices of now, then some minutes of the past."""
        try:
            if self._worklist is None:
                self._worklist = PriceWorklist(self._database)
            if self._monotonic() >= self._due:
                self._due = self._monotonic() + self._refresh_seconds
                self._refresh(self._worklist)
            if self._monotonic() >= self._history_due:
                self._history_due = self._monotonic() + self._history_every
                if self._history.step(self._worklist):
                    self._history_due = self._monotonic() + min(self._history_every, _HISTORY_WORKING_SECONDS)
        except RpcStopped:
            return
        except DatabaseBusy as error:
            logger.debug("prices wait: {}", error)
        finally:
            for server in self._servers:
                server.close()

    # Prices of now

    def _refresh(self, worklist: PriceWorklist) -> None:
        if self._known is None:
            self._known = {rate.quote_mint: _Known(rate.usd, None) for rate in worklist.newest(limit=MOST_QUOTES)}
        quotes = worklist.quotes(limit=MOST_QUOTES)
        at_us = int(self._clock() * _US)
        offers: dict[str, list[Offer]] = {quote: [] for quote in quotes}
        chosen: dict[str, Choice] = {}
        for live in self._live:
            wanted = [quote for quote in quotes if quote not in chosen and live.source.knows(quote)]
            if not wanted or live.server.is_waiting:
                continue
            for quote, usd in self._ask(live, wanted).items():
                offers[quote].append(Offer(live.source.name, usd))
                if (choice := self._choice(quote, offers[quote], is_all=False)) is not None:
                    chosen[quote] = choice
        for quote in quotes:
            if quote not in chosen and (choice := self._choice(quote, offers[quote], is_all=True)) is not None:
                chosen[quote] = choice
        self._tell(chosen, at_us)
        for quote in quotes:
            self._note(quote, offers[quote], chosen.get(quote))

    def _ask(self, live: Live, quotes: Sequence[str]) -> dict[str, float]:
        """What a source says of *quotes*; what it does not say is left out."""
        told: dict[str, float] = {}
        try:
            for asking in live.source.askings(quotes):
                body = live.server.get(asking.path)
                if body is not None:
                    told.update(live.source.read(body, asking, self._clock()))
        except SourceFailed:
            return told
        except DecodeError as error:
            live.server.blame(str(error))
            return told
        live.server.praise()
        return told

    def _choice(self, quote: str, offers: Sequence[Offer], *, is_all: bool) -> Choice | None:
        assert self._known is not None
        known = self._known.get(quote)
        if sum(live.source.knows(quote) for live in self._live) == 1:
            return self._alone(quote, offers, known) if is_all else None
        now = self._monotonic()
        confirm = known is None or known.confirmed_at is None or now - known.confirmed_at >= _CONFIRM_SECONDS
        return choose(offers, last=None if known is None else known.usd, confirm=confirm, is_all=is_all)

    def _alone(self, quote: str, offers: Sequence[Offer], known: _Known | None) -> Choice | None:
        """Nobody else knows this quote: what is far from the last rate must be said twice, some time apart."""
        if not offers:
            return None
        (offer,) = offers
        held = self._held.pop(quote, None)
        if any(near(offer.usd, other) for other in (known and known.usd, held) if other is not None):
            return Choice(offer, confirmed=False)
        self._held[quote] = offer.usd
        self._due = min(self._due, self._monotonic() + _AGAIN_SECONDS)
        return None

    def _tell(self, chosen: dict[str, Choice], at_us: int) -> None:
        events = [
            QuotePriced(quote_mint=quote, minute=at_us // (60 * _US), usd=offer.usd, source=offer.source, at_us=at_us)
            for quote, (offer, _) in chosen.items()
        ]
        if events and not self._put(events):
            logger.debug("prices: no room for {} rates", len(events))

    def _note(self, quote: str, offers: Sequence[Offer], choice: Choice | None) -> None:
        """Remember what was believed; speak of what changed."""
        assert self._known is not None
        name = name_of(quote)
        if choice is None:
            self._vain[quote] = self._vain.get(quote, 0) + 1
            if self._vain[quote] == _VAIN_ROUNDS:
                says = ", ".join(f"{offer.source} {offer.usd:g}" for offer in offers) or "no source tells it"
                logger.warning("prices: no rate of {} is believed now ({}); USD is unknown until then", name, says)
            return
        if self._vain.pop(quote, 0) >= _VAIN_ROUNDS or quote not in self._known:
            logger.info("prices: {} is {:g} USD ({})", name, choice.offer.usd, choice.offer.source)
        before = self._known.get(quote)
        confirmed_at = self._monotonic() if choice.confirmed else None if before is None else before.confirmed_at
        self._known[quote] = _Known(choice.offer.usd, confirmed_at)
        if choice.confirmed:
            self._blame_outliers(offers, choice.offer)

    def _blame_outliers(self, offers: Iterable[Offer], believed: Offer) -> None:
        for offer in offers:
            if not near(offer.usd, believed.usd):
                (live,) = (each for each in self._live if each.source.name == offer.source)
                live.server.blame(f"it says {offer.usd:g} where others say {believed.usd:g}", seconds=_OUTVOTED_SECONDS)


def _sources(endpoint: Endpoint | None) -> tuple[Sequence[Spot], Sequence[Closes]]:
    if endpoint is None:
        return public_spots(), public_closes()
    return (configured_spot(endpoint.host, endpoint.shown),), (configured_closes(endpoint.host, endpoint.shown),)
