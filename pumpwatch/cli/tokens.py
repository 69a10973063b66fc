"""``tokens``: the tokens of the record, chosen and in an order."""

from __future__ import annotations

import argparse
import time
from typing import Any, Final, get_args

import msgspec

from pumpwatch.cli import output
from pumpwatch.cli.look import completeness
from pumpwatch.cli.numbers import count_to, size
from pumpwatch.cli.output import Column
from pumpwatch.cli.times import TIMES, moment_in
from pumpwatch.config import Settings
from pumpwatch.decode.addresses import USD1, USDC
from pumpwatch.errors import UsageError
from pumpwatch.events import WRAPPED_SOL
from pumpwatch.storage.board import BoardRow, TokenOrder, WantedTokens, tokens, tokens_in_window
from pumpwatch.storage.queries import decimals_of, open_reader
from pumpwatch.storage.windows import WINDOWS, Window

_MOST_ROWS: Final = 100_000
#: Names that stand for mints.
QUOTES: Final = {"SOL": WRAPPED_SOL, "USDC": USDC, "USD1": USD1}

_COLUMNS: Final = (
    *(Column("SYMBOL", 9), Column("MINT", 9), Column("STATUS", 9), Column("TRADES", 7, is_number=True)),
    *(Column("PRICE", 9, is_number=True), Column("IN", 5), Column("MCAP", 8, is_number=True), Column("LAST", 6)),
    Column("RECORD", 8),
)
_WINDOW_COLUMNS: Final = (
    *(Column("SYMBOL", 9), Column("MINT", 9), Column("PRICE", 9, is_number=True), Column("CHANGE", 8, is_number=True)),
    *(Column("TRADES", 6, is_number=True), Column("BUYS", 5, is_number=True), Column("VOLUME", 10, is_number=True)),
    *(Column("IN", 5), Column("RECORD", 8)),
)


def register(commands: Any) -> None:
    """Add the command to the parser's subcommands."""
    command = commands.add_parser("tokens", help="list the tokens of the record")
    command.add_argument("--order", choices=get_args(TokenOrder), help="which come first (default: newest; in a window: volume)")
    command.add_argument("--window", choices=tuple(WINDOWS), help="what they did in this time up to now, if anything")
    add_filters(command)
    command.add_argument("--limit", type=count_to(_MOST_ROWS), default=20, metavar="N", help="at most so many (default: 20)")
    command.add_argument("--json", action="store_true", help="one JSON document on standard output")
    command.set_defaults(function=show_tokens)


def add_filters(command: argparse.ArgumentParser) -> None:
    """Add the options that :func:`wanted_by` reads."""
    command.add_argument("--watched", action="store_true", help="only those that are watched now")
    command.add_argument("--status", choices=("curve", "completed", "graduated"), help="only those in this state")
    command.add_argument(
        "--completeness", choices=("complete", "since", "spell", "holes", "unproven"), help="only those with such a record"
    )
    command.add_argument("--symbol", metavar="TEXT", help="with this in the symbol; with * or ?: symbols that look so")
    command.add_argument("--younger-than", type=moment_in, metavar="TIME", help=f"created since; {TIMES}")
    command.add_argument("--older-than", type=moment_in, metavar="TIME", help="created before")
    command.add_argument(
        "--min-volume", type=size, metavar="N", help="that traded so many SOL, USDC or whatever they trade against"
    )
    command.add_argument("--quote", metavar="MINT", help="that trade against this: SOL, USDC, USD1 or a mint")


def wanted_by(arguments: argparse.Namespace) -> WantedTokens:
    """The choice of :func:`add_filters`."""
    return WantedTokens(
        status=arguments.status,
        completeness=arguments.completeness,
        symbol=arguments.symbol,
        created_after=arguments.younger_than,
        created_before=arguments.older_than,
        minimum_volume=arguments.min_volume,
        quote_mint=QUOTES.get((arguments.quote or "").upper(), arguments.quote),
        watched_only=arguments.watched,
    )


def show_tokens(settings: Settings, arguments: argparse.Namespace) -> int:
    """
    Exit status 0.

    Raises:
        UsageError: An order that needs a window has none.

    """
    wanted = wanted_by(arguments)
    if arguments.order == "change" and arguments.window is None:
        raise UsageError("--order change needs a time in which the price changed: give --window 1h, say")
    now = time.time()
    path = settings.pumpwatch.database
    if arguments.window is not None:
        with open_reader(path) as reader:
            order: TokenOrder = arguments.order or "volume"
            seconds = WINDOWS[arguments.window]
            pairs = tokens_in_window(reader, wanted, limit=arguments.limit, order=order, seconds=seconds, now=now)
            quotes = reader.quotes()
        if arguments.json:
            output.print_json({"tokens": [{**msgspec.to_builtins(row), "window": window} for row, window in pairs]})
            return 0
        output.print_table(_WINDOW_COLUMNS, [_window_cells(row, window, quotes) for row, window in pairs])
        _print_reasons([row for row, _ in pairs])
        return 0
    with open_reader(path) as reader:
        rows = tokens(reader, wanted, limit=arguments.limit, order=arguments.order or "newest")
    if arguments.json:
        output.print_json({"tokens": rows})
        return 0
    output.print_table(_COLUMNS, [_cells(row, now) for row in rows])
    _print_reasons(rows)
    return 0


def _cells(row: BoardRow, now: float) -> tuple[object, ...]:
    price, market_cap = output.number(row.price), output.number(row.market_cap)
    last = output.ago(None if row.last_trade_at is None else now - row.last_trade_at)
    name = output.quote_name(row.quote_mint)
    return row.symbol, row.mint, row.status, row.trades, price, name, market_cap, last, _record(row)


def _window_cells(row: BoardRow, window: Window, quotes: dict[str, int | None]) -> tuple[object, ...]:
    decimals = decimals_of(row.quote_mint, quotes)
    volume = None if decimals is None else output.number(window.volume / 10**decimals)
    moved = (output.number(row.price), output.change(window.price_change), window.trades, window.buys, volume)
    return row.symbol, row.mint, *moved, output.quote_name(row.quote_mint), _record(row)


def _record(row: BoardRow) -> str:
    return f"holes {row.holes}" if row.completeness == "holes" and row.holes else row.completeness


def _print_reasons(rows: list[BoardRow]) -> None:
    if not rows:
        print("no token of the record fits")
    for reason in dict.fromkeys(completeness(row) for row in rows if row.reason):
        output.print_text(reason)
