"""The time between the wish to watch a token and the server's word that it is watched, as gaps."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from pumpwatch.events import Delivery, GapOpened
from pumpwatch.feeds.shortfall import Subject

_CAUSE = "watched"


@dataclass(frozen=True, slots=True)
class _Waiting:
    """Not confirmed since *since_us*. *is_new*: no other gap tells of it."""

    since_us: int
    is_new: bool


class Beginnings:
    """
    Tells of each token that is not confirmed yet as a :class:`GapOpened`: when it is first wanted, and again with its end.

    A lost connection has its own gap, and a restart too: what they cover is told of only if it outlasts them. Not thread-safe:
    its user holds a lock, but for :meth:`tell`, which belongs to the thread that calls :meth:`look`. Memory is bounded by what
    is wanted.

    Args:
        feed: Its name.
        deliver: Takes the events; False when there is no room: they are told again at the next look.

    """

    def __init__(self, feed: str, deliver: Callable[[Delivery], bool]) -> None:
        self._feed = feed
        self._deliver = deliver
        self._addresses: Mapping[Subject, Sequence[str]] = {}
        self._waiting: dict[str, _Waiting] = {}
        #: Token -> the addresses that were confirmed on this connection, or that another gap tells of.
        self._settled: dict[str, frozenset[str]] = {}
        self._open: dict[str, GapOpened] = {}
        self._has_lapsed = False

    def lapse(self) -> None:
        """A new connection: nothing is confirmed any more."""
        self._has_lapsed = True

    def look(
        self,
        addresses: Mapping[Subject, Sequence[str]],
        is_delivered: Callable[[Sequence[str]], bool],
        lacks: Collection[Subject],
        *,
        now_us: int,
        covered: Collection[str] = (),
        is_covered: bool = False,
    ) -> list[GapOpened]:
        """
        Return what is to be told now, for :meth:`tell`.

        Args:
            addresses: Those of each wanted token. Another mapping, when that has changed.
            lacks: Subjects of which :class:`~pumpwatch.feeds.shortfall.Shortfall` tells.
            covered: Tokens in the gap of a restart, now.
            is_covered: There is the gap of a connection, now, or of a restart.

        """
        if self._has_lapsed:
            self._has_lapsed = False
            self._waiting |= {mint: _Waiting(now_us, is_new=False) for mint in self._settled if mint not in self._waiting}
            self._settled.clear()
        if addresses is not self._addresses:
            self._take(addresses, covered, now_us)
            self._addresses = addresses
        if not (self._waiting or self._open):
            return []
        for mint in [mint for mint in self._waiting if mint in lacks or is_delivered(addresses[mint])]:
            del self._waiting[mint]
            self._settled[mint] = frozenset(addresses[mint])
        begun = [
            GapOpened(cause=_CAUSE, feed=self._feed, mint=mint, from_us=waiting.since_us)
            for mint, waiting in self._waiting.items()
            if mint not in self._open and (waiting.is_new or not is_covered)
        ]
        ended = [gap for mint, gap in self._open.items() if mint not in self._waiting]
        return [*(msgspec.structs.replace(gap, to_us=max(gap.from_us, now_us)) for gap in ended), *begun]

    def _take(self, addresses: Mapping[Subject, Sequence[str]], covered: Collection[str], now_us: int) -> None:
        for mint in [mint for mint in self._waiting if mint not in addresses]:
            del self._waiting[mint]
        self._settled = {mint: settled for mint, settled in self._settled.items() if mint in addresses}
        for subject, wanted in addresses.items():
            mint = subject or ""
            if not mint or self._settled.get(mint, frozenset()).issuperset(wanted):
                continue
            if mint not in self._waiting:
                self._waiting[mint] = _Waiting(now_us, is_new=mint not in covered)
            elif len(wanted) > len(self._addresses[mint]) and not self._waiting[mint].is_new:
                self._waiting[mint] = _Waiting(now_us, is_new=True)  # the pool too, now

    def tell(self, news: Sequence[GapOpened]) -> None:
        """Deliver what :meth:`look` returned."""
        if not news or not self._deliver(Delivery(source="pumpwatch", received_at_us=time.time_ns() // 1000, events=tuple(news))):
            return
        for gap in news:
            if gap.to_us is None:
                self._open[str(gap.mint)] = gap
            else:
                self._open.pop(str(gap.mint), None)
