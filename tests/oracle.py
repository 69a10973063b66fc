"""
The judge of the figures: everything that is shown of tokens, wallets, minutes and trades, computed from the raw rows.

Plain Python over ``trades``, ``tokens``, ``quotes``, ``pools``, ``rates`` and ``wallets``, read with sqlite3. It shares no code
with the package and asks none of its sums: each number is computed the longest and plainest way, in integers and fractions. The
order of trades is computed too, from slots and products of reserves; only inside a slot of a mayhem token, where linking gives
it, the stored place is believed.
"""

from __future__ import annotations

import math
import sqlite3
from collections import defaultdict
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias

Row: TypeAlias = dict[str, Any]

#: Floats that went through a few operations.
_RELATIVE = 1e-12
#: A ratio less one loses the digits before the difference.
_OF_IMPACT = 1e-9
_DIFFERENCES = ("price_impact", "price_change")

_RATE_MINUTES = 10
_CONFIRMED = (1, 2)
_SOL = 1


@dataclass
class Raw:
    """What was recorded, as it is in the file: trades by token, rates by quote and minute, the rest by id."""

    trades: dict[int, list[Row]]
    tokens: dict[int, Row]
    wallets: dict[int, str]
    quotes: dict[int, Row]
    pools: dict[int, list[str]]
    rates: dict[int, dict[int, Row]]

    def shown(self, token_id: int) -> list[Row]:
        """The rows that are neither dropped nor superseded."""
        return [trade for trade in self.trades.get(token_id, []) if trade["state"] in (0, 1, 2)]

    def of_token(self, token_id: int) -> list[Row]:
        """The rows that count: confirmed in the chain's order, then the provisional ones."""
        token = self.tokens[token_id]
        counted = self.shown(token_id)
        placed = [trade for trade in counted if trade["state"] in _CONFIRMED and trade["chain_key"] is not None]
        placed.sort(key=lambda trade: place(trade, is_mayhem=bool(token["is_mayhem_mode"])))
        return placed + [trade for trade in counted if trade["state"] == 0]


def place(trade: Row, *, is_mayhem: bool) -> tuple[int, int, int, int]:
    """Where a trade of the chain stands: curve before pool, by slot, by the product of the reserves after it."""
    if is_mayhem and trade["venue"] == 0:
        number = int.from_bytes(trade["chain_key"][9:], "big")
    else:
        number = trade["virtual_token_reserves"] * trade["virtual_quote_reserves"]
    return trade["venue"], trade["slot"], number, trade["id"]


def read(path: Path) -> Raw:
    """All of it, in one moment."""
    with closing(sqlite3.connect(f"file:{path.as_posix()}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        connection.execute("BEGIN")

        def table(name: str) -> list[Row]:
            return [dict(row) for row in connection.execute(f"SELECT * FROM {name}")]

        trades: dict[int, list[Row]] = defaultdict(list)
        for trade in table("trades"):
            trades[trade["token_id"]].append(trade)
        pools: dict[int, list[str]] = defaultdict(list)
        for pool in table("pools"):
            pools[pool["token_id"]].append(pool["pool"])
        rates: dict[int, dict[int, Row]] = defaultdict(dict)
        for rate in table("rates"):
            rates[rate["quote_id"]][rate["minute"]] = rate
        return Raw(
            trades,
            {row["id"]: row for row in table("tokens")},
            {row["id"]: row["address"] for row in table("wallets")},
            {row["id"]: row for row in table("quotes")},
            pools,
            rates,
        )


# One trade


def ratio(trade: Row) -> Fraction | None:
    """Base units of the quote for a base unit of the token, after the trade."""
    tokens, quote = trade["virtual_token_reserves"], trade["virtual_quote_reserves"]
    return None if tokens is None or quote is None or tokens <= 0 else Fraction(quote, tokens)


def whole(price: Fraction | None, quote: Row | None) -> Fraction | None:
    """Whole quote for a whole token; tokens have six decimals."""
    if price is None or quote is None or quote["decimals"] is None:
        return None
    return price * Fraction(10**6, 10 ** quote["decimals"])


def quote_of(raw: Raw, trade: Row) -> Row | None:
    """What the trade was made against."""
    number = trade["quote_id"] if trade["quote_id"] is not None else raw.tokens[trade["token_id"]]["quote_id"]
    return None if number is None else raw.quotes[number]


def rate_at(raw: Raw, quote: Row | None, seconds: int) -> Fraction | None:
    """US dollars for a whole one: of that minute, or the newest of the nine before it."""
    known = {} if quote is None else raw.rates.get(quote["id"], {})
    for minute in range(seconds // 60, seconds // 60 - _RATE_MINUTES, -1):
        if minute in known:
            return Fraction(known[minute]["usd"])
    return None


def impact(trade: Row) -> Fraction | None:
    """Price after over price before, less one, from the state that the trade must have found."""
    after = ratio(trade)
    if after is None or trade["quote_amount"] is None or trade["by_mayhem_agent"]:
        return None
    moved = trade["quote_amount"] if trade["is_buy"] else -trade["quote_amount"]
    tokens = trade["virtual_token_reserves"] + (trade["token_amount"] if trade["is_buy"] else -trade["token_amount"])
    quote = trade["virtual_quote_reserves"] - moved - (trade["lp_fee"] or 0)
    return after / Fraction(quote, tokens) - 1 if tokens and quote else None


def trade_log(raw: Raw, token_id: int) -> list[tuple[Row, Row]]:
    """Each row of the view: as it was recorded, and what the view adds to it."""
    log = []
    for trade in raw.shown(token_id):
        quote = quote_of(raw, trade)
        price = whole(ratio(trade), quote)
        seconds = trade["block_time"] if trade["block_time"] is not None else trade["pumpportal_at_us"] // 10**6
        rate = rate_at(raw, quote, seconds)
        arrivals = [trade[name] for name in ("pumpportal_at_us", "helius_at_us", "backfill_at_us") if trade[name] is not None]
        added = {
            "price": price,
            "price_usd": None if price is None or rate is None else price * rate,
            "price_impact": impact(trade),
            "received_at_us": min(arrivals),
            "confirmed": int(trade["state"] != 0),
        }
        log.append((trade, added))
    return log


# One wallet in one token


def position(trades: list[Row]) -> Row:
    """What the trades of one wallet with one token come to; *trades* as :meth:`Raw.of_token` orders them."""
    confirmed = [trade for trade in trades if trade["state"] in _CONFIRMED]
    buys, sells = ([trade for trade in trades if trade["is_buy"] == side] for side in (1, 0))
    has_unknown = any(trade["trader_quote_amount"] is None for trade in confirmed)
    bought, sold = (sum(trade["token_amount"] for trade in side) for side in (buys, sells))
    profit, by_transfer = _profit(confirmed)

    def paid(side: list[Row]) -> int | None:
        if has_unknown or any(trade["state"] == 0 for trade in side):
            return None
        return _added(side, "trader_quote_amount")

    return {
        "buys": len(buys),
        "sells": len(sells),
        "bought": bought,
        "sold": sold,
        "net_bought": bought - sold,
        "spent": paid(buys),
        "received": paid(sells),
        "realised_profit": None if has_unknown or by_transfer or len(confirmed) != len(trades) else profit,
        "remark": "received by transfer" if by_transfer else None,
        "first_trade_at": confirmed[0]["block_time"] if confirmed else None,
        "last_trade_at": confirmed[-1]["block_time"] if confirmed else None,
    }


def _profit(trades: list[Row]) -> tuple[int, bool]:
    """Of the sales, at what the held tokens cost on average; and whether more was sold than had been bought by then."""
    held = cost = profit = 0
    by_transfer = False
    for trade in trades:
        tokens, quote = trade["token_amount"], trade["trader_quote_amount"] or 0
        if trade["is_buy"]:
            held, cost = held + tokens, cost + quote
            continue
        if tokens > held:
            by_transfer, share = True, Fraction(1)
        else:
            share = Fraction(tokens, held) if held else Fraction(0)
        taken = math.floor(cost * share)
        held, cost, profit = held - tokens, cost - taken, profit + quote - taken
    return profit, by_transfer


# One token


def board(raw: Raw, token_id: int) -> Row:
    """Everything on ``token_board`` that follows from trades."""
    token, trades = raw.tokens[token_id], raw.of_token(token_id)
    every = raw.shown(token_id)
    confirmed = [trade for trade in trades if trade["state"] in _CONFIRMED]
    quote = raw.quotes.get(token["quote_id"])
    last = confirmed[-1] if confirmed else None
    price = None if last is None else whole(ratio(last), quote)
    supply = token["token_total_supply"]
    cap = None if price is None or supply is None else price * Fraction(supply, 10**6)
    prices = [of_trade for trade in confirmed if (of_trade := ratio(trade)) is not None]
    times = [trade["block_time"] for trade in confirmed if trade["block_time"] is not None]
    usd = _newest_rate(raw, quote)
    creating = [trade for trade in trades if trade["wallet_id"] == token["creator_id"]]
    is_graduated = token["migrated_signature"] is not None or (last is not None and last["venue"] == 1)
    is_completed = token["completed_signature"] is not None
    pools = raw.pools.get(token_id, [])
    return {
        "status": "graduated" if is_graduated else "completed" if is_completed else "curve",
        "trades": len(every),
        "buys": sum(trade["is_buy"] for trade in every),
        "sells": sum(1 - trade["is_buy"] for trade in every),
        "volume": _volume(every, quote),
        "quote_mint": None if quote is None else quote["mint"],
        "price": price,
        "market_cap": cap,
        "first_trade_at": min(times, default=None),
        "last_trade_at": None if last is None else last["block_time"],
        "wallets": len({trade["wallet_id"] for trade in trades}),
        "price_high": whole(max(prices, default=None), quote),
        "price_low": whole(min(prices, default=None), quote),
        "progress": Fraction(100) if is_graduated or is_completed else _progress(token, last),
        "pool": token["pool"] if token["pool"] is not None or not pools else pools[0],
        "creator_bought": _sum(creating, 1) if creating else None,
        "creator_sold": _sum(creating, 0) if creating else None,
        "price_usd": None if price is None or usd is None else price * usd,
        "market_cap_usd": None if cap is None or usd is None else cap * usd,
    }


def _volume(trades: list[Row], quote: Row | None) -> int | None:
    """PumpPortal says lamports, whatever the token trades against: then only the chain's amounts can be added."""
    if quote is None or any(trade["quote_amount"] is None for trade in trades):
        return None
    if quote["id"] != _SOL and any(trade["state"] == 0 and trade["quote_amount"] for trade in trades):
        return None
    return _added(trades, "quote_amount")


def _sum(trades: list[Row], side: int) -> int:
    return _added([trade for trade in trades if trade["state"] in _CONFIRMED and trade["is_buy"] == side], "token_amount")


def _added(trades: list[Row], column: str) -> int:
    total = 0
    for trade in trades:
        total += trade[column]
    return total


def _progress(token: Row, last: Row | None) -> Fraction | None:
    """Percent of what the curve had to sell at its start that is sold."""
    start = token["start_real_token_reserves"]
    if not start:
        return None
    left = start if last is None or last["real_token_reserves"] is None else last["real_token_reserves"]
    return Fraction(100 * (start - left), start)


def _newest_rate(raw: Raw, quote: Row | None) -> Fraction | None:
    known = {} if quote is None else raw.rates.get(quote["id"], {})
    return Fraction(known[max(known)]["usd"]) if known else None


# One minute


def minutes(raw: Raw, token_id: int) -> dict[int, Row]:
    """Each minute in which a token traded; prices as floats, rounded once."""
    found: dict[int, list[Row]] = defaultdict(list)
    for trade in raw.of_token(token_id):
        if trade["state"] in _CONFIRMED and trade["block_time"] is not None:
            found[trade["block_time"] // 60].append(trade)
    return {minute: bucket(trades) for minute, trades in found.items()}


def bucket(trades: list[Row]) -> Row:
    """What trades in the chain's order come to as one candle."""
    prices = [float(price) for trade in trades if (price := ratio(trade)) is not None]
    return {
        "trades": len(trades),
        "buys": sum(trade["is_buy"] for trade in trades),
        "volume": sum(trade["quote_amount"] or 0 for trade in trades),
        "buy_volume": sum(trade["quote_amount"] or 0 for trade in trades if trade["is_buy"]),
        "open": prices[0] if prices else None,
        "high": max(prices, default=None),
        "low": min(prices, default=None),
        "close": prices[-1] if prices else None,
        "first_slot": min(trade["slot"] for trade in trades if trade["venue"] == trades[0]["venue"]),
        "last_key": trades[-1]["chain_key"],
    }


# Stretches of time


def window(raw: Raw, token_id: int, seconds: int, now: int) -> Row:
    """What was traded in the minutes of which a part lies in the last *seconds*, and how the price moved meanwhile."""
    quote = raw.quotes.get(raw.tokens[token_id]["quote_id"])
    every = sorted(minutes(raw, token_id).items())
    first = (now - seconds) // 60
    inside = [(minute, row) for minute, row in every if minute >= first]
    before = [row["close"] for minute, row in every if minute < first]
    prices = [row["close"] for _, row in inside if row["close"] is not None]
    begin = before[-1] if before else None
    last = prices[-1] if prices else begin
    if begin is None:
        begin = next((row["open"] for _, row in inside if row["open"] is not None), None)
    return {
        "trades": _added([row for _, row in inside], "trades"),
        "buys": _added([row for _, row in inside], "buys"),
        "sells": sum(row["trades"] - row["buys"] for _, row in inside),
        "volume": _added([row for _, row in inside], "volume"),
        "volume_usd": _dollars(raw, quote, [(minute * 60, row["volume"]) for minute, row in inside]),
        "price_change": Fraction(last) / Fraction(begin) - 1 if begin and last is not None else None,
    }


def candles(raw: Raw, token_id: int, seconds: int, *, in_usd: bool) -> dict[int, Row]:
    """By the time of its opening: each candle in which something was traded."""
    quote = raw.quotes.get(raw.tokens[token_id]["quote_id"])
    confirmed = [trade for trade in raw.of_token(token_id) if trade["state"] in _CONFIRMED and trade["block_time"] is not None]
    found: dict[int, list[Row]] = defaultdict(list)
    for trade in confirmed:
        found[trade["block_time"] // seconds * seconds].append(trade)
    return {opens_at: _candle(raw, quote, trades, in_usd=in_usd) for opens_at, trades in found.items()}


def _candle(raw: Raw, quote: Row | None, trades: list[Row], *, in_usd: bool) -> Row:
    prices = []
    for trade in trades:
        price = whole(ratio(trade), quote)
        if price is not None and in_usd:
            rate = rate_at(raw, quote, trade["block_time"])
            price = None if rate is None else price * rate
        prices.append(price)
    known = [price for price in prices if price is not None]
    is_known = len(known) == len(prices)
    added = bucket(trades)
    return {
        "open": known[0] if is_known else None,
        "high": max(known) if is_known else None,
        "low": min(known) if is_known else None,
        "close": known[-1] if is_known else None,
        "volume_usd": _dollars(raw, quote, [(trade["block_time"], trade["quote_amount"] or 0) for trade in trades]),
        **{name: added[name] for name in ("volume", "buy_volume", "trades", "buys")},
    }


def _dollars(raw: Raw, quote: Row | None, amounts: list[tuple[int, int]]) -> Fraction | None:
    """Amounts of a quote at times (unix seconds), each at its own rate; None: one is unknown."""
    total = Fraction(0)
    for seconds, amount in amounts:
        rate = rate_at(raw, quote, seconds)
        if rate is None or quote is None or quote["decimals"] is None:
            return None
        total += rate * amount / 10 ** quote["decimals"]
    return total


def without_gaps(found: dict[int, Row], seconds: int) -> dict[int, Row]:
    """The same with flat ones where nothing was traded."""
    filled: dict[int, Row] = {}
    nothing = {"volume": 0, "buy_volume": 0, "trades": 0, "buys": 0, "volume_usd": Fraction(0)}
    for opens_at in range(min(found, default=0), max(found, default=-1) + 1, seconds):
        close = filled[opens_at - seconds]["close"] if opens_at - seconds in filled else None
        flat = {**dict.fromkeys(("open", "high", "low", "close"), close), **nothing}
        filled[opens_at] = found.get(opens_at, flat)
    return filled


# The comparison


def differences(path: Path) -> list[str]:
    """Everything that the file shows and that is not what its raw rows say, a line each. Nobody may write meanwhile."""
    raw = read(path)
    with closing(sqlite3.connect(f"file:{path.as_posix()}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row

        def ask(query: str) -> list[Row]:
            return [dict(row) for row in connection.execute(query)]

        found = _compare_log(raw, ask("SELECT * FROM trade_log"))
        found += compare("token_board", {row["mint"]: row for row in ask("SELECT * FROM token_board")}, _boards(raw))
        shown = {(row["mint"], row["wallet"]): row for row in ask("SELECT * FROM position_board")}
        found += compare("position_board", shown, _positions(raw))
        stored = {(row["token_id"], row["minute"]): row for row in ask("SELECT * FROM minutes")}
        expected = {(token_id, minute): row for token_id in raw.tokens for minute, row in minutes(raw, token_id).items()}
        found += compare("minutes", stored, expected)
    return found


def _boards(raw: Raw) -> dict[Any, Row]:
    return {token["mint"]: board(raw, token_id) for token_id, token in raw.tokens.items()}


def _positions(raw: Raw) -> dict[Any, Row]:
    of_pair: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for token_id, token in raw.tokens.items():
        for trade in raw.of_token(token_id):
            of_pair[token["mint"], raw.wallets[trade["wallet_id"]]].append(trade)
    return {pair: position(trades) for pair, trades in of_pair.items()}


def _compare_log(raw: Raw, shown: list[Row]) -> list[str]:
    """Rows of one trade have no key of their own in the view when they are provisional: they are compared as sets."""
    expected = defaultdict(list)
    for token_id, token in raw.tokens.items():
        for trade, added in trade_log(raw, token_id):
            key = (token["mint"], trade["signature"], trade["event_index"])
            expected[key].append({**added, "token_amount": trade["token_amount"]})
    found: dict[Any, list[Row]] = defaultdict(list)
    for row in shown:
        found[row["mint"], row["signature"], row["event_index"]].append(row)
    lines = []
    for key in expected.keys() | found.keys():
        one, other = (
            sorted(rows, key=lambda row: (row["token_amount"], row["received_at_us"]))
            for rows in (found.get(key, []), expected.get(key, []))
        )
        if len(one) != len(other):
            lines.append(f"trade_log {key}: {len(one)} rows, expected {len(other)}")
        for row, wanted in zip(one, other, strict=False):
            lines += compare("trade_log", {key: row}, {key: wanted})
    return lines


def compare(what: str, shown: dict[Any, Row], expected: dict[Any, Row]) -> list[str]:
    """Each value of *expected*, by key and name, that is not what is shown; a line each."""
    lines = [f"{what} {key}: a row of no trade" for key in shown.keys() - expected.keys()]
    lines += [f"{what} {key}: no row" for key in expected.keys() - shown.keys()]
    for key in shown.keys() & expected.keys():
        for name, wanted in expected[key].items():
            if not same(shown[key][name], wanted, _OF_IMPACT if name in _DIFFERENCES else _RELATIVE):
                value = float(wanted) if isinstance(wanted, Fraction) else wanted
                lines.append(f"{what} {key} {name}: {shown[key][name]!r}, expected {value!r}")
    return lines


def same(shown: object, wanted: object, tolerance: float = _RELATIVE) -> bool:
    """Exactly the same; a fraction as nearly as a float can be."""
    if isinstance(wanted, Fraction):
        nearly = tolerance if tolerance == _OF_IMPACT else 0.0
        return isinstance(shown, float) and math.isclose(shown, float(wanted), rel_tol=tolerance, abs_tol=nearly)
    return shown == wanted and (shown is None) == (wanted is None)
