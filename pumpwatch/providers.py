"""What each provider allows: profiles, chosen by host, that bound all calls, subscriptions and connections."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

# Helius, and kept to elsewhere too. Source: facts/solana_rpc.md section 5.
_NEVER_IN_BATCH: Final = frozenset({"getTransactionsForAddress"})
_MOST_OF_OTHERS: Final = 10

#: Every answer of the simulator carries it, so that its data never gets into a database of real trades, nor the reverse.
ORIGIN_HEADER: Final = "x-pumpwatch-origin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """
    The limits of one provider and plan. None = no limit.

    Attributes:
        name: For settings, logs and ``demo --provider``.
        calls_per_second: Over HTTP, and subscription requests on a WebSocket.
        calls_per_second_per_method: The same for one method.
        batching: Most ``getTransaction`` calls in one HTTP request; 1 = no batches. Of others see :meth:`largest_batch`.
        subscriptions_per_connection: On one WebSocket.
        connections: WebSockets at a time.
        transaction_subscribe: Whether the plan has ``transactionSubscribe``; ``ask`` = only the server knows.
        metered: What arrives is paid for, by the byte or by the message.
        watchable_tokens: How many tokens the watch list may hold, unless a person asks for more.
    """

    name: str
    calls_per_second: float | None = None
    calls_per_second_per_method: float | None = None
    batching: int = 1
    subscriptions_per_connection: int | None = None
    connections: int | None = None
    transaction_subscribe: Literal["yes", "no", "ask"] = "no"
    metered: bool = False
    watchable_tokens: int | None = None

    def largest_batch(self, method: str) -> int:
        """Most calls of *method* in one HTTP request; 1 = none but alone."""
        if method in _NEVER_IN_BATCH:
            return 1
        return self.batching if method == "getTransaction" else min(self.batching, _MOST_OF_OTHERS)


# Sources: facts/solana_rpc.md sections 1 and 5, facts/pumpportal.md section 7 (October 2026). Limits that a provider does not
# publish are chosen so low that no one can take offence.

#: 100 requests in 10 s, 40 of one method, for each address; no promises at all.
PUBLIC_MAINNET: Final = Provider(
    name="public",
    calls_per_second=10,
    calls_per_second_per_method=4,
    subscriptions_per_connection=120,
    connections=2,
    watchable_tokens=50,
)
HELIUS_FREE: Final = Provider(
    name="helius-free",
    calls_per_second=10,
    batching=10,
    subscriptions_per_connection=1000,
    connections=5,
    transaction_subscribe="ask",
    metered=True,
    watchable_tokens=50,
)
HELIUS_PAID: Final = replace(
    HELIUS_FREE,
    name="helius-paid",
    calls_per_second=50,
    batching=100,
    connections=150,
    transaction_subscribe="yes",
    watchable_tokens=1000,
)
#: Subscriptions are counted in messages: 200 a second are allowed, each with up to 5,000 addresses.
PUMPPORTAL: Final = Provider(name="pumpportal", calls_per_second=10, connections=1, metered=True, watchable_tokens=1000)
UNKNOWN: Final = replace(PUBLIC_MAINNET, name="unknown")
LOOPBACK: Final = Provider(name="loopback", batching=100)

_BY_NAME: Final = {
    provider.name: provider for provider in (PUBLIC_MAINNET, HELIUS_FREE, HELIUS_PAID, PUMPPORTAL, UNKNOWN, LOOPBACK)
}
NAMES: Final = tuple(_BY_NAME)


def provider_named(name: str) -> Provider:
    """
    The profile called *name* (one of :data:`NAMES`), whatever the host: the simulator plays providers.

    Raises:
        KeyError: If there is none.

    """
    return _BY_NAME[name]


def provider_of(host: str, *, is_loopback: bool, has_transaction_subscribe: bool = False) -> Provider:
    """
    The profile for the server *host*.

    Args:
        host: Lower case.
        is_loopback: The server is this machine: no limits.
        has_transaction_subscribe: It is known that the plan has it, which only Helius' paid plans do.

    """
    if is_loopback:
        return LOOPBACK
    if _belongs_to(host, "pumpportal.fun"):
        return PUMPPORTAL
    if _belongs_to(host, "helius-rpc.com"):
        return HELIUS_PAID if has_transaction_subscribe else HELIUS_FREE
    return PUBLIC_MAINNET if _belongs_to(host, "solana.com") else UNKNOWN


def _belongs_to(host: str, domain: str) -> bool:
    return host == domain or host.endswith(f".{domain}")
