"""A trade as it is read, and which trades are wanted: for lists of them and for those who follow the record."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal

import msgspec

from pumpwatch.storage.queries import Reader
from pumpwatch.storage.schema import VENUES
from pumpwatch.storage.schema_figures import TRADE_COLUMNS, TRADE_TABLES

#: When the first report of a trade arrived, in unix seconds.
ARRIVED_AT: Final = (
    "min(ifnull(trades.pumpportal_at_us, 9223372036854775807), ifnull(trades.helius_at_us, 9223372036854775807), "
    "ifnull(trades.backfill_at_us, 9223372036854775807)) / 1000000"
)

#: When a trade was: by the chain's clock, or by ours as long as the chain has not told.
AT: Final = f"ifnull(trades.block_time, {ARRIVED_AT})"
IN_LOG: Final = "state <= 2"

#: ``trades.state`` in words.
STATES: Final = ("provisional", "confirmed", "finalized", "dropped", "superseded")

#: A transaction is short: a long one keeps the writer's log from shrinking.
_ROWS_AT_ONCE: Final = 10_000

#: What one whole quote is in its base units. While the chain has not told the quote, amounts are PumpPortal's: lamports.
_UNITS: Final = "CASE WHEN quotes.id IS NULL THEN 1e9 WHEN trades.state = 0 AND quotes.id <> 1 THEN NULL ELSE quotes.units END"
QUOTES: Final = (
    "LEFT JOIN quotes ON quotes.id = ifnull(trades.quote_id, (SELECT quote_id FROM tokens WHERE tokens.id = trades.token_id))"
)

#: The fields of :class:`TradeRow`, from :data:`TRADE_TABLES`.
COLUMNS: Final = TRADE_COLUMNS.replace(
    "    trades.chain_key\n",
    "    CASE WHEN trades.chain_key IS NOT NULL THEN lower(hex(trades.chain_key)) END AS chain_key\n",  # hex() of null is empty
)


class TradeRow(msgspec.Struct, frozen=True):
    """A row of ``trade_log``; *chain_key* in hexadecimal digits."""

    signature: str
    event_index: int | None
    slot: int | None
    block_time: int | None
    received_at_us: int
    mint: str
    symbol: str | None
    wallet: str
    side: str
    venue: str
    token_amount: int
    quote_amount: int | None
    trader_quote_amount: int | None
    quote_mint: str | None
    protocol_fee: int | None
    creator_fee: int | None
    lp_fee: int | None
    virtual_token_reserves: int | None
    virtual_quote_reserves: int | None
    real_token_reserves: int | None
    real_quote_reserves: int | None
    price: float | None
    price_usd: float | None
    price_impact: float | None
    sources: str
    confirmed: int
    chain_key: str | None


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """
    Which trades.

    Attributes:
        minimum_quote: Of whole quotes, whichever quote it is; *minimum_tokens*: of whole tokens.
        since: Unix seconds; *until*: alike, both inclusive. A provisional trade is from when it arrived.
    """

    mint: str | None = None
    wallet: str | None = None
    side: Literal["buy", "sell"] | None = None
    venue: Literal["curve", "pool"] | None = None
    minimum_quote: float | None = None
    minimum_tokens: float | None = None
    since: int | None = None
    until: int | None = None
    confirmed_only: bool = False

    @property
    def parameters(self) -> dict[str, Any]:
        """For :attr:`lasting` and :attr:`passing`."""
        return {
            "mint": self.mint,
            "wallet": self.wallet,
            "is_buy": int(self.side == "buy"),
            "venue": VENUES.get(self.venue or ""),
            "minimum_quote": self.minimum_quote,
            "minimum_tokens": self.minimum_tokens,
            "since": self.since,
            "until": self.until,
        }

    @property
    def lasting(self) -> str:
        """What a row of ``trades`` fulfils as long as it is there, whatever the chain still tells of it."""
        conditions = (
            (self.side, "trades.is_buy = :is_buy"),
            (self.venue, "trades.venue = :venue"),
            (self.minimum_tokens, "trades.token_amount / 1e6 >= :minimum_tokens"),
        )
        return _all(condition for value, condition in conditions if value is not None)

    @property
    def passing(self) -> str:
        """What may change with its confirmation. Needs ``quotes``, see :data:`QUOTES`."""
        conditions = (
            (self.minimum_quote, f"trades.quote_amount / ({_UNITS}) >= :minimum_quote"),
            (self.since, f"{AT} >= :since"),
            (self.until, f"{AT} <= :until"),
        )
        return _all(condition for value, condition in conditions if value is not None)

    @property
    def states(self) -> str:
        """Those of the rows that count."""
        return "trades.state IN (1, 2)" if self.confirmed_only else f"trades.{IN_LOG}"


class ListedTrade(TradeRow, frozen=True, kw_only=True):
    """
    A trade of a list that goes on: its row of ``trades`` may change.

    Attributes:
        id: Of that row: stays its own for ever.
        state: ``provisional``, ``confirmed``, ``finalized``, ``dropped``, ``superseded``.
    """

    id: int
    state: str

    @property
    def row(self) -> TradeRow:
        """The row of ``trade_log`` alone."""
        return TradeRow(*(getattr(self, name) for name in TradeRow.__struct_fields__))


def rows(reader: Reader, ids: Sequence[int]) -> list[ListedTrade]:
    """Those of these rows of ``trades`` that are in ``trade_log``, in this order."""
    found: list[ListedTrade] = []
    for start in range(0, len(ids), _ROWS_AT_ONCE):
        found += [
            ListedTrade(*values, id=id_, state=STATES[state])
            for id_, state, *values in reader.rows(
                f"SELECT trades.id, trades.state, {COLUMNS} FROM json_each(:ids) AS place CROSS JOIN {TRADE_TABLES} "
                f"WHERE trades.id = place.value AND trades.{IN_LOG} ORDER BY place.key",
                ids=msgspec.json.encode(ids[start : start + _ROWS_AT_ONCE]).decode(),
            )
        ]
    return found


def completeness_of(reader: Reader, mints: Iterable[str]) -> dict[str, tuple[str, str | None]]:
    """Mint -> completeness and its reason, of those that are known."""
    found = reader.rows(
        "SELECT board.mint, board.completeness, board.reason FROM json_each(:mints) AS place "
        "CROSS JOIN token_board AS board ON board.mint = place.value ORDER BY place.key",
        mints=msgspec.json.encode(list(mints)).decode(),
    )
    return {mint: (completeness, reason) for mint, completeness, reason in found}


def _all(conditions: Iterable[str]) -> str:
    return " AND ".join(conditions) or "1"
