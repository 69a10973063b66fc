"""
PumpPortal: new tokens and migrations for all, trades of chosen tokens and wallets for money.

Requests have no id and answers no subject: they are matched by their text and their order. A refusal looks like an
acknowledgement. Source: facts/pumpportal.md sections 2 to 4 and 7.
"""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import msgspec
from loguru import logger

from pumpwatch.config import PumpPortalSettings
from pumpwatch.decode.pumpportal import Control, decode_message
from pumpwatch.events import Event, Rejected, Trade
from pumpwatch.feeds.feed import Feed
from pumpwatch.feeds.pace import Pace
from pumpwatch.feeds.state import FeedState, State
from pumpwatch.feeds.unheard import Unheard
from pumpwatch.providers import PUMPPORTAL
from pumpwatch.telemetry import visible

_Paid = Literal["TokenTrade", "AccountTrade"]

_FREE: Final = ("subscribeNewToken", "subscribeMigration")
_PAID: Final[tuple[_Paid, ...]] = ("TokenTrade", "AccountTrade")

#: 5,000 are allowed in one message; fewer lose less when one is refused.
_MOST_KEYS: Final = 500

_SHOWN_CHARACTERS = 160


@dataclass(frozen=True, slots=True)
class _Request:
    """One message that waits for its answer."""

    method: str
    sent_at: float
    keys: frozenset[str] = frozenset()


class PumpPortalFeed(Feed):
    """
    The feed of PumpPortal. See :class:`Feed` for the other arguments.

    Args:
        settings: Endpoint and which trades to pay for.
        decode: Bytes of one message -> events, or what the server says about subscriptions.
        spent_share: How much of the day's money is spent, 1 = all: the nearer, the fewer tokens are paid for.

    """

    source = "pumpportal"
    key_name = "PUMPPORTAL_API_KEY"
    is_polite = True

    def __init__(
        self,
        *,
        settings: PumpPortalSettings,
        decode: Callable[[bytes], tuple[Event, ...] | Control] = decode_message,
        spent_share: Callable[[], float] = lambda: 0.0,
        **named: Any,
    ) -> None:
        super().__init__(endpoint=settings.endpoint, idle_seconds=named["connection"].pumpportal_idle_seconds, **named)
        self._trades_wanted = settings.trades if settings.has_key else "no"
        self._decode = decode
        self._spent_share = spent_share
        self._pace = Pace(PUMPPORTAL.calls_per_second)
        # Guards what the sender asks for and the feed's thread hears: acknowledgements are few.
        self._lock = threading.Lock()
        self._unanswered: deque[_Request] = deque()
        self._free: set[str] = set()
        self._subscribed: dict[_Paid, set[str]] = {kind: set() for kind in _PAID}
        self._not_before: dict[str, float] = {}
        self._failures: dict[str, int] = {}
        self._given_up: set[str] = set()
        #: What is paid for is refused: in words, since when, and whether for lack of money or for the key.
        self._unfunded = False
        self._unfunded_note = ""
        self._paid_state: tuple[State, float] | None = None
        self._unheard = Unheard(self._waits.mute_seconds)
        self._mute: frozenset[str] = frozenset()
        self._to_renew: frozenset[str] = frozenset()

    # For other threads

    def heard_elsewhere(self, events: Iterable[Event]) -> None:
        """Another feed has delivered this from the chain: what of it we pay for here should come here too. Never blocks."""
        now = time.monotonic()
        for event in events:
            if type(event) is Trade:
                self._unheard.elsewhere(event.mint, now)

    def state(self) -> FeedState:
        """As of any feed; ``exhausted`` or ``refused`` while free messages flow and nothing comes of what is paid for."""
        state, paid = super().state(), self._paid_state
        return state if paid is None or not state.is_open else replace(state, state=paid[0], since=max(paid[1], state.since))

    # Receiving

    def _take(self, message: bytes, now_us: int) -> bool:
        decoded = self._decode(message)
        if isinstance(decoded, Control):
            self._count_received(len(message), False)  # noqa: FBT003 - positional for speed
            self._on_control(decoded, message, now_us)
            return False
        is_trade = False
        if decoded:
            self.hand_over(decoded, message, now_us)
            # A create with a first buy is free.
            is_trade = type(decoded[0]) is Trade
            if type(decoded[-1]) is Trade:
                self._trades += 1
                if is_trade:
                    self._unheard.heard(decoded[-1].mint, time.monotonic())
        self._count_received(len(message), is_trade)
        return not (len(decoded) == 1 and type(decoded[0]) is Rejected)

    def _on_control(self, control: Control, message: bytes, now_us: int) -> None:
        match control.kind:
            case "ack":
                self._on_acknowledged(control.method or "keys")
            case "unsubscribed":
                self._answered(lambda request: request.method.startswith("unsubscribe"))
            case "refused" | "bad key":
                self._on_unfunded(control.text, is_key=control.kind == "bad key")
            case "bad method":
                request = self._answered(lambda _: True)
                if request is not None:
                    self._given_up.add(request.method)
                method = request.method if request else "a request"
                logger.error("{}: the server knows no {}: given up ({})", self.name, method, visible(control.text, limit=160))
            case _:
                if self.is_time("unknown control"):
                    logger.warning("{}: the server says something unknown: {}", self.name, visible(control.text, limit=160))
                self._set_aside("unknown control", control.text[:_SHOWN_CHARACTERS], message, now_us)

    def _on_acknowledged(self, subject: str) -> None:
        if subject == "keys":
            request = self._answered(lambda request: bool(request.keys) and request.method.startswith("subscribe"))
            if self._unfunded:
                logger.info("{}: paid trades are delivered again", self.name)
            self._unfunded = False
            self._unfunded_note = ""
            self._say()
        else:
            request = self._answered(lambda request: request.method == subject)
        if request is not None:
            self._failures.pop(request.method, None)

    def _on_unfunded(self, text: str, *, is_key: bool) -> None:
        """No money, or no key: no paid trades. The free subscriptions go on, and we ask again when somebody may have paid."""
        with self._lock:
            self._unanswered = deque(request for request in self._unanswered if not request.keys)
            for keys in self._subscribed.values():
                keys.clear()
            until = time.monotonic() + self._waits.unfunded_seconds
            self._not_before.update({f"subscribe{kind}": until for kind in _PAID})
        what = f"does not take {self.key_name}" if is_key else "is unfunded"
        note = f"{what}: {visible(text, limit=_SHOWN_CHARACTERS)}"
        if note != self._unfunded_note:
            logger.error("{} {}; no paid trades, free messages go on", self.name, note)
        self._unfunded = True
        self._unfunded_note = note
        self._say("refused" if is_key else "exhausted")

    def _say(self, paid_state: State | None = None) -> None:
        """Have the state say what is refused, or does not come: nothing at all of what the chain has means an empty wallet."""
        if self._unfunded:
            paid_state = paid_state or (self._paid_state[0] if self._paid_state else "exhausted")
        elif self._mute and self._unheard.hears_nothing():
            paid_state = "exhausted"
        if paid_state is None:
            self._paid_state = None
        elif self._paid_state is None or self._paid_state[0] != paid_state:
            self._paid_state = (paid_state, time.time())
        count = len(self._mute)
        mute = f"delivers no trades of {count} token{'s' * (count > 1)} that the chain has trades of: its wallet may be empty"
        self._note = self._unfunded_note or (mute if count else "")

    def _answered(self, fits: Callable[[_Request], bool]) -> _Request | None:
        """Take the oldest unanswered request that *fits*: answers come in the order of the requests."""
        with self._lock:
            for request in self._unanswered:
                if fits(request):
                    self._unanswered.remove(request)
                    return request
        return None

    # Sending

    def _reset_subscriptions(self) -> None:
        with self._lock:
            self._unheard.clear()
            self._unanswered.clear()
            self._free.clear()
            self._given_up.clear()
            if not self._unfunded:
                self._not_before.clear()
            for keys in self._subscribed.values():
                keys.clear()

    def _is_settled(self, *, sent_before: float = -math.inf) -> bool:
        with self._lock:
            # Has been asked in vain already, and will be again: whether that counts as an answer is the caller's choice.
            failed = self._not_before.keys() if sent_before > -math.inf else frozenset[str]()
            if any(request.sent_at >= sent_before and request.method not in failed for request in self._unanswered):
                return False
            if not all(method in self._free or method in self._given_up or method in failed for method in _FREE):
                return False
            return self._unfunded or all(
                self._subscribed[kind] >= wanted or f"subscribe{kind}" in failed for kind, wanted in self._paid_for().items()
            )

    def _due(self, now: float) -> Iterator[str]:
        self._expire(now)
        self._look_for_mute(now)
        for request in itertools.chain(self._free_requests(now), self._paid_requests(now)):
            with self._lock:
                self._unanswered.append(request)
                self._note_sent(request)
            body: dict[str, object] = {"method": request.method}
            if request.keys:
                body["keys"] = sorted(request.keys)
            yield msgspec.json.encode(body).decode()

    def _look_for_mute(self, now: float) -> None:
        """What is subscribed to, and does not come though the chain has it, is subscribed to anew, once."""
        paid_for = self._paid_for()["TokenTrade"].difference(self._wanted.quote_mints)  # others may not be delivered at all
        subscribed = self._subscribed["TokenTrade"] | self._mute
        self._unheard.expect(() if self._unfunded else subscribed & paid_for, now)
        mute = self._unheard.mute(now)
        news = mute - self._mute
        if news:
            self._to_renew |= news
            logger.warning("{}: no trades of {} tokens that the chain has trades of: subscribing anew", self.name, len(news))
        if mute != self._mute:
            self._mute = mute
            self._say()

    def _free_requests(self, now: float) -> Iterator[_Request]:
        for method in _FREE:
            if method not in self._free and self._may_ask(method, now):
                yield _Request(method, now)

    def _paid_requests(self, now: float) -> Iterator[_Request]:
        for kind, wanted in self._paid_for().items():
            subscribed = self._subscribed[kind]
            mute = self._to_renew & subscribed if kind == "TokenTrade" else frozenset[str]()
            for keys in _chunks((subscribed - wanted) | mute):
                if self._may_ask(f"unsubscribe{kind}", now):
                    self._to_renew -= keys
                    yield _Request(f"unsubscribe{kind}", now, keys)
            for keys in _chunks(wanted - subscribed):
                # While there is no money, one question at a time is enough.
                if (self._unfunded and self._is_asking()) or not self._may_ask(f"subscribe{kind}", now):
                    break
                yield _Request(f"subscribe{kind}", now, keys)

    def _paid_for(self) -> dict[_Paid, frozenset[str]]:
        """The keys that are to be subscribed to for money, now."""
        wanted = self._wanted
        if self._trades_wanted == "no" or not self._paid_allowed():
            return {kind: frozenset() for kind in _PAID}
        worth = wanted.worth_paying(self._spent_share())
        mints = worth if self._trades_wanted == "all" else worth & wanted.pinned
        return {"TokenTrade": mints, "AccountTrade": wanted.wallets}

    def _is_asking(self) -> bool:
        with self._lock:
            return any(request.keys for request in self._unanswered)

    def _may_ask(self, method: str, now: float) -> bool:
        return method not in self._given_up and now >= self._not_before.get(method, 0.0) and self._pace.take(now)

    def _note_sent(self, request: _Request) -> None:
        """The server has it now, for all we know."""
        if request.method in _FREE:
            self._free.add(request.method)
            return
        for kind in _PAID:
            if request.method == f"subscribe{kind}":
                self._subscribed[kind] |= request.keys
            elif request.method == f"unsubscribe{kind}":
                self._subscribed[kind] -= request.keys

    def _expire(self, now: float) -> None:
        """A request without an answer has failed: ask again, later each time."""
        with self._lock:
            while self._unanswered and now - self._unanswered[0].sent_at > self._waits.acknowledged_within_seconds:
                request = self._unanswered.popleft()
                failures = self._failures[request.method] = self._failures.get(request.method, 0) + 1
                wait = min(self._waits.retry_longest_seconds, self._waits.retry_first_seconds * 2.0 ** min(failures - 1, 30))
                self._not_before[request.method] = now + wait
                self._free.discard(request.method)
                for kind in _PAID:
                    if request.method == f"subscribe{kind}":
                        self._subscribed[kind] -= request.keys
                    elif request.method == f"unsubscribe{kind}":
                        self._subscribed[kind] |= request.keys
                logger.warning("{}: no answer to {}; asking again in {:.0f} s", self.name, request.method, wait)


def _chunks(keys: set[str] | frozenset[str]) -> Iterator[frozenset[str]]:
    ordered = iter(sorted(keys))
    while chunk := frozenset(itertools.islice(ordered, _MOST_KEYS)):
        yield chunk
