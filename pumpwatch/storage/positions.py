"""
What wallets did with tokens: the questions to ``positions``, each down one index and with a bound.

All of it is from trades alone: what came or went by transfer is invisible, so nothing here is a balance. Amounts of different
quotes are never added up.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import msgspec

from pumpwatch.storage.backwards import is_busy, times_back
from pumpwatch.storage.queries import Reader

Order: TypeAlias = Literal["last", "profit", "volume", "net"]

#: Whose net amounts :func:`largest` adds up.
TOP: Final = 10

_NET: Final = "own.bought + own.provisional_bought - own.sold - own.provisional_sold"
_SPENT_KNOWN: Final = "own.unknown = 0 AND own.provisional_buys = 0"
_RECEIVED_KNOWN: Final = "own.unknown = 0 AND own.provisional_sells = 0"
_PROFIT_KNOWN: Final = f"{_SPENT_KNOWN} AND own.provisional_sells = 0 AND own.sold_unbought = 0"

#: What is unknown comes last: a profit, or when a position was that has no confirmed trade yet.
_ORDERS: Final[dict[Order, str]] = {
    "last": "own.last_trade_at",
    "profit": f"CASE WHEN {_PROFIT_KNOWN} THEN own.profit END",
    "volume": "own.spent + own.received",
    "net": _NET,
}

#: Of different quotes, amounts are not to be compared: one quote after the other, SOL first, unknown last.
_ACROSS_QUOTES: Final = "ifnull(tokens.quote_id, 9223372036854775807)"

_OF_WALLET: Final = (
    "positions AS own CROSS JOIN tokens ON tokens.id = own.token_id "
    "WHERE own.wallet_id = (SELECT id FROM wallets WHERE address = :address)"
)
#: The same, only those of its trades behind a time.
_LATELY: Final = (
    "(SELECT DISTINCT token_id FROM trades INDEXED BY trades_time WHERE block_time > :at AND state IN (1, 2) "
    "AND wallet_id = (SELECT id FROM wallets WHERE address = :address)) AS lately "
    "CROSS JOIN positions AS own ON own.token_id = lately.token_id CROSS JOIN tokens ON tokens.id = own.token_id "
    "WHERE own.wallet_id = (SELECT id FROM wallets WHERE address = :address) AND own.last_trade_at > :at"
)
_OF_TOKEN: Final = "positions AS own WHERE own.token_id = (SELECT id FROM tokens WHERE mint = :mint)"


class PositionRow(msgspec.Struct, frozen=True):
    """A row of ``position_board``."""

    mint: str
    symbol: str | None
    wallet: str
    buys: int
    sells: int
    bought: int
    sold: int
    net_bought: int
    quote_mint: str | None
    spent: int | None
    received: int | None
    realised_profit: int | None
    remark: str | None
    first_trade_at: int | None
    last_trade_at: int | None
    completeness: str


class WalletTotal(msgspec.Struct, frozen=True):
    """
    What a wallet did with all tokens that trade against one quote.

    Attributes:
        quote_mint: None: tokens whose quote the chain has not told.
        spent: Base units of the quote, fees included, of the tokens where it is known; *received*, *realised_profit* alike.
        spent_unknown: Tokens that are not in *spent*; *received_unknown*, *profit_unknown* alike.
        received_by_transfer: Tokens of which it sold more than it had bought: among *profit_unknown*.
        complete: Tokens whose record is ``complete``: of the others, trades may be missing.
    """

    quote_mint: str | None
    tokens: int
    buys: int
    sells: int
    spent: int
    spent_unknown: int
    received: int
    received_unknown: int
    realised_profit: int
    profit_unknown: int
    received_by_transfer: int
    complete: int
    first_trade_at: int | None
    last_trade_at: int | None


class Largest(msgspec.Struct, frozen=True):
    """
    How much a few wallets bought and did not sell.

    Attributes:
        wallets: At most :data:`TOP`: those with the largest ``net_bought`` above 0.
        net_bought: Of them together, base units.
        share: Of the token's whole supply, 0.1 is 10 %; None if that is unknown.
    """

    wallets: int
    net_bought: int
    share: float | None


_BOARD: Final = ", ".join(f"board.{name}" for name in PositionRow.__struct_fields__)


def totals_of(reader: Reader, address: str) -> list[WalletTotal]:
    """What a wallet did, for each quote by itself; SOL first, unknown last."""
    found = reader.rows(f"SELECT DISTINCT tokens.quote_id FROM {_OF_WALLET}", address=address)
    quotes = sorted((quote_id for (quote_id,) in found), key=lambda quote_id: (quote_id is None, quote_id))
    return [_total(reader, address, quote_id) for quote_id in quotes]


def _total(reader: Reader, address: str, quote_id: int | None) -> WalletTotal:
    # GROUP BY would sort whole rows: a pass for each of the few quotes is faster.
    (row,) = reader.rows(
        "SELECT (SELECT mint FROM quotes WHERE id = :quote_id), count(*), "
        "sum(own.buys + own.provisional_buys), sum(own.sells + own.provisional_sells), "
        f"{_exact_sum('own.spent', _SPENT_KNOWN)}, {_exact_sum('own.received', _RECEIVED_KNOWN)}, "
        f"{_exact_sum('own.profit', _PROFIT_KNOWN)}, sum(own.sold_unbought), sum(tokens.completeness = 'complete'), "
        f"min(own.first_trade_at), max(own.last_trade_at) FROM {_OF_WALLET} AND tokens.quote_id IS :quote_id",
        address=address,
        quote_id=quote_id,
    )
    mint, tokens, buys, sells, *sums, by_transfer, complete, first, last = row
    spent, received, profit = ((_joined(*sums[at : at + 2]), tokens - sums[at + 2]) for at in (0, 3, 6))
    return WalletTotal(mint, tokens, buys, sells, *spent, *received, *profit, by_transfer, complete, first, last)


def _exact_sum(column: str, condition: str) -> str:
    """Three columns: the sum in two halves, as SQLite refuses a sum beyond 64 bits, and of how many."""
    return f"sum(iif({condition}, {column} >> 32, 0)), sum(iif({condition}, {column} & 4294967295, 0)), sum({condition})"


def _joined(high: int, low: int) -> int:
    return (high << 32) + low


def positions_of(
    reader: Reader, address: str, *, limit: int, order: Order = "last", quote_mint: str | None = None
) -> list[PositionRow]:
    """
    At most *limit* positions of a wallet, the largest first.

    Args:
        quote_mint: Only those of tokens that trade against this. None: by profit or volume, one quote after the other.

    """
    where = "" if quote_mint is None else " AND tokens.quote_id = (SELECT id FROM quotes WHERE mint = :quote_mint)"
    quote = "0" if quote_mint is not None or order == "last" else _ACROSS_QUOTES

    def largest_of(source: str, **parameters: object) -> list[PositionRow]:
        rows = reader.rows(
            f"WITH chosen AS (SELECT tokens.mint, {quote} AS quote, {_ORDERS[order]} AS size FROM {source}{where} "
            "ORDER BY quote, size DESC LIMIT :limit) "
            f"SELECT {_BOARD} FROM chosen CROSS JOIN position_board AS board "
            "ON board.mint = chosen.mint AND board.wallet = :address ORDER BY chosen.quote, chosen.size DESC",
            address=address,
            quote_mint=quote_mint,
            limit=limit,
            **parameters,
        )
        return [PositionRow(*row) for row in rows]

    if order == "last" and is_busy(reader, address):
        for at in times_back(reader, None):
            found = largest_of(_LATELY, at=at)
            if len(found) >= limit:
                return found
    return largest_of(_OF_WALLET)


def traders_of(reader: Reader, mint: str, *, limit: int, order: Order = "volume") -> list[PositionRow]:
    """At most *limit* positions in a token, the largest first."""
    rows = reader.rows(
        f"WITH chosen AS (SELECT own.wallet_id, {_ORDERS[order]} AS size FROM {_OF_TOKEN} ORDER BY size DESC LIMIT :limit) "
        f"SELECT {_BOARD} FROM chosen CROSS JOIN wallets ON wallets.id = chosen.wallet_id "
        "CROSS JOIN position_board AS board ON board.mint = :mint AND board.wallet = wallets.address ORDER BY chosen.size DESC",
        mint=mint,
        limit=limit,
    )
    return [PositionRow(*row) for row in rows]


def position_of(reader: Reader, mint: str, address: str) -> PositionRow | None:
    """What this wallet did with this token; None: it did not trade it."""
    rows = reader.rows(
        f"SELECT {_BOARD} FROM position_board AS board WHERE board.mint = :mint AND board.wallet = :address",
        mint=mint,
        address=address,
    )
    return PositionRow(*rows[0]) if rows else None


def largest(reader: Reader, mint: str) -> Largest:
    """How much of a token the wallets hold that bought most and did not sell, as far as trades tell."""
    rows = reader.rows(f"SELECT {_NET} AS net FROM {_OF_TOKEN} ORDER BY net DESC LIMIT :top", mint=mint, top=TOP)
    held = [net for (net,) in rows if net > 0]
    return Largest(len(held), sum(held), share_of_supply(reader, mint, sum(held)))


def share_of_supply(reader: Reader, mint: str, token_amount: int) -> float | None:
    """*token_amount* as a share of all that was made of a token; None: the chain did not tell of its creation."""
    rows = reader.rows("SELECT token_total_supply FROM tokens WHERE mint = :mint", mint=mint)
    supply = rows[0][0] if rows else None
    return token_amount / supply if supply else None
