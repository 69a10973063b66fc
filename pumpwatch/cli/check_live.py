"""``check --live``: record one busy token for real, and compare with what the chain lists of its account."""

from __future__ import annotations

import dataclasses
import functools
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from pumpwatch.backfill.rpc import Rpc, RpcFailed
from pumpwatch.budget import PUMPPORTAL, Budget
from pumpwatch.cli.finding import Finding
from pumpwatch.config import Settings
from pumpwatch.decode import pumpportal, solana
from pumpwatch.decode.addresses import bonding_curve, canonical_pool
from pumpwatch.decode.solana import Answer, Decoded, Notified, SlotSeen
from pumpwatch.errors import DatabaseError
from pumpwatch.events import Counted, Delivery, Event, PoolSeen, Rejected, Trade
from pumpwatch.feeds.feed import Feed
from pumpwatch.feeds.helius import HeliusFeed
from pumpwatch.feeds.pumpportal import PumpPortalFeed
from pumpwatch.feeds.wanted import Wanted
from pumpwatch.providers import ORIGIN_HEADER, provider_of
from pumpwatch.storage.store import Store
from pumpwatch.threads import Deadline

#: How long a busy token is looked for, and how many trades make one busy enough to look no further.
_LOOK_SECONDS: Final = 10.0
_BUSY_TRADES: Final = 20
#: Slots, and a subscription for curve and pool or one for both.
_FEWEST_ANSWERS: Final = 2
_QUIET_SECONDS: Final = 1.0
#: What is confirmed at the end may still be on its way.
_GRACE_SECONDS: Final = 10.0
_JOIN_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.1
_PAGE: Final = 1000
_MOST_PAGES: Final = 20
_SHOWN_SIGNATURES: Final = 3


class NotPossible(Exception):
    """The comparison cannot be made; the text says why."""


class _Listed(msgspec.Struct):
    """What the chain's list says of one transaction."""

    signature: str
    slot: int
    err: object = None


class _Heard:
    """Counts what a feed hears, at its decoder: before anything of ours could lose it. Written by the feed's thread alone."""

    def __init__(self) -> None:
        self.messages = 0
        self.received_bytes = 0
        self.slot = 0
        self.answers = 0
        self.answered_at = 0.0
        self.refusals: list[str] = []
        self.signatures: set[str] = set()
        self.trades: Counter[str] = Counter()
        self.unknown: Counter[str] = Counter()
        self.passed_over: Counter[str] = Counter()

    def solana(self, raw: bytes, pools: Mapping[str, PoolSeen]) -> Decoded:
        decoded = solana.decode_message(raw, pools)
        if isinstance(decoded, SlotSeen):
            self.slot = max(self.slot, decoded.slot)
            return decoded
        self._count(raw)
        if isinstance(decoded, Answer):
            self.answers += 1
            self.answered_at = time.monotonic()
            if decoded.error_message:
                self.refusals.append(decoded.error_message)
        elif isinstance(decoded, Notified):
            self.signatures.add(decoded.signature)
            self._take(decoded.events)
        else:
            self._take((decoded,))
        return decoded

    def pumpportal(self, raw: bytes) -> tuple[Event, ...] | pumpportal.Control:
        decoded = pumpportal.decode_message(raw)
        self._count(raw)
        if isinstance(decoded, tuple):
            self._take(decoded)
        elif decoded.kind in ("refused", "bad method", "unknown"):
            self.refusals.append(decoded.text)
        return decoded

    def _count(self, raw: bytes) -> None:
        self.messages += 1
        self.received_bytes += len(raw)

    def _take(self, events: tuple[Event, ...]) -> None:
        for event in events:
            if isinstance(event, Trade):
                self.trades[event.mint] += 1
            elif isinstance(event, Rejected):
                self.unknown[event.kind] += 1
            elif isinstance(event, Counted):
                self.passed_over[event.kind] += 1

    def told(self) -> str:
        """What became of the messages, in a sentence without an end."""
        size = f"{self.received_bytes / 1000:,.1f} kB"
        text = f"{size}, decoded {self.trades.total()} trades, not understood: {_listing(self.unknown)}"
        return text + (f" (passed over on purpose: {_listing(self.passed_over)})" if self.passed_over else "")


def live_findings(settings: Settings, seconds: float, budget: Budget) -> Iterator[Finding]:
    """Record for *seconds*, compare, and say what was received, decoded, not understood and missing."""
    if not settings.helius.enabled:
        yield Finding("live", "wrong", "the comparison needs the chain's feed: set [helius] enabled = yes", 1)
        return
    try:
        with (
            Rpc(settings.helius.rpc, timeout_seconds=settings.connection.connect_timeout_seconds) as rpc,
            tempfile.TemporaryDirectory(prefix="pumpwatch-") as folder,
        ):
            yield from _Trial(settings, budget, rpc, Path(folder)).findings(seconds)
    except (NotPossible, RpcFailed, DatabaseError) as error:
        yield Finding("live", "wrong", f"not finished: {error}", 1)


class _Trial:
    """One recording of one token into a database that is thrown away."""

    def __init__(self, settings: Settings, budget: Budget, rpc: Rpc, folder: Path) -> None:
        self._settings = settings
        self._budget = budget
        self._rpc = rpc
        self._slot_now()  # also tells the origin, by a header of the answer
        self._origin = rpc.headers.get(ORIGIN_HEADER, "mainnet")
        self._database = folder / "live.db"
        self._lock = threading.Lock()

    def findings(self, seconds: float) -> Iterator[Finding]:
        mint = self._settings.watch.mints[0] if self._settings.watch.mints else self._busiest()
        yield Finding("live", "ok", f"recording {mint} for {seconds:g} s")
        heard, portal_heard = _Heard(), _Heard()
        store = Store.open(self._database, origin=self._origin)
        try:
            feed = self._chain_feed(heard, store, scope="watched")
            portal = self._portal_feed(portal_heard, store)
            feeds: list[Feed] = [feed, *([portal] if portal else [])]
            wanted = Wanted(mints=frozenset({mint}), pinned=frozenset({mint}), completed=frozenset({mint}))
            try:
                for each in feeds:
                    each.want(wanted)
                    each.start()
                self._wait_for_subscription(feed, heard)
                first = max(self._slot_now(), heard.slot)
                _wait(seconds, feed, lambda: False)
                last = self._slot_now()
                listed = self._listed(mint, first, last)
                _wait(_GRACE_SECONDS, feed, lambda: listed <= heard.signatures)
            finally:
                _stop(feeds)
            stored = store.trades
        finally:
            store.close()
        yield _received(heard, stored)
        yield _compared(listed, heard, (first, last), lost=feed.state().connects - 1)
        if portal is not None:
            yield _portal_finding(portal_heard, portal.state().reason)

    # Feeds

    def _chain_feed(self, heard: _Heard, store: Store | None, *, scope: Literal["watched", "all"]) -> HeliusFeed:
        helius = self._settings.helius
        return HeliusFeed(
            settings=dataclasses.replace(helius, scope=scope),
            provider=provider_of(helius.ws.host, is_loopback=helius.ws.is_loopback),
            decode=heard.solana,
            **self._common(store),
        )

    def _portal_feed(self, heard: _Heard, store: Store) -> PumpPortalFeed | None:
        if not self._settings.pumpportal.enabled:
            return None
        return PumpPortalFeed(
            settings=self._settings.pumpportal,
            decode=heard.pumpportal,
            received=lambda size, paid: self._budget.received(PUMPPORTAL, size, paid=paid),
            paid_allowed=functools.partial(self._budget.paid_allowed, PUMPPORTAL),
            **self._common(store),
        )

    def _common(self, store: Store | None) -> dict[str, Any]:
        def deliver(delivery: Delivery) -> bool:
            if store is not None:
                with self._lock:  # two feeds, one writing connection
                    store.apply([delivery])
            return True

        return {"connection": self._settings.connection, "deliver": deliver, "room": lambda: True, "origin": self._origin}

    # Steps

    def _busiest(self) -> str:
        """The token with the most trades in some seconds of all of them."""
        heard = _Heard()
        feed = self._chain_feed(heard, None, scope="all")
        feed.start()
        try:
            _wait(_LOOK_SECONDS, feed, lambda: any(count >= _BUSY_TRADES for count in list(heard.trades.values())))
        finally:
            _stop([feed])
        if not heard.trades:
            why = feed.state().reason or "; ".join(heard.refusals[:1]) or f"no trade in {_LOOK_SECONDS:g} s"
            raise NotPossible(f"no busy token was found ({why}): name one in [watch] mints")
        return heard.trades.most_common(1)[0][0]

    def _wait_for_subscription(self, feed: HeliusFeed, heard: _Heard) -> None:
        def is_settled() -> bool:
            return heard.answers >= _FEWEST_ANSWERS and time.monotonic() - heard.answered_at > _QUIET_SECONDS

        _wait(self._settings.connection.connect_timeout_seconds + _GRACE_SECONDS, feed, is_settled)
        if not is_settled() or feed.state().state != "connected":
            reason = feed.state().reason or "; ".join(heard.refusals[:1]) or "the server does not answer"
            raise NotPossible(f"the subscription was not confirmed: {reason}")

    def _slot_now(self) -> int:
        slot = self._rpc.call("getSlot", [{"commitment": "confirmed"}])
        if not isinstance(slot, int):
            raise NotPossible("the RPC endpoint does not tell its slot")
        return slot

    def _listed(self, mint: str, first: int, last: int) -> set[str]:
        """Successful transactions of the token's curve and pool after slot *first*, up to *last*, by the chain's own list."""
        found: set[str] = set()
        for address in (bonding_curve(mint), canonical_pool(mint)):
            before: str | None = None
            for _ in range(_MOST_PAGES):
                options = {"limit": _PAGE, "commitment": "confirmed", **({"before": before} if before else {})}
                rows = _rows(self._rpc.call("getSignaturesForAddress", [address, options]))
                found |= {row.signature for row in rows if first < row.slot <= last and row.err is None}
                if len(rows) < _PAGE or rows[-1].slot <= first:
                    break
                before = rows[-1].signature
        return found


def _rows(answer: object) -> list[_Listed]:
    try:
        return msgspec.convert(answer, list[_Listed])
    except msgspec.ValidationError as error:
        raise NotPossible("the RPC endpoint's list of signatures cannot be read") from error


def _wait(seconds: float, feed: Feed, is_enough: Callable[[], bool]) -> None:
    """
    Let the feeds work until *is_enough*, for *seconds* at most.

    Raises:
        NotPossible: The chain's feed was refused, or ended.

    """
    deadline = Deadline(seconds)
    while deadline.left() and not is_enough():
        if feed.error is not None or feed.state().state in ("refused", "exhausted", "banned?"):
            raise NotPossible(feed.state().reason or "the feed ended by an error")
        time.sleep(min(_POLL_SECONDS, deadline.left()))


def _stop(feeds: list[Feed]) -> None:
    for feed in feeds:
        feed.stop()
    deadline = Deadline(_JOIN_SECONDS)
    for feed in feeds:
        if feed.ident is not None:
            feed.join(deadline.left())


def _listing(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in counts.most_common()) or "nothing"


def _received(heard: _Heard, stored: int) -> Finding:
    text = f"received {len(heard.signatures)} transactions, {heard.told()}; stored {stored} trades, of all feeds"
    return Finding("live", "note" if heard.unknown else "ok", text)


def _compared(listed: set[str], heard: _Heard, slots: tuple[int, int], *, lost: int) -> Finding:
    listing = f"the chain lists {len(listed)} transactions in slots {slots[0] + 1} to {slots[1]}"
    if not listed:
        return Finding("live", "note", f"{listing}: nothing to compare; take longer, or name a busy token in [watch] mints")
    missing = sorted(listed - heard.signatures)
    if not missing:
        return Finding("live", "ok", f"{listing}: all were received, 0 missing")
    shown = ", ".join(missing[:_SHOWN_SIGNATURES])
    cuts = f" (the connection was lost {lost} times)" if lost else ""
    return Finding("live", "wrong", f"{listing}: {len(missing)} missing{cuts}: {shown}", 1)


def _portal_finding(heard: _Heard, reason: str) -> Finding:
    said = "; ".join(heard.refusals[:1]) or reason
    text = f"PumpPortal: received {heard.messages} messages, {heard.told()}" + (f"; it says: {said}" if said else "")
    return Finding("live", "note" if heard.unknown or said else "ok", text)
