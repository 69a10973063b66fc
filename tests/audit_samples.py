"""Records made by the real store: a token's trades on a curve, some of them left out, and what its account showed."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from solders.pubkey import Pubkey
from solders.signature import Signature

from pumpwatch.events import WRAPPED_SOL, Anchor, Delivery, Event, SpellStarted, TokenCreated, Trade
from pumpwatch.market import Reserves, after_trade, curve_buy_quote, curve_sell_quote
from pumpwatch.storage.store import Store

#: An hour ago: what the store judges by its own clock is neither new nor stale.
NOW = int(time.time()) - 180
FIRST_SLOT = 366_000_000
#: What a curve has more of than it can sell (fact sheet 4).
NEVER_SOLD, NEVER_RAISED = 279_900_000_000_000, 30_000_000_000


class Token:
    """
    One token of the chain.

    Attributes:
        trades: All that ever happened, one every ten slots.
    """

    def __init__(self, seed: int, *, trades: int = 8) -> None:
        self.rng = random.Random(seed)
        self.mint = str(Pubkey(self.rng.randbytes(32)))
        self.wallet = str(Pubkey(self.rng.randbytes(32)))
        self.state = Reserves(quote=30_000_000_000, token=1_073_000_000_000_000)
        self.held = 0
        self.trades: list[Trade] = []
        for _ in range(trades):
            self.trade()

    def trade(self) -> Trade:
        is_buy = self.held < 10**12 or self.rng.random() < 0.6
        amount = self.rng.randrange(10**9, 10**13) if is_buy else self.rng.randrange(10**9, self.held)
        quote = curve_buy_quote(amount, self.state) if is_buy else curve_sell_quote(amount, self.state)
        self.state = after_trade(self.state, is_buy=is_buy, token_amount=amount, quote_amount=quote)
        self.held += amount if is_buy else -amount
        number = len(self.trades) + 1
        self.trades.append(
            Trade(
                signature=str(Signature(self.rng.randbytes(64))),
                mint=self.mint,
                wallet=self.wallet,
                is_buy=is_buy,
                venue="curve",
                token_amount=amount,
                quote_amount=quote,
                trader_quote_amount=quote,
                quote_mint=WRAPPED_SOL,
                virtual_token_reserves=self.state.token,
                virtual_quote_reserves=self.state.quote,
                real_token_reserves=self.state.token - NEVER_SOLD,
                real_quote_reserves=self.state.quote - NEVER_RAISED,
                event_index=0,
                slot=FIRST_SLOT + 10 * number,
                block_time=NOW + 4 * number,
            )
        )
        return self.trades[-1]

    @property
    def created(self) -> TokenCreated:
        return TokenCreated(
            signature=str(Signature(bytes([7]) * 64)),
            mint=self.mint,
            bonding_curve=self.wallet,
            developer=self.wallet,
            event_index=0,
            slot=FIRST_SLOT,
            block_time=NOW,
            symbol="CAT",
            virtual_token_reserves=1_073_000_000_000_000,
            virtual_quote_reserves=30_000_000_000,
            real_token_reserves=793_100_000_000_000,
            token_total_supply=10**15,
            is_mayhem_mode=False,
        )

    @property
    def watched(self) -> SpellStarted:
        return SpellStarted(kind="token", address=self.mint, reason="admitted", at_us=(NOW + 1) * 1_000_000)

    def anchor(self, *, after: int | None = None, **changes: Any) -> Anchor:
        """What the account shows after so many trades, by default all."""
        number = len(self.trades) if after is None else after
        last = self.trades[number - 1]
        values: dict[str, Any] = {
            "mint": self.mint,
            "venue": "curve",
            "slot": (last.slot or 0) + 5,
            "asked_at_us": (NOW + 4 * number + 2) * 1_000_000,
            "commitment": "confirmed",
            "block_time": NOW + 4 * number + 2,
            "virtual_token_reserves": last.virtual_token_reserves,
            "virtual_quote_reserves": last.virtual_quote_reserves,
            "real_token_reserves": last.real_token_reserves,
            "real_quote_reserves": last.real_quote_reserves,
        }
        return Anchor(**{**values, **changes})


def record(path: Path, *events: Event, source: str = "helius", late_seconds: float = 1.5, origin: str = "simulator") -> None:
    """Store *events*, each in a delivery of its own, and let the grace pass."""
    store = Store.open(path, origin=origin, break_grace_seconds=0.0)
    try:
        store.apply([_delivery(event, source, late_seconds) for event in events])
        store.look(now_us=time.time_ns() // 1000)
        store.checkpoint()
    finally:
        store.close()


def _delivery(event: Event, source: str, late_seconds: float) -> Delivery:
    at = getattr(event, "block_time", None) or NOW
    of = source if isinstance(event, Trade | TokenCreated) else "pumpwatch"
    return Delivery(source=of, received_at_us=int((at + late_seconds) * 1_000_000), events=(event,))


def stored_verdicts(path: Path) -> dict[str, tuple[Any, ...]]:
    """What the writer says of each token."""
    columns = "mint, completeness, complete_from, complete_until, proven_to_slot, holes, reason"
    with sqlite3.connect(path) as connection:
        rows = connection.execute(f"SELECT {columns} FROM tokens").fetchall()
    connection.close()
    return {row[0]: row[1:] for row in rows}


def without(trades: Sequence[Trade], missing: Iterable[int]) -> list[Trade]:
    return [trade for place, trade in enumerate(trades) if place not in set(missing)]
