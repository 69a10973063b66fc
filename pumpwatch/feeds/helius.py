"""
The chain's own feed: Helius, or any Solana RPC endpoint in its place.

Slots are the heartbeat: they flow whatever is watched, so silence is counted on them. Each watched address has its own
``logsSubscribe``, or all share a ``transactionSubscribe`` where the plan has it. Source: facts/solana_rpc.md sections 2 to 4.
"""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, Literal

import msgspec
from loguru import logger

from pumpwatch.config import HeliusSettings
from pumpwatch.decode.addresses import PUMP, PUMP_AMM
from pumpwatch.decode.solana import Answer, Decoded, Notified, SlotSeen, decode_message
from pumpwatch.events import Event, GapOpened, PoolSeen, Trade
from pumpwatch.feeds.beginnings import Beginnings
from pumpwatch.feeds.bodies import body_of
from pumpwatch.feeds.feed import Feed
from pumpwatch.feeds.grouping import Grouping
from pumpwatch.feeds.interests import addresses_of, derived_pools
from pumpwatch.feeds.outcome import EXHAUSTED_TEXT, Ending
from pumpwatch.feeds.pace import Pace
from pumpwatch.feeds.shortfall import Lack, Shortfall, Subject
from pumpwatch.feeds.subscriptions import SLOTS, Request, Subscriptions, Target
from pumpwatch.feeds.wanted import Wanted
from pumpwatch.providers import Provider
from pumpwatch.telemetry import visible

#: So many signatures' events, or up to twice as many, are remembered, to drop what several subscriptions tell alike.
_REMEMBERED_SIGNATURES: Final = 1024

#: Most pools whose token is remembered; the oldest go first.
_MOST_POOLS: Final = 50_000

_PLAN_TEXTS: Final = ("not available", "plan", "upgrade", "not supported", "not allowed")
_METHOD_NOT_FOUND: Final = -32601
_OUR_FAULT: Final = (-32600, -32602)

_PROGRAMS: Final[dict[Subject, list[str]]] = {None: [PUMP, PUMP_AMM]}
_BUDGET_SPENT: Final = Lack("budget", "the budget is spent: only slots are watched")

_Meaning = Literal["exhausted", "plan", "give up", "retry"]


class HeliusFeed(Feed):
    """
    The feed of a Solana RPC WebSocket. See :class:`Feed` for the other arguments.

    Args:
        settings: Endpoint, commitment and scope.
        provider: Limits of the endpoint.
        pools: The PumpSwap pools known so far.
        decode: Bytes of one message, and the known pools -> what it says.
        judge: Shown every successful transaction of our programs, for :class:`pumpwatch.drift.Drift`.

    """

    source = "helius"
    key_name = "HELIUS_API_KEY"

    def __init__(
        self,
        *,
        settings: HeliusSettings,
        provider: Provider,
        pools: Iterable[PoolSeen] = (),
        decode: Callable[[bytes, Mapping[str, PoolSeen]], Decoded] = decode_message,
        judge: Callable[[Notified], None] = lambda _notified: None,
        **named: Any,
    ) -> None:
        super().__init__(endpoint=settings.ws, idle_seconds=named["connection"].helius_idle_seconds, **named)
        self._commitment = settings.commitment
        self._scope = settings.scope
        self._provider = provider
        self._decode = decode
        self._judge = judge
        # Guards the pools and the books below, between the sender, the feed's thread and whoever knows pools.
        self._lock = threading.Lock()
        self._pools: dict[str, PoolSeen] = {}
        self.know_pools(pools)
        self._pace = Pace(provider.calls_per_second_per_method or provider.calls_per_second)
        self._books = Subscriptions(limit=provider.subscriptions_per_connection, waits=self._waits)
        self._grouping = Grouping()
        self._has_transactions = self._ask_memory()
        self._highest_version = 1
        self._targets: list[Target] = []
        self._said_left_out = False
        self._addresses_of: Wanted | None = None
        self._addresses: dict[Subject, list[str]] = {}
        self._shortfall = Shortfall(self.source, self._deliver)
        self._beginnings = Beginnings(self.source, self._deliver)
        self._first_wanted: Wanted | None = None
        self._was_complete = False
        self._mute: set[str] = set()
        self._renewed_at: dict[Subject, float] = {}
        # Two generations: taking the oldest out of a dict one by one gets slower with each that was taken out.
        self._heard: dict[str, tuple[Event, ...]] = {}
        self._heard_before: dict[str, tuple[Event, ...]] = {}

    def _ask_memory(self) -> bool | None:
        """Whether to use ``transactionSubscribe``; None = ask the server."""
        if self._provider.transaction_subscribe != "ask":
            return self._provider.transaction_subscribe == "yes"
        return self._patience.opens.plan_allows_transactions()

    def know_pools(self, pools: Iterable[PoolSeen]) -> None:
        """From now on events of these pools are decoded. From any thread."""
        with self._lock:
            for pool in pools:
                self._pools[pool.pool] = pool
            while len(self._pools) > _MOST_POOLS:
                del self._pools[next(iter(self._pools))]

    def want(self, wanted: Wanted) -> None:
        self.know_pools(derived_pools(wanted))
        self._first_wanted = self._first_wanted or wanted
        super().want(wanted)

    def resubscribe(self, mints: Iterable[str]) -> None:
        """
        The server has confirmed these tokens and yet delivers nothing of them: have it begin anew, not too often for each.

        Returns at once; from any thread. With ``scope = all`` it is the programs that are subscribed to again.
        """
        with self._lock:
            self._mute.update(mints)
        self._sender.wake()

    def delivers(self, mint: str) -> bool:
        """Whether the server has confirmed all subscriptions that bring the trades of *mint*. From any thread."""
        subject = None if self._scope == "all" else mint
        with self._lock:
            addresses = self._addresses.get(subject) if self._scope != "all" else _PROGRAMS[None]
            return self._state[0] == "connected" and bool(addresses) and self._is_delivered(addresses or ())

    # Receiving

    def _take(self, message: bytes, now_us: int) -> bool:
        self._count_received(len(message), False)  # noqa: FBT003 - positional for speed
        decoded = self._decode(message, self._pools)
        if isinstance(decoded, SlotSeen):
            return True
        if isinstance(decoded, Notified):
            if decoded.events:
                self._on_events(decoded, message, now_us)
            if (decoded.events or decoded.silent) and not (decoded.failed or decoded.truncated):
                self._judge(decoded)
        elif isinstance(decoded, Answer):
            self._on_answer(decoded)
        else:
            self.hand_over((decoded,), message, now_us)
        return False

    def _on_events(self, notified: Notified, message: bytes, now_us: int) -> None:
        events = notified.events
        if notified.truncated:
            events = tuple(self._placed(event, now_us) for event in events)
        elif events in (self._heard.get(notified.signature), self._heard_before.get(notified.signature)):
            return  # the very same, from another subscription
        self.hand_over(events, message, now_us)
        self._heard[notified.signature] = events
        if len(self._heard) >= _REMEMBERED_SIGNATURES:
            self._heard, self._heard_before = {}, self._heard
        for event in events:
            if type(event) is Trade:
                self._trades += 1
            elif type(event) is PoolSeen:
                self.know_pools((event,))

    def _placed(self, event: Event, now_us: int) -> Event:
        if not isinstance(event, GapOpened):
            return event
        return msgspec.structs.replace(event, from_us=now_us, to_us=now_us, feed=self.source)

    # Answers

    def _on_answer(self, answer: Answer) -> None:
        with self._lock:
            request = self._books.answered(answer.request_id)
            if request is None:
                return  # of an earlier connection, or an error without an id
            if answer.error_code is None:
                self._on_granted(request, answer.result)
                return
        self._on_refused(request, answer.error_code, answer.error_message or "")

    def _on_granted(self, request: Request, result: object) -> None:
        if request.subscription is not None:
            return
        if not isinstance(result, int) or isinstance(result, bool):
            self._books.retry(request.target, time.monotonic())
            return
        self._books.confirm(request.target, result)
        if request.target.kind == "transactions" and self._has_transactions is None:
            self._has_transactions = True
            self._patience.opens.note_plan(allows_transactions=True)

    def _on_refused(self, request: Request, code: int, text: str) -> None:
        shown = f"{request.method} ({request.target}): {visible(text, limit=120)} ({code})"
        meaning = _meaning(code, text)
        if request.subscription is not None:
            logger.info("{}: {}", self.name, shown)
        elif meaning == "exhausted":
            connection = self._connection
            if connection is not None:
                connection.end(Ending(kind="exhausted", reason=visible(text, limit=120), status=code))
        elif request.target.kind == "transactions" and (meaning != "retry" or self._has_transactions is None):
            self._on_transactions_refused(request.target, meaning, shown)
        elif meaning == "retry":
            with self._lock:
                wait = self._books.retry(request.target, time.monotonic())
            logger.warning("{}: refused, asking again in {:.1f} s: {}", self.name, wait, shown)
        else:
            with self._lock:
                self._books.give_up(request.target, shown)
            logger.error("{}: refused, and given up: {}", self.name, shown)
            self._sender.wake()  # it tells what is not delivered

    def _on_transactions_refused(self, target: Target, meaning: _Meaning, shown: str) -> None:
        """Go on with logs at once, whatever the reason: nothing is watched meanwhile. Only what the plan says is remembered."""
        if meaning == "give up" and self._highest_version > 0:
            # Unknown whether version 1 is accepted here: facts/solana_rpc.md section 2.
            self._highest_version = 0
            logger.info("{}: asking with transaction version 0: {}", self.name, shown)
        else:
            self._has_transactions = False
            logger.warning("{}: using logsSubscribe instead: {}", self.name, shown)
            if meaning == "plan" and self._provider.transaction_subscribe == "ask":
                self._patience.opens.note_plan(allows_transactions=False)
        with self._lock:
            self._books.forget(target)
        self._sender.wake()

    # Sending

    def _reset_subscriptions(self) -> None:
        with self._lock:
            self._books.reset()
            self._grouping = Grouping()
            self._targets = []
            self._beginnings.lapse()
        self._heard.clear()
        self._heard_before.clear()

    def _is_settled(self, *, sent_before: float = -math.inf) -> bool:
        with self._lock:
            return bool(self._targets) and self._books.is_settled(self._targets, sent_before=sent_before)

    def _due(self, now: float) -> Iterator[str]:
        with self._lock:
            self._renew_mute(now)
            self._targets = self._wanted_targets(now)
            late = self._books.overdue(now)
        for target in late:
            logger.warning("{}: no answer to {} ({}); asking again", self.name, target.method, target)
            if target.kind == "transactions" and self._has_transactions is None:
                self._on_transactions_refused(target, "retry", "no answer")
        while self._pace.has_one(now):
            with self._lock:
                request = next(self._books.due(self._targets, now), None)
            if request is None:
                break
            self._pace.take(now)
            yield body_of(request, commitment=self._commitment, highest_version=self._highest_version)
        self._say_left_out()

    def _renew_mute(self, now: float) -> None:
        """Subscribe anew to what delivers nothing though it is confirmed."""
        addresses = self._wanted_addresses()
        self._renewed_at = {subject: at for subject, at in self._renewed_at.items() if subject in addresses}
        mute: set[Subject] = {None} if self._scope == "all" and self._mute else {mint for mint in self._mute if mint in addresses}
        self._mute.clear()
        for subject in mute:
            if now - self._renewed_at.get(subject, -math.inf) < self._waits.resubscribe_seconds:
                continue
            if not self._is_delivered(addresses[subject]):
                continue  # not confirmed yet: it is being asked for anyway
            self._renewed_at[subject] = now
            logger.warning("{}: subscribing anew to {}: it delivers nothing", self.name, subject or "the programs")
            for address in addresses[subject]:
                self._books.renew(Target("logs", frozenset((address,))))
            if self._has_transactions is not False:
                self._grouping.renew()

    def _is_delivered(self, addresses: Iterable[str]) -> bool:
        """The server has confirmed a subscription of each of them. With the lock."""
        return all(
            self._books.is_confirmed(Target("logs", frozenset((address,))))
            or self._grouping.holds(address, self._books.is_confirmed)
            for address in addresses
        )

    def _say_left_out(self) -> None:
        left_out = self._books.left_out
        if left_out and not self._said_left_out:
            limit = self._provider.subscriptions_per_connection
            logger.error("{}: {} allows {} subscriptions: {} are not made", self.name, self._provider.name, limit, left_out)
        self._said_left_out = left_out > 0

    def send_due(self) -> None:
        with self._lock:
            self._targets = self._wanted_targets(time.monotonic())
        if self._scope != "all":
            self._tell_beginnings(self._not_delivered()[0])  # before an answer can come
        super().send_due()
        self._shortfall.look(*self._not_delivered())
        self._note = self._shortfall.said()

    def _tell_beginnings(self, lacks: Mapping[Subject, Lack]) -> None:
        """What was wanted from the start on is in the gap of the restart, until all of it has been delivered once."""
        first = self._first_wanted
        if first is None:
            return
        self._was_complete = self._was_complete or self.is_complete()
        with self._lock:
            news = self._beginnings.look(
                self._wanted_addresses(),
                self._is_delivered,
                lacks,
                now_us=time.time_ns() // 1000,
                covered=frozenset() if self._was_complete else first.mints,
                is_covered=self._coverage.has_gap or not self._was_complete,
            )
        self._beginnings.tell(news)

    def _not_delivered(self) -> tuple[dict[Subject, Lack], set[Subject]]:
        """The wanted subjects that are not delivered, and those that the server has not confirmed yet."""
        if not self._paid_allowed():
            return dict.fromkeys(self._wanted_addresses(), _BUDGET_SPENT), set()
        with self._lock:
            refused = self._books.refused()
            beyond = self._books.beyond_limit(self._targets)
            if not (refused or beyond or self._shortfall):
                return {}, set()
            confirmed = [target for target in self._targets if self._books.is_confirmed(target)]
        beyond_limit = Lack("limit", f"{self._provider.name} allows {self._provider.subscriptions_per_connection} subscriptions")
        lack_of = {address: beyond_limit for target in beyond for address in target.addresses}
        lack_of |= {address: Lack("refused", shown) for target, shown in refused.items() for address in target.addresses}
        delivered = frozenset().union(*(target.addresses for target in confirmed))
        lacks: dict[Subject, Lack] = {}
        undecided: set[Subject] = set()
        for subject, addresses in self._wanted_addresses().items():
            missing = [address for address in addresses if address not in delivered]
            lack = next((lack_of[address] for address in missing if address in lack_of), None)
            if lack is not None:
                lacks[subject] = lack
            elif missing:
                undecided.add(subject)
        return lacks, undecided

    def _wanted_targets(self, now: float) -> list[Target]:
        """The subscriptions to hold, most important first."""
        if not self._paid_allowed():
            return [SLOTS]
        addresses = dict.fromkeys(itertools.chain.from_iterable(self._wanted_addresses().values()))
        if self._has_transactions is False:
            return [SLOTS, *(Target("logs", frozenset((address,))) for address in addresses)]
        return [SLOTS, *self._grouping.targets(frozenset(addresses), now, self._books.is_confirmed)]

    def _wanted_addresses(self) -> dict[Subject, list[str]]:
        if self._scope == "all":
            return _PROGRAMS
        wanted = self._wanted
        if wanted is not self._addresses_of:
            self._addresses = addresses_of(wanted, self._addresses)
            self._addresses_of = wanted
        return self._addresses


def _meaning(code: int, text: str) -> _Meaning:
    """What a refusal means: matched by its text first, as the codes differ between servers."""
    lower = text.lower()
    if EXHAUSTED_TEXT in lower:
        return "exhausted"
    if code == _METHOD_NOT_FOUND or any(part in lower for part in _PLAN_TEXTS):
        return "plan"
    return "give up" if code in _OUR_FAULT else "retry"
