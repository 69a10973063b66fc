"""What the providers charge for, and what a tally of it costs."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from pumpwatch.events import Usage

#: The names under which the feeds count, and of the rows in table ``usage``.
PUMPPORTAL: Final = "pumpportal"
HELIUS: Final = "helius"

#: 0.01 SOL per 10,000 messages of a paid subscription. Source: PumpPortal's fees page, read 2026-10.
PAID_MESSAGES_PER_SOL: Final = 1_000_000

#: Helius, every WebSocket method: 2 credits per 0.1 MB received, and 1 per connection. Source: Helius' price list of 2026-10.
BYTES_PER_CREDIT: Final = 50_000
CREDITS_PER_CONNECTION: Final = 1

# Helius, a call over HTTP: 1 credit, but for these. Its documents of 2026-01 say 10 and 100 for history, later readings 1 and 50:
# the dearer is counted, until someone reads it off a dashboard. Source: facts/solana_rpc.md section 1.
_CREDITS_PER_CALL: Final = {
    **dict.fromkeys(("getTransaction", "getSignaturesForAddress", "getBlock", "getBlocks", "getBlockTime"), 10),
    "getTransactionsForAddress": 100,
}


def call_cost(method: str) -> int:
    """Helius' credits for one call of *method* over HTTP."""
    return _CREDITS_PER_CALL.get(method, 1)


@dataclass(slots=True)
class Tally:
    """What one provider delivered: on a day, or since the last drain."""

    messages: int = 0
    paid_messages: int = 0
    received_bytes: int = 0
    connections: int = 0
    calls: int = 0
    call_credits: int = 0

    def add(self, usage: Usage | Tally) -> None:
        self.messages += usage.messages
        self.paid_messages += usage.paid_messages
        self.received_bytes += usage.received_bytes
        self.connections += usage.connections
        self.calls += usage.calls
        self.call_credits += usage.call_credits

    def credits(self) -> Decimal:
        return self.streamed_credits() + self.call_credits

    def streamed_credits(self) -> Decimal:
        return Decimal(self.received_bytes) / BYTES_PER_CREDIT + CREDITS_PER_CONNECTION * self.connections
