"""What was recorded since the last look, with what is known of its token: for market alerts."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from pumpwatch.storage.database import ShortReads

#: In one look. Who is further behind goes on at the end: an alert about yesterday is none.
_MOST: Final = 1000
_FARTHEST: Final = 20_000

_ENDS: Final = "SELECT ifnull((SELECT max(id) FROM trades), 0), ifnull((SELECT max(id) FROM tokens), 0)"
_TRADES: Final = """
    SELECT trades.id, tokens.mint, tokens.symbol, wallets.address, trades.is_buy, trades.venue, trades.token_amount,
        trades.quote_amount, ifnull(trades.quote_id, tokens.quote_id), trades.state,
        ifnull(trades.block_time, coalesce(trades.pumpportal_at_us, trades.helius_at_us, trades.backfill_at_us) / 1000000),
        CASE WHEN trades.virtual_token_reserves > 0 THEN trades.virtual_quote_reserves * 1.0 / trades.virtual_token_reserves END,
        trades.real_token_reserves, tokens.start_real_token_reserves,
        trades.wallet_id IN (tokens.creator_id, tokens.developer_id),
        tokens.migrated_signature IS NOT NULL OR tokens.last_venue = 1, ifnull(tokens.migrated_at, tokens.completed_at),
        tokens.completeness, tokens.holes, tokens.reason
    FROM trades JOIN tokens ON tokens.id = trades.token_id JOIN wallets ON wallets.id = trades.wallet_id
    WHERE trades.id > :after AND trades.id <= :until AND trades.state <= 2 ORDER BY trades.id
"""
_TOKENS: Final = "SELECT mint, symbol, name, first_seen_us FROM tokens WHERE id > :after AND id <= :until ORDER BY id"


class Fresh(msgspec.Struct, frozen=True, gc=False):
    """
    A trade that was just recorded.

    Attributes:
        quote_amount: Base units of the quote, lamports if *is_sol*.
        at: Unix seconds: the chain's, or ours while only PumpPortal has told.
        price: Base units of the quote per base unit of the token, after it.
        progress: How much of the curve is sold after it, in percent; None: not on a curve, or unknown.
        curve_tokens: What the curve had to sell, base units.
        graduated_at: Unix seconds; None: it has not, or nobody told when.
    """

    mint: str
    symbol: str | None
    wallet: str
    is_buy: bool
    in_pool: bool
    token_amount: int
    quote_amount: int | None
    is_sol: bool
    is_confirmed: bool
    at: int
    price: float | None
    progress: float | None
    curve_tokens: int | None
    is_by_creator: bool
    has_graduated: bool
    graduated_at: int | None
    completeness: str
    holes: int | None
    reason: str | None


class NewToken(msgspec.Struct, frozen=True, gc=False):
    """A token that was just heard of for the first time."""

    mint: str
    symbol: str | None
    name: str | None
    first_seen_us: int


class News(msgspec.Struct, frozen=True):
    """What is new; *left_out*: trades that were passed over, as there were too many."""

    trades: list[Fresh]
    tokens: list[NewToken]
    left_out: int = 0


class Newest(ShortReads):
    """Reads on from where the record ended when it was opened. For one thread."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._trade_id, self._token_id = self._rows(_ENDS)[0]

    def take(self) -> News:
        """
        What was recorded since the last call, the oldest first, a page of it.

        Raises:
            DatabaseBusy: Try again later; nothing is lost by it.

        """
        last_trade, last_token = self._rows(_ENDS)[0]
        left_out = max(0, last_trade - self._trade_id - _FARTHEST)
        first = self._trade_id + left_out
        until = min(last_trade, first + _MOST)
        trades = [_fresh(row[1:]) for row in self._rows(_TRADES, after=first, until=until)] if until > first else []
        until_token = min(last_token, self._token_id + _MOST)
        tokens = [NewToken(*row) for row in self._rows(_TOKENS, after=self._token_id, until=until_token)]
        self._trade_id, self._token_id = max(until, 0), until_token
        return News(trades, tokens, left_out)


def _fresh(row: tuple[object, ...]) -> Fresh:
    (mint, symbol, wallet, is_buy, venue, token_amount, quote_amount, quote_id, state, at, price, left, to_sell) = row[:13]
    is_by_creator, has_graduated, graduated_at, completeness, holes, reason = row[13:]
    progress = None
    if not venue and isinstance(left, int) and isinstance(to_sell, int) and to_sell > 0:
        progress = (to_sell - left) * 100.0 / to_sell
    return msgspec.convert(
        {
            "mint": mint,
            "symbol": symbol,
            "wallet": wallet,
            "is_buy": bool(is_buy),
            "in_pool": bool(venue),
            "token_amount": token_amount,
            "quote_amount": quote_amount,
            "is_sol": quote_id in (1, None),
            "is_confirmed": state != 0,
            "at": at,
            "price": price,
            "progress": progress,
            "curve_tokens": to_sell,
            "is_by_creator": bool(is_by_creator),
            "has_graduated": bool(has_graduated),
            "graduated_at": graduated_at,
            "completeness": completeness,
            "holes": holes,
            "reason": reason,
        },
        type=Fresh,
    )
