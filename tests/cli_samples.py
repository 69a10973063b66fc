"""What the tests of the command line share: the record that they look at, and what a command came to."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from solders.pubkey import Pubkey
from solders.signature import Signature

from pumpwatch.events import WRAPPED_SOL, Delivery, Event, TokenCreated, Trade

NOW = 1_790_000_000
USDC = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"

#: Everything a name may try: colours, line ends, right-to-left, zero width, wide letters, a tab, too long.
HOSTILE = "\x1b[31mEVIL\r\n\u202egnp.exe\u200b\t狗狗狗狗🚀🚀" + "A" * 500


@dataclass
class Record:
    """
    The database and what is in it.

    Attributes:
        mints: 0: SOL, many trades; 1: USDC; 2: hostile text; 3: quote unknown, provisional only; 4: nothing but its creation.
        trades: Rows per mint.
    """

    database: Path
    mints: list[str]
    wallet: str
    trades: dict[str, int] = field(default_factory=dict)


class Maker:
    """Makes deliveries as the feeds would."""

    def __init__(self) -> None:
        self.random = random.Random(7)
        self.deliveries: list[Delivery] = []

    def address(self) -> str:
        return str(Pubkey(self.random.randbytes(32)))

    def signature(self) -> str:
        return str(Signature(self.random.randbytes(64)))

    def put(self, source: str, *events: Event) -> None:
        self.deliveries.append(Delivery(source=source, received_at_us=(NOW + len(self.deliveries)) * 1_000_000, events=events))

    def create(self, mint: str, wallet: str, **changes: Any) -> None:
        values = {"signature": self.signature(), "event_index": 0, "slot": 1, "block_time": NOW, "token_total_supply": 10**15}
        self.put(
            "helius", TokenCreated(mint=mint, bonding_curve="curve", developer=wallet, creator=wallet, **{**values, **changes})
        )

    def trade(self, mint: str, wallet: str, number: int, **changes: Any) -> None:
        values = {
            "signature": self.signature(),
            "event_index": 0,
            "slot": 10 + number,
            "block_time": NOW + number,
            "venue": "curve",
            "quote_mint": WRAPPED_SOL,
            "quote_amount": 123_456_789,
            "virtual_token_reserves": 10**15 - number,
            "virtual_quote_reserves": 30 * 10**9 + number,
        }
        side = {"is_buy": number % 3 != 0, "token_amount": 1_000_000 + number}
        self.put("helius", Trade(mint=mint, wallet=wallet, **{**side, **values, **changes}))

    def provisional(self, mint: str, wallet: str, number: int) -> None:
        values: dict[str, Any] = {
            "is_buy": True,
            "venue": "curve",
            "token_amount": 7,
            "quote_amount": 1,
            "message_key": 10**15 - number,
        }
        self.put("pumpportal", Trade(signature=self.signature(), mint=mint, wallet=wallet, **values))


@dataclass
class Outcome:
    status: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)

    def lines(self) -> list[str]:
        return self.out.splitlines()


Run: TypeAlias = Callable[..., Outcome]
