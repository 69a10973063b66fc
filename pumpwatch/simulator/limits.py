"""What a real provider allows, for a simulator that plays one."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """
    Limits of one provider. Source: facts/solana_rpc.md sections 1 and 4, facts/pumpportal.md section 7.

    Attributes:
        calls: RPC calls per *window_seconds*, and of one method (None: no own limit).
        needs_key: Requests without ``api-key`` in the query get 401.
        batch: Calls of ``getTransaction`` allowed in one HTTP batch; *batch_others*: of other methods.
        transactions_for_address: ``getTransactionsForAddress`` is there; never in a batch.
    """

    name: str
    calls: int
    window_seconds: float
    calls_per_method: int | None
    needs_key: bool
    connections: int
    subscriptions: int
    transaction_subscribe: bool
    batch: int
    batch_others: int = 10
    transactions_for_address: bool = False
    one_pumpportal_connection: bool = True


PROVIDERS: Final[dict[str, Limits]] = {
    limits.name: limits
    for limits in (
        Limits(
            name="public",
            calls=100,
            window_seconds=10,
            calls_per_method=40,
            needs_key=False,
            connections=10,
            subscriptions=1000,
            transaction_subscribe=False,
            batch=10,
        ),
        Limits(
            name="helius-free",
            calls=10,
            window_seconds=1,
            calls_per_method=None,
            needs_key=True,
            connections=5,
            subscriptions=1000,
            transaction_subscribe=False,
            batch=100,
        ),
        Limits(
            name="helius-paid",
            calls=50,
            window_seconds=1,
            calls_per_method=None,
            needs_key=True,
            connections=150,
            subscriptions=1000,
            transaction_subscribe=True,
            batch=100,
            transactions_for_address=True,
        ),
    )
}


class Rate:
    """How many calls of a kind fell into the last window. Any thread."""

    def __init__(self, window_seconds: float) -> None:
        self._window = window_seconds
        self._calls: dict[str, deque[float]] = {}
        self._lock = threading.Lock()

    def within(self, kind: str, limit: int) -> bool:
        """Count one call of *kind*, unless that would exceed *limit* in the window."""
        now = time.monotonic()
        with self._lock:
            calls = self._calls.setdefault(kind, deque())
            while calls and calls[0] <= now - self._window:
                calls.popleft()
            if len(calls) >= limit:
                return False
            calls.append(now)
            return True
