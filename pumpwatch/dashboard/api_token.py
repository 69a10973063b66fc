"""``/api/tokens/MINT`` and what is below it: one token."""

from __future__ import annotations

import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Final, Literal, cast

import flask
import msgspec

from pumpwatch.candles import INTERVALS
from pumpwatch.dashboard.answers import Candles, ProofOf, Token, Trader, Traders, Trades
from pumpwatch.dashboard.arguments import Arguments, checked_address
from pumpwatch.dashboard.context import Context, context
from pumpwatch.dashboard.problems import Problem, answer
from pumpwatch.dashboard.rows import token_rows
from pumpwatch.storage.about import LAST_TRADES, about
from pumpwatch.storage.board import BoardRow, board_rows
from pumpwatch.storage.candles import candles
from pumpwatch.storage.chosen import Wanted
from pumpwatch.storage.positions import Order, share_of_supply, traders_of
from pumpwatch.storage.proof import proof_of
from pumpwatch.storage.pruned import pruned_until
from pumpwatch.storage.queries import Reader, decimals_of
from pumpwatch.storage.tape import trades

TRADER_ORDERS: Final = ("volume", "profit", "net", "last")
MOST_TRADES: Final = 500
MOST_CANDLES: Final = 2000
DEFAULT_CANDLES: Final = 300
MOST_TRADERS: Final = 200

#: Unix seconds: the year 5138.
LATEST: Final = 99_999_999_999

_SHOWN_TRADERS: Final = 20
_MOST_GAPS: Final = 100
_MOST_SPELLS: Final = 20

Side = Literal["buy", "sell"]


def register(api: flask.Blueprint) -> None:
    """Add the routes."""
    routes: dict[str, Callable[[Context, Reader, BoardRow, str], flask.Response]] = {
        "": _about,
        "/candles": _candles,
        "/trades": _trades,
        "/traders": _traders,
        "/proof": _proof,
    }
    for path, function in routes.items():
        api.add_url_rule(f"/tokens/<mint>{path}", f"token{path.replace('/', '_')}", _of_token(function))


def _of_token(function: Callable[[Context, Reader, BoardRow, str], flask.Response]) -> Callable[[str], flask.Response]:
    """With the record opened, and the token's row; where it ends without one, 404."""

    def found(mint: str) -> flask.Response:
        checked_address(mint, "mint")
        run = context()
        cursor = run.live.cursor()  # before anything is read: what comes meanwhile is told twice rather than never
        with run.reader() as reader:
            rows = board_rows(reader, [mint])
            if not rows:
                raise Problem(HTTPStatus.NOT_FOUND, f"No token of the record has the mint {mint}.")
            return function(run, reader, rows[0], cursor)

    return found


def _about(_: Context, reader: Reader, row: BoardRow, cursor: str) -> flask.Response:
    Arguments()
    now = time.time()
    found = about(reader, row.mint, traders=_SHOWN_TRADERS, now=now)
    shown = token_rows(reader, [row.mint], now)
    if found is None or not shown:  # the file was replaced under us
        raise Problem(HTTPStatus.NOT_FOUND, f"No token of the record has the mint {row.mint}.")
    more = msgspec.structs.asdict(found)
    more["sold_by_minute"] = more.pop("progress")
    del more["row"]
    return answer(Token(**msgspec.structs.asdict(shown[0]), **more, origin=reader.origin(), now=now, cursor=cursor))


def _candles(_: Context, reader: Reader, row: BoardRow, cursor: str) -> flask.Response:
    del cursor
    arguments = Arguments("interval", "limit", "usd", "until")
    interval = arguments.choice("interval", tuple(INTERVALS), "1m")
    assert interval is not None
    until = arguments.whole("until", least=0, most=LATEST)
    series = candles(
        reader,
        row.mint,
        INTERVALS[interval],
        limit=arguments.limit(most=MOST_CANDLES, default=DEFAULT_CANDLES),
        until=None if until is None else min(until, int(time.time())),
        in_usd=arguments.flag("usd"),
        gapless=True,
    )
    assert series is not None
    gaps = []
    if series.candles:
        end = series.candles[-1].opens_at + series.interval_seconds
        since_us = series.candles[0].opens_at * 1_000_000
        gaps = reader.gaps_of(row.mint, limit=_MOST_GAPS, since_us=since_us, until_us=end * 1_000_000 - 1)
    decimals = decimals_of(series.quote_mint, reader.quotes())
    fields = msgspec.structs.asdict(series)
    return answer(Candles(origin=reader.origin(), quote_decimals=decimals, gaps=gaps, **fields))


def _trades(_: Context, reader: Reader, row: BoardRow, cursor: str) -> flask.Response:
    arguments = Arguments("limit", "until", "side", "wallet", "minimum_quote")
    wanted = Wanted(
        mint=row.mint,
        wallet=arguments.address("wallet"),
        side=cast("Side | None", arguments.choice("side", ("buy", "sell"))),
        minimum_quote=arguments.size("minimum_quote"),
        until=arguments.whole("until", least=0, most=LATEST),
    )
    listing = trades(reader, wanted, limit=arguments.limit(most=MOST_TRADES, default=100))
    found = Trades(reader.origin(), cursor, row.completeness, listing.trades, listing.is_cut, listing.looked_to)
    return answer(found)


def _traders(_: Context, reader: Reader, row: BoardRow, cursor: str) -> flask.Response:
    del cursor
    arguments = Arguments("order", "limit")
    order = arguments.choice("order", TRADER_ORDERS, "volume")
    assert order is not None
    limit = arguments.limit(most=MOST_TRADERS, default=_SHOWN_TRADERS)
    rows = [
        Trader(*msgspec.structs.astuple(found), share=share_of_supply(reader, row.mint, found.net_bought))
        for found in traders_of(reader, row.mint, limit=limit, order=cast("Order", order))
    ]
    return answer(Traders(reader.origin(), row.mint, order, row.completeness, rows))


def _proof(_: Context, reader: Reader, row: BoardRow, cursor: str) -> flask.Response:
    arguments = Arguments("limit")
    proof = proof_of(reader, row.mint, limit=arguments.limit(most=MOST_TRADES, default=200))
    assert proof is not None
    return answer(
        ProofOf(
            origin=reader.origin(),
            cursor=cursor,
            mint=row.mint,
            completeness=row.completeness,
            reason=row.reason,
            holes=row.holes,
            complete_from=row.complete_from,
            complete_until=row.complete_until,
            proven_to_slot=row.proven_to_slot,
            pruned_until=pruned_until(reader, row.mint),
            quote_mint=row.quote_mint,
            quote_decimals=decimals_of(row.quote_mint, reader.quotes()),
            sources=reader.sources_of(row.mint, last=LAST_TRADES),
            spells=reader.spells(row.mint, limit=_MOST_SPELLS),
            **msgspec.structs.asdict(proof),
        )
    )
