"""
The tokens of the record, chosen and in an order.

Which tokens are shown is found on the table ``tokens`` alone; only these are looked at in the view. With a window only tokens
that traded inside it are looked at.
"""

from __future__ import annotations

from array import array
from typing import Any, Final, Literal, TypeAlias

import msgspec

from pumpwatch.storage.queries import Reader
from pumpwatch.storage.windows import Window, first_minute, windows_of

TokenOrder: TypeAlias = Literal[
    "newest", "oldest", "trades", "volume", "market-cap", "last-trade", "wallets", "progress", "change"
]

#: Quotes cannot be compared but in dollars: without a rate, those of one quote stand together.
_QUOTES: Final = """
    money AS (
        SELECT id, units, (SELECT usd FROM rates WHERE quote_id = quotes.id ORDER BY minute DESC LIMIT 1) AS usd FROM quotes
    )
"""
_VOLUME: Final = "(tokens.volume + iif(tokens.quote_id = 1, tokens.provisional_volume, 0)) / money.units"
_PRICE: Final = "tokens.last_virtual_quote_reserves * 1.0 / tokens.last_virtual_token_reserves"
_MARKET_CAP: Final = f"{_PRICE} / money.units * tokens.token_total_supply"
_STATUS: Final = """
    CASE
        WHEN tokens.migrated_signature IS NOT NULL OR tokens.last_venue = 1 THEN 'graduated'
        WHEN tokens.completed_signature IS NOT NULL THEN 'completed'
        ELSE 'curve'
    END
"""
_PROGRESS: Final = """
    CASE
        WHEN tokens.last_venue = 1 OR coalesce(tokens.migrated_signature, tokens.completed_signature) IS NOT NULL THEN 100.0
        ELSE (tokens.start_real_token_reserves - ifnull(tokens.last_real_token_reserves, tokens.start_real_token_reserves))
            * 100.0 / tokens.start_real_token_reserves
    END
"""
#: The first time that anything is known of it, in unix seconds.
_SINCE: Final = "ifnull(tokens.created_at, tokens.first_seen_us / 1000000)"

_ORDERS: Final = {
    "newest": "tokens.id DESC",
    "oldest": "tokens.id",
    "trades": "tokens.trades DESC, tokens.id DESC",
    "volume": f"({_VOLUME}) * money.usd DESC NULLS LAST, tokens.quote_id, {_VOLUME} DESC",
    "market-cap": f"({_MARKET_CAP}) * money.usd DESC NULLS LAST, tokens.quote_id, {_MARKET_CAP} DESC",
    "last-trade": "tokens.last_trade_at DESC NULLS LAST, tokens.id DESC",
    "wallets": "tokens.wallets DESC, tokens.id DESC",
    "progress": f"{_PROGRESS} DESC NULLS LAST, tokens.id DESC",
}

_VOLUME_LATELY: Final = "lately.volume / money.units"

#: The same of what happened in a window; *change* has only that.
_ORDERS_IN_WINDOW: Final = {
    **_ORDERS,
    "trades": "lately.trades DESC, tokens.id DESC",
    "volume": f"{_VOLUME_LATELY} * money.usd DESC NULLS LAST, tokens.quote_id, {_VOLUME_LATELY} DESC",
    "change": f"""
        {_PRICE} / ifnull(
            (SELECT close FROM minutes WHERE token_id = tokens.id AND minute < :first ORDER BY minute DESC LIMIT 1),
            (SELECT open FROM minutes WHERE token_id = tokens.id AND minute >= :first ORDER BY minute LIMIT 1)
        ) DESC NULLS LAST, tokens.id DESC
    """,
}
#: Tokens that traded in the window alone, found by their index and then taken in the order of ``minutes``.
_LATELY: Final = """
    lately AS MATERIALIZED (
        SELECT active.id{sums} FROM (
            SELECT id FROM tokens INDEXED BY tokens_last_trade WHERE last_trade_at >= :first * 60 ORDER BY id LIMIT -1
        ) AS active
    )
"""
_SUM_LATELY: Final = ", (SELECT total({name}) FROM minutes WHERE token_id = active.id AND minute >= :first) AS {name}"
_IS_WATCHED: Final = "EXISTS (SELECT 1 FROM spells WHERE kind = 'token' AND address = tokens.mint AND ended_at_us IS NULL)"
_HAS_TEXT: Final = (
    "(instr(lower(tokens.symbol), :text) > 0 OR instr(lower(tokens.name), :text) > 0 "
    "OR (tokens.mint >= :mint_start AND tokens.mint < :mint_end))"
)
_ROWS: Final = """
    SELECT {columns}, (
        SELECT reason FROM spells WHERE kind = 'token' AND address = board.mint AND ended_at_us IS NULL LIMIT 1
    ) FROM json_each(:mints) AS place CROSS JOIN token_board AS board ON board.mint = place.value ORDER BY place.key
"""


class BoardRow(msgspec.Struct, frozen=True):
    """A row of ``token_board``, and why the token is watched now (None: it is not)."""

    mint: str
    symbol: str | None
    name: str | None
    creator: str | None
    developer: str | None
    created_at: int | None
    status: str
    trades: int
    buys: int
    sells: int
    volume: int | None
    quote_mint: str | None
    price: float | None
    market_cap: float | None
    last_trade_at: int | None
    completeness: str
    complete_from: int | None
    complete_until: int | None
    proven_to_slot: int | None
    holes: int | None
    reason: str | None
    first_trade_at: int | None
    wallets: int
    price_high: float | None
    price_low: float | None
    progress: float | None
    pool: str | None
    is_mayhem_mode: int | None
    is_cashback_enabled: int | None
    is_holder_reward: int | None
    creator_bought: int | None
    creator_sold: int | None
    price_usd: float | None
    market_cap_usd: float | None
    usd_at: int | None
    watched: str | None


BOARD_COLUMNS: Final = ", ".join(f"board.{name}" for name in BoardRow.__struct_fields__[:-1])


class WantedTokens(msgspec.Struct, frozen=True, kw_only=True):
    """
    Which tokens.

    Attributes:
        symbol: Part of the symbol, or with ``*`` and ``?`` a pattern for all of it; great and small letters are the same (ASCII).
        created_after: Unix seconds: of the creation, or where that is not known, of the first that was heard of it.
        minimum_volume: In whole quotes, whichever quote it is; in a window that of the window.
        text: Part of the symbol or of the name, or the beginning of the mint; great and small letters are the same (ASCII).
        quote_mint: What they trade against.
    """

    status: str | None = None
    completeness: str | None = None
    symbol: str | None = None
    text: str | None = None
    created_after: int | None = None
    created_before: int | None = None
    minimum_volume: float | None = None
    quote_mint: str | None = None
    watched_only: bool = False

    @property
    def _is_pattern(self) -> bool:
        return self.symbol is not None and ("*" in self.symbol or "?" in self.symbol)

    @property
    def condition(self) -> str:
        """For ``tokens`` and ``money``, with :attr:`parameters`."""
        return self.condition_on(_VOLUME)

    def condition_on(self, volume: str) -> str:
        """The same, with something else for the volume, in whole quotes."""
        by_symbol = "lower(tokens.symbol) GLOB :symbol" if self._is_pattern else "instr(lower(tokens.symbol), :symbol) > 0"
        conditions = (
            (self.status, f"{_STATUS} = :status"),
            (self.completeness, "tokens.completeness = :completeness"),
            (self.symbol, by_symbol),
            (self.text, _HAS_TEXT),
            (self.created_after, f"{_SINCE} >= :created_after"),
            (self.created_before, f"{_SINCE} <= :created_before"),
            (self.minimum_volume, f"{volume} >= :minimum_volume"),
            (self.quote_mint, "tokens.quote_id = (SELECT id FROM quotes WHERE mint = :quote_mint)"),
            (self.watched_only or None, _IS_WATCHED),
        )
        return " AND ".join(condition for value, condition in conditions if value is not None) or "1"

    @property
    def parameters(self) -> dict[str, Any]:
        """For :attr:`condition`."""
        symbol = None if self.symbol is None else _lower(self.symbol)
        if symbol is not None and self._is_pattern:
            symbol = symbol.replace("[", "[[]")  # of GLOB's signs, only * and ? are meant
        return {
            "status": self.status,
            "completeness": self.completeness,
            "symbol": symbol,
            "text": None if self.text is None else _lower(self.text),
            "mint_start": self.text,
            "mint_end": f"{self.text}\x7f",
            "created_after": self.created_after,
            "created_before": self.created_before,
            "minimum_volume": self.minimum_volume,
            "quote_mint": self.quote_mint,
        }


EVERY_TOKEN: Final = WantedTokens()


def token_ids(reader: Reader, wanted: WantedTokens = EVERY_TOKEN) -> array[int]:
    """Ids of all such tokens, as they first appeared."""
    return reader.numbers(
        f"WITH {_QUOTES} SELECT tokens.id FROM tokens LEFT JOIN money ON money.id = tokens.quote_id "
        f"WHERE {wanted.condition} ORDER BY tokens.id",
        **wanted.parameters,
    )


def tokens(reader: Reader, wanted: WantedTokens = EVERY_TOKEN, *, limit: int, order: TokenOrder = "newest") -> list[BoardRow]:
    """At most *limit* tokens."""
    return board_rows(reader, wanted_mints(reader, wanted, limit=limit, order=order))


def wanted_mints(reader: Reader, wanted: WantedTokens = EVERY_TOKEN, *, limit: int, order: TokenOrder) -> list[str]:
    """Which these are, in their order."""
    mints = reader.rows(
        f"WITH {_QUOTES} SELECT tokens.mint FROM tokens LEFT JOIN money ON money.id = tokens.quote_id "
        f"WHERE {wanted.condition} ORDER BY {_ORDERS[order]} LIMIT :limit",
        limit=limit,
        **wanted.parameters,
    )
    return [mint for (mint,) in mints]


def tokens_in_window(
    reader: Reader, wanted: WantedTokens = EVERY_TOKEN, *, limit: int, order: TokenOrder, seconds: int, now: float
) -> list[tuple[BoardRow, Window]]:
    """At most *limit* tokens that traded in the last *seconds*, with what they did in them."""
    rows = board_rows(reader, mints_in_window(reader, wanted, limit=limit, order=order, seconds=seconds, now=now))
    of_each = windows_of(reader, (row.mint for row in rows), now, seconds)
    return [(row, of_each.get(row.mint, Window(seconds))) for row in rows]


def mints_in_window(
    reader: Reader, wanted: WantedTokens = EVERY_TOKEN, *, limit: int, order: TokenOrder, seconds: int, now: float
) -> list[str]:
    """Which these are, in their order."""
    sums = {"trades", "volume"} & {order, "volume" if wanted.minimum_volume is not None else order}
    lately = _LATELY.format(sums="".join(_SUM_LATELY.format(name=name) for name in sorted(sums)))
    mints = reader.rows(
        f"WITH {_QUOTES}, {lately} SELECT tokens.mint FROM lately CROSS JOIN tokens ON tokens.id = lately.id "
        f"LEFT JOIN money ON money.id = tokens.quote_id "
        f"WHERE {wanted.condition_on(_VOLUME_LATELY)} ORDER BY {_ORDERS_IN_WINDOW[order]} LIMIT :limit",
        limit=limit,
        first=first_minute(now, seconds),
        **wanted.parameters,
    )
    return [mint for (mint,) in mints]


def board_rows(reader: Reader, mints: list[str]) -> list[BoardRow]:
    """The rows of these tokens, in this order."""
    found = reader.rows(_ROWS.format(columns=BOARD_COLUMNS), mints=msgspec.json.encode(mints).decode())
    return [BoardRow(*row) for row in found]


def _lower(text: str) -> str:
    """As SQLite's lower() does it: ASCII letters only."""
    return "".join(letter.lower() if letter.isascii() else letter for letter in text)
