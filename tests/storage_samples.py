"""Made-up but well-formed trades, for tests that store them."""

from __future__ import annotations

from typing import Any

from pumpwatch.events import WRAPPED_SOL, Delivery, Event, Trade

SIGNATURE = "5EMqqRbMjAPF4tBPNw1TJNv6LcFyFMJ8rhXJfVihaZVSYkvorn2j85o4h222XGDretUX4MR54MsnRUhXuMfT6SiF"
MINT = "5ygJ27k1ZyUBdeR9LeNxQ5vZ4n4togt3kxxcYnHUpump"
WALLET = "3JQvkiF2GKfca3ggMPRwTHmzvnj6emReuSFwSrBBonp5"


def chain_trade(event_index: int = 0, **changes: Any) -> Trade:
    values: dict[str, Any] = {
        "signature": SIGNATURE,
        "mint": MINT,
        "wallet": WALLET,
        "is_buy": True,
        "venue": "curve",
        "token_amount": 34_199_203_154_141,
        "quote_amount": 987_654_320,
        "trader_quote_amount": 1_000_000_000,
        "quote_mint": WRAPPED_SOL,
        "protocol_fee": 9_382_717,
        "creator_fee": 2_962_963,
        "virtual_token_reserves": 1_038_800_796_845_859,
        "virtual_quote_reserves": 30_987_654_320,
        "real_token_reserves": 758_900_796_845_859,
        "real_quote_reserves": 987_654_320,
        "event_index": event_index,
        "slot": 366_647_528,
        "block_time": 1_757_806_310,
    }
    return Trade(**{**values, **changes})


def message_trade(**changes: Any) -> Trade:
    """The same trade as PumpPortal tells it."""
    values: dict[str, Any] = {
        "signature": SIGNATURE,
        "mint": MINT,
        "wallet": WALLET,
        "is_buy": True,
        "venue": "curve",
        "token_amount": 34_199_203_154_141,
        "quote_amount": 987_654_320,
        "virtual_token_reserves": 1_038_800_796_845_859,
        "message_key": 1_038_800_796_845_859,
    }
    return Trade(**{**values, **changes})


def delivery(source: str, *events: Event, at_us: int = 1_790_000_000_000_000) -> Delivery:
    return Delivery(source=source, received_at_us=at_us, events=events, raw=b"raw message")
