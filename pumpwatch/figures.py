"""
PURE. What trades add up to: the position of a wallet in a token, and the minutes of a token's market.

Both are folds over trades in the chain's order. The writer keeps them as it goes (``storage/figures.py``); ``db check`` folds
them anew. Prices here are ratios of the reserves after a trade, in base units of the quote per base unit of the token: what a
whole token costs needs the quote's decimals, which may become known later.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

import msgspec

#: Sums saturate here: SQLite's INTEGER ends there.
LARGEST: Final = 2**63 - 1

MINUTE_SECONDS: Final = 60


class Traded(NamedTuple):
    """
    A trade that the chain told, as far as figures need it.

    Attributes:
        quote_amount: Net of fees, what moved the reserves. *trader_quote_amount*: paid or received, all fees included.
        virtual_token_reserves: After the trade.
    """

    chain_key: bytes
    wallet_id: int
    is_buy: int
    token_amount: int
    quote_amount: int | None
    trader_quote_amount: int | None
    virtual_token_reserves: int
    virtual_quote_reserves: int
    block_time: int | None

    @property
    def slot(self) -> int:
        """From its chain_key."""
        return slot_of(self.chain_key)

    @property
    def price(self) -> float | None:
        """Base units of the quote per base unit of the token."""
        return self.virtual_quote_reserves / self.virtual_token_reserves if self.virtual_token_reserves > 0 else None


def slot_of(chain_key: bytes) -> int:
    """The slot that a chain_key names."""
    return int.from_bytes(chain_key[1:9], "big")


class Position(msgspec.Struct, gc=False):
    """
    What a wallet did with a token, in trades alone: transfers are invisible, so this is no balance.

    Profit is realised at average cost: a sale of t out of h held takes ``floor(cost * t / h)`` out of the cost of what is held.

    Attributes:
        bought: Base units of the token; *sold* alike.
        spent: Base units of the quote, with all fees; *received* alike, after all fees.
        cost: Of what is still held.
        profit: Realised by its sales.
        sold_unbought: It sold more than it had bought by then, so it got some by transfer: its profit is unknown.
        unknown: Trades whose quote amount is unknown: its profit is unknown too.
        provisional_buys: Told by PumpPortal alone so far; in none of the numbers above, like the other ``provisional_*``.
        last_key: chain_key of its last trade.
    """

    buys: int = 0
    sells: int = 0
    bought: int = 0
    sold: int = 0
    spent: int = 0
    received: int = 0
    cost: int = 0
    profit: int = 0
    sold_unbought: int = 0
    unknown: int = 0
    provisional_buys: int = 0
    provisional_sells: int = 0
    provisional_bought: int = 0
    provisional_sold: int = 0
    first_trade_at: int | None = None
    last_trade_at: int | None = None
    last_key: bytes | None = None

    @property
    def is_empty(self) -> bool:
        """No trade is left in it."""
        return not (self.buys or self.sells or self.provisional_buys or self.provisional_sells)

    def add(self, trade: Traded) -> None:
        """Add the trade that follows all others in the chain's order."""
        tokens, quote = trade.token_amount, trade.trader_quote_amount
        if quote is None:
            self.unknown += 1
            quote = 0
        if trade.is_buy:
            self.buys += 1
            self.bought = min(self.bought + tokens, LARGEST)
            self.spent = min(self.spent + quote, LARGEST)
            self.cost = min(self.cost + quote, LARGEST)
        else:
            held = self.bought - self.sold
            if tokens > held:
                self.sold_unbought = 1
                taken = self.cost
            else:
                taken = self.cost * tokens // held if held else 0
            self.sells += 1
            self.sold = min(self.sold + tokens, LARGEST)
            self.received = min(self.received + quote, LARGEST)
            self.cost -= taken
            self.profit = max(-LARGEST, min(self.profit + quote - taken, LARGEST))
        if self.first_trade_at is None:
            self.first_trade_at = trade.block_time
        self.last_trade_at = trade.block_time
        self.last_key = trade.chain_key

    def add_provisional(self, *, is_buy: int, token_amount: int, sign: int) -> None:
        """Add a trade that only PumpPortal told, or take it out again."""
        if is_buy:
            self.provisional_buys += sign
            self.provisional_bought = max(0, min(self.provisional_bought + sign * token_amount, LARGEST))
        else:
            self.provisional_sells += sign
            self.provisional_sold = max(0, min(self.provisional_sold + sign * token_amount, LARGEST))


class Minute(msgspec.Struct, gc=False):
    """
    A minute of one token's market.

    Attributes:
        volume: Base units of the quote, net of fees; *buy_volume*: of the buys.
        open: The price after its first trade; *close*: after its last.
        last_key: chain_key of its last trade.
    """

    trades: int
    buys: int
    volume: int
    buy_volume: int
    open: float | None
    high: float | None
    low: float | None
    close: float | None
    first_slot: int
    last_key: bytes

    @classmethod
    def of(cls, trades: Iterable[Traded]) -> Minute | None:
        """Fold trades in the chain's order; None without any."""
        minute = None
        for trade in trades:
            minute = cls.begun_by(trade) if minute is None else minute
            minute.add(trade)
        return minute

    @classmethod
    def begun_by(cls, trade: Traded) -> Minute:
        """A minute without trades, whose first is going to be *trade*."""
        price = trade.price
        return cls(0, 0, 0, 0, price, price, price, price, trade.slot, trade.chain_key)

    def add(self, trade: Traded) -> None:
        """Add the trade that follows all others in the chain's order."""
        quote = trade.quote_amount or 0
        price = trade.price
        self.trades += 1
        self.volume = min(self.volume + quote, LARGEST)
        if trade.is_buy:
            self.buys += 1
            self.buy_volume = min(self.buy_volume + quote, LARGEST)
        self.last_key = trade.chain_key
        if price is not None:
            self.open = price if self.open is None else self.open
            self.high = price if self.high is None or price > self.high else self.high
            self.low = price if self.low is None or price < self.low else self.low
            self.close = price
