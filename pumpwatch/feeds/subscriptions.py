"""
The subscriptions of one Solana WebSocket: what is wanted, asked for, confirmed, refused. Pure bookkeeping, times are given.

A server knows them by its own ids, answers in any order between notifications, and forgets them with the connection.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from pumpwatch.feeds.waits import Waits

Kind = Literal["slots", "logs", "transactions"]
_METHODS: dict[Kind, str] = {"slots": "slotSubscribe", "logs": "logsSubscribe", "transactions": "transactionSubscribe"}


@dataclass(frozen=True, slots=True)
class Target:
    """One subscription: the slots, the logs of one address, or the transactions of any of many addresses."""

    kind: Kind
    addresses: frozenset[str] = frozenset()
    #: Of two that ask for the same the one with the larger number is newer.
    generation: int = 0

    def __str__(self) -> str:
        if self.kind == "logs":
            return f"logs of {''.join(self.addresses)}"
        return self.kind if self.kind == "slots" else f"transactions of {len(self.addresses)} addresses"

    @property
    def method(self) -> str:
        """The request that makes it."""
        return _METHODS[self.kind]


SLOTS = Target("slots")


@dataclass(frozen=True, slots=True)
class Request:
    """One request that is to be sent: a subscription to *target*, or the end of the one with *subscription*."""

    request_id: int
    target: Target
    subscription: int | None = None

    @property
    def method(self) -> str:
        """Its JSON-RPC method."""
        return self.target.method if self.subscription is None else self.target.method.replace("Subscribe", "Unsubscribe")


@dataclass(slots=True)
class _Entry:
    """What we know of one target on this connection."""

    sent_at: float = 0.0
    first_sent_at: float = 0.0
    subscription: int | None = None
    failures: int = 0
    retry_at: float | None = None
    given_up: bool = False
    refusal: str = ""


class Subscriptions:
    """
    The difference between what is wanted and what the server has, as requests.

    Not thread-safe: its user holds a lock. Times are monotonic seconds.

    Args:
        limit: Most subscriptions at a time; None = no limit.

    """

    def __init__(self, *, limit: int | None, waits: Waits) -> None:
        self._limit = limit
        self._waits = waits
        # Counted on through all connections: an answer can never be taken for that of another request.
        self._ids = itertools.count(1)
        self._entries: dict[Target, _Entry] = {}
        self._requests: dict[int, Request] = {}
        #: Subscriptions that the server has and nobody wants.
        self._surplus: list[tuple[Target, int]] = []
        #: Targets that the limit leaves without a subscription, at the last look.
        self.left_out = 0

    def reset(self) -> None:
        """A new connection: the server knows nothing of us. What was given up gets another chance."""
        self._entries.clear()
        self._requests.clear()
        self._surplus.clear()

    def is_confirmed(self, target: Target) -> bool:
        """The server has confirmed it."""
        entry = self._entries.get(target)
        return entry is not None and entry.subscription is not None

    def is_settled(self, wanted: Sequence[Target], *, sent_before: float = -math.inf) -> bool:
        """Each of *wanted* is confirmed, will never be, or was first asked for before *sent_before* and has had its time."""
        entries = [self._entries.get(target) for target in wanted[: self._limit]]
        return all(
            entry is not None and (entry.subscription is not None or entry.given_up or entry.first_sent_at < sent_before)
            for entry in entries
        )

    def refused(self) -> dict[Target, str]:
        """What was given up on this connection, and what the server said."""
        return {target: entry.refusal for target, entry in self._entries.items() if entry.given_up}

    def beyond_limit(self, wanted: Sequence[Target]) -> list[Target]:
        """Those of *wanted* that the limit leaves without a subscription."""
        return [] if self._limit is None else [target for target in wanted[self._limit :] if not self.is_confirmed(target)]

    def due(self, wanted: Collection[Target], now: float) -> Iterator[Request]:
        """
        What is to be sent now, one after the other: whoever stops early goes on with the next call.

        *wanted* is in order of importance: the limit cuts off its end, and what has come to be there loses its subscription.
        """
        room = len(wanted) if self._limit is None else self._limit
        self._drop_unwanted(frozenset(itertools.islice(wanted, room)))
        while self._surplus:
            target, subscription = self._surplus.pop()
            yield self._request(target, subscription)
        self.left_out = max(0, len(wanted) - room)
        for target in itertools.islice(wanted, room):
            entry = self._entries.get(target)
            if entry is None:
                entry = self._entries[target] = _Entry(first_sent_at=now)
            elif entry.given_up or entry.subscription is not None or entry.retry_at is None or entry.retry_at > now:
                continue
            entry.sent_at = now
            entry.retry_at = None
            yield self._request(target, None)

    def _drop_unwanted(self, wanted: frozenset[Target]) -> None:
        self._drop([target for target in self._entries if target not in wanted])

    def _drop(self, targets: Iterable[Target]) -> None:
        for target in targets:
            subscription = self._entries.pop(target).subscription
            if subscription is not None:
                self._surplus.append((target, subscription))

    def _request(self, target: Target, subscription: int | None) -> Request:
        request = Request(next(self._ids), target, subscription)
        self._requests[request.request_id] = request
        return request

    def overdue(self, now: float) -> list[Target]:
        """Take note of the requests that were not answered in time: they are sent again, later each time."""
        late = []
        for target, entry in self._entries.items():
            is_waiting = entry.subscription is None and entry.retry_at is None and not entry.given_up
            if is_waiting and now - entry.sent_at > self._waits.acknowledged_within_seconds:
                self._schedule(entry, now)
                late.append(target)
        return late

    def answered(self, request_id: int | None) -> Request | None:
        """Which request that was; None = none of this connection, or answered before."""
        return None if request_id is None else self._requests.pop(request_id, None)

    def confirm(self, target: Target, subscription: int) -> None:
        """The server has *target*, as *subscription*."""
        entry = self._entries.get(target)
        if entry is None or entry.subscription is not None:  # unwanted meanwhile, or confirmed twice after a late answer
            self._surplus.append((target, subscription))
            return
        entry.subscription = subscription
        entry.retry_at = None
        entry.failures = 0

    def retry(self, target: Target, now: float) -> float:
        """Ask again for *target*, in so many seconds."""
        entry = self._entries.get(target)
        return self._schedule(entry, now) if entry is not None else 0.0

    def give_up(self, target: Target, refusal: str = "") -> None:
        """Never ask for *target* again on this connection; *refusal* is what the server said."""
        entry = self._entries.get(target)
        if entry is not None:
            entry.given_up = True
            entry.refusal = refusal

    def forget(self, target: Target) -> None:
        """Ask anew for *target*, as if it had never been asked for."""
        self._entries.pop(target, None)

    def renew(self, target: Target) -> None:
        """End *target*'s subscription, if it is confirmed, and ask for it anew."""
        if self.is_confirmed(target):
            self._drop((target,))

    def _schedule(self, entry: _Entry, now: float) -> float:
        wait = min(self._waits.retry_longest_seconds, self._waits.retry_first_seconds * 2.0 ** min(entry.failures, 30))
        entry.failures += 1
        entry.retry_at = now + wait
        return wait
