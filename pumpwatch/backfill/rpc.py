"""JSON-RPC over HTTP: polite calls, alone or in batches, bounded in time and size, whose errors show neither URL nor key."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from email.utils import parsedate_to_datetime
from typing import Any, Final, TypeAlias

import msgspec
import tenacity
from loguru import logger

from pumpwatch.backfill.answers import (
    BatchRefused,
    Reply,
    RpcAgain,
    RpcBehind,
    RpcExhausted,
    RpcFailed,
    RpcRefused,
    RpcStopped,
    decoded,
    read_batch,
    read_one,
)
from pumpwatch.backfill.pacing import Pace
from pumpwatch.backfill.posting import LARGEST_ANSWER_BYTES, Poster
from pumpwatch.backoff import parse_retry_after
from pumpwatch.config import Endpoint
from pumpwatch.config_endpoint import secret_parts
from pumpwatch.providers import LOOPBACK, ORIGIN_HEADER, Provider
from pumpwatch.telemetry import visible
from pumpwatch.threads import alive

__all__ = [
    "LARGEST_ANSWER_BYTES",
    "Rpc",
    "RpcAgain",
    "RpcBehind",
    "RpcExhausted",
    "RpcFailed",
    "RpcRefused",
    "RpcStopped",
]

#: A method and its parameters.
Call: TypeAlias = tuple[str, Sequence[object]]

#: How long nothing is sent after the server said that the credits are gone, and how long a refused method is not asked again.
EXHAUSTED_SECONDS: Final = 3600.0
REFUSED_SECONDS: Final = 600.0

_TRIES: Final = 5
_FIRST_WAIT_SECONDS: Final = 1.0
_LONGEST_WAIT_SECONDS: Final = 60.0
_SHOWN_CHARACTERS: Final = 160


class Rpc:
    """
    A Solana RPC endpoint. One thread at a time; to be closed.

    Calls are spread over time as *provider* allows. What fails by the network, by "too fast" (429) or by the server's own trouble
    is tried again, after ``Retry-After`` (60 s at most) or 1, 2, 4 ... s and some. A stop ends every wait within 0.1 s.

    Args:
        timeout_seconds: For one whole request, from the connect to the last byte.
        provider: Its limits; default none.
        calls_per_second: Less than the provider's; 0 = what that allows.
        stopping: When set, calls end by :class:`RpcStopped`.
        called: Told of each sending: method and number of calls (a call that is tried again is told again).
        allowed: Asked before each request; False ends the call by :class:`RpcExhausted` (see ``Budget.repairs_allowed``).
        origin: Of the database: ``simulator`` wants a server that says so, anything else one that does not; None: either.
        tries: How often a call is sent at most.
        first_wait_seconds: Before the second try; doubled before each further one.

    Attributes:
        headers: Of the last answer, names in lower case.
        provider: As given.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        timeout_seconds: float,
        provider: Provider = LOOPBACK,
        calls_per_second: float = 0.0,
        stopping: threading.Event | None = None,
        called: Callable[[str, int], None] | None = None,
        allowed: Callable[[], bool] | None = None,
        origin: str | None = None,
        tries: int = _TRIES,
        first_wait_seconds: float = _FIRST_WAIT_SECONDS,
    ) -> None:
        self.provider = provider
        self._origin = origin
        self.headers: dict[str, str] = {}
        self._endpoint = endpoint
        self._stopping = threading.Event() if stopping is None else stopping
        self._poster = Poster(endpoint, timeout_seconds=timeout_seconds, stopping=stopping)
        rates = [rate for rate in (calls_per_second, provider.calls_per_second) if rate]
        self._calls_per_second = min(rates) if rates else None
        self._pace = Pace(
            calls_per_second=self._calls_per_second, calls_per_second_per_method=provider.calls_per_second_per_method
        )
        self._called = called
        self._allowed = allowed
        self._tries = tries
        self._first_wait_seconds = first_wait_seconds
        self._secrets = secret_parts(endpoint.url)
        self._takes_batches = True
        self._exhausted_until = 0.0
        self._refused_until: dict[str, float] = {}

    @property
    def stopping(self) -> threading.Event:
        """As given, or one that nobody sets."""
        return self._stopping

    def call(self, method: str, params: Sequence[object] = ()) -> Any:
        """
        Return the result of *method*, decoded.

        Raises:
            RpcRefused: The server does not let us (not asked again for ten minutes).
            RpcExhausted: Credits are spent; not asked again for an hour.
            RpcBehind: The node has not reached ``minContextSlot``: the caller waits.
            RpcStopped: We are stopping.
            RpcFailed: Not reached, too slow, no JSON, or an error in the answer, after the last try.

        """
        return decoded(self.raw(method, params), Any)

    def raw(self, method: str, params: Sequence[object] = ()) -> msgspec.Raw:
        """The same, with the result as the JSON that came, to be decoded once by who knows its shape."""
        (outcome,) = self._settle([(method, params)])
        if isinstance(outcome, RpcFailed):
            raise outcome
        return outcome

    def batch(self, calls: Sequence[Call]) -> list[msgspec.Raw | RpcFailed]:
        """
        Make many calls, in as few requests as the provider takes; a result or its error for each, in their order.

        An error is :class:`RpcBehind` or another :class:`RpcFailed`, as :meth:`call` raises them, once no try is left.

        Raises:
            RpcRefused: As in :meth:`call`; so the next two. What was answered before is lost: do not put much into one batch.
            RpcExhausted: See there.
            RpcStopped: See there.

        """
        outcomes: list[msgspec.Raw | RpcFailed] = []
        while len(outcomes) < len(calls):
            size = self.batch_size(calls[len(outcomes)][0])
            outcomes += self._settle(calls[len(outcomes) : len(outcomes) + size])
        return outcomes

    def batch_size(self, method: str) -> int:
        """How many calls of *method* go into one request now: never more than may be sent in a second."""
        if not self._takes_batches:
            return 1
        rates = [rate for rate in (self._calls_per_second, self.provider.calls_per_second_per_method) if rate]
        return max(1, min([self.provider.largest_batch(method), *(int(rate) for rate in rates)]))

    def server_time(self) -> float | None:
        """Unix time in seconds at which the server sent the last answer, by its own clock; to the second."""
        try:
            return parsedate_to_datetime(self.headers["date"]).timestamp()
        except (KeyError, ValueError):
            return None

    def close(self) -> None:
        self._poster.close()

    def __enter__(self) -> Rpc:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _settle(self, calls: Sequence[Call]) -> list[msgspec.Raw | RpcFailed]:
        """Send *calls* in one request, and those that are worth it again, until each has its outcome."""
        outcomes: list[msgspec.Raw | RpcFailed] = [RpcAgain("not sent")] * len(calls)

        def attempt() -> None:
            open_places = [place for place, outcome in enumerate(outcomes) if isinstance(outcome, RpcAgain)]
            for place, outcome in zip(open_places, self._send([calls[place] for place in open_places]), strict=True):
                outcomes[place] = outcome
            if again := [outcome for outcome in outcomes if isinstance(outcome, RpcAgain)]:
                raise max(again, key=lambda each: each.after_seconds or 0.0)

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(RpcAgain),
            stop=tenacity.stop_after_attempt(self._tries) | tenacity.stop_when_event_set(self._stopping),
            wait=self._wait_seconds,
            sleep=self._sleep,
        )
        try:
            retrying(attempt)
        except tenacity.RetryError:
            if self._stopping.is_set():
                raise RpcStopped("stopping") from None
        return outcomes

    def _sleep(self, seconds: float) -> None:
        alive(seconds)
        self._stopping.wait(seconds)

    def _send(self, calls: Sequence[Call]) -> list[msgspec.Raw | RpcFailed]:
        """One request; or, from the moment when the server refuses batches, one for each call."""
        if len(calls) > 1 and not self._takes_batches:
            return [outcome for call in calls for outcome in self._send([call])]
        methods = [method for method, _ in calls]
        self._wait_for_turn(methods)
        documents = [
            {"jsonrpc": "2.0", "id": place, "method": method, "params": params} for place, (method, params) in enumerate(calls)
        ]
        try:
            reply = self._post(msgspec.json.encode(documents if len(calls) > 1 else documents[0]))
        except (RpcRefused, RpcExhausted, RpcStopped):
            raise
        except RpcFailed as failure:
            return [failure] * len(calls)
        if len(calls) == 1:
            return [self._noted(read_one(reply, methods[0]), methods[0])]
        outcomes = read_batch(reply, methods)
        if isinstance(outcomes, BatchRefused):
            why = self._hide(str(outcomes))
            logger.info("{} takes no batch of {} calls ({}): now they go one by one", self._endpoint.shown, len(calls), why)
            self._takes_batches = False
            return self._send(calls)
        return [self._noted(outcome, method) for outcome, method in zip(outcomes, methods, strict=True)]

    def _wait_for_turn(self, methods: Sequence[str]) -> None:
        """Wait until these calls may be sent, or say that they may not."""
        now = time.monotonic()
        if now < self._exhausted_until:
            raise RpcExhausted("the credits are spent: nothing is asked for an hour")
        for method in methods:
            if now < self._refused_until.get(method, 0.0):
                raise RpcRefused(f"{method}: refused a short while ago")
        if self._allowed is not None and not self._allowed():
            raise RpcExhausted("the month's credits of [budget] are spent")
        wait_seconds = self._pace.reserve(Counter(methods), now)
        alive(wait_seconds)
        if self._stopping.wait(wait_seconds):
            raise RpcStopped("stopping")
        if self._called is not None:
            for method, number in Counter(methods).items():
                self._called(method, number)

    def _post(self, body: bytes) -> Reply:
        answered = self._poster.post(body)
        self.headers = answered.headers
        theirs = answered.headers.get(ORIGIN_HEADER)
        if self._origin is not None and theirs != ("simulator" if self._origin == "simulator" else None):
            says = f"says that its data is of origin {visible(theirs, limit=20)}" if theirs else "is no simulator"
            raise RpcRefused(
                f"{self._endpoint.shown} {says}, and the database is of origin {self._origin}: they must not be mixed"
            )
        return Reply(answered.status, answered.body, parse_retry_after(answered.headers.get("retry-after")))

    def _noted(self, outcome: msgspec.Raw | RpcFailed, method: str) -> msgspec.Raw | RpcFailed:
        """The outcome, its text without secrets. Raises what concerns more than this call."""
        if not isinstance(outcome, RpcFailed):
            return outcome
        outcome.args = (self._hide(str(outcome)),)
        if isinstance(outcome, RpcExhausted):
            self._exhausted_until = time.monotonic() + EXHAUSTED_SECONDS
            logger.error("{}: {}: the plan's credits are spent, no calls for an hour", self._endpoint.shown, outcome)
            raise outcome
        if isinstance(outcome, RpcRefused):
            self._refused_until[method] = time.monotonic() + REFUSED_SECONDS
            raise outcome
        return outcome

    def _hide(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "[hidden]")
        return visible(text, limit=_SHOWN_CHARACTERS)

    def _wait_seconds(self, state: tenacity.RetryCallState) -> float:
        """What the server asked for, else 1, 2, 4 ... s; and some, so that many cut off together do not come back together."""
        error = state.outcome.exception() if state.outcome is not None else None
        asked = error.after_seconds if isinstance(error, RpcAgain) else None
        seconds = self._first_wait_seconds * 2.0 ** (state.attempt_number - 1) if asked is None else asked
        seconds = min(seconds, _LONGEST_WAIT_SECONDS)
        return seconds + random.uniform(0.0, min(seconds, self._first_wait_seconds) / 2)
