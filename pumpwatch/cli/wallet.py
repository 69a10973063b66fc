"""``wallet``: what one wallet did, as far as the record knows."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from pumpwatch.cli import output
from pumpwatch.cli.numbers import count_to
from pumpwatch.cli.output import Column, Sentence
from pumpwatch.cli.positions import money, note, print_notes, tokens
from pumpwatch.cli.token import spell_text
from pumpwatch.cli.tokens import QUOTES
from pumpwatch.cli.trades import full_wallet
from pumpwatch.config import Settings
from pumpwatch.storage.positions import PositionRow, WalletTotal, positions_of, totals_of
from pumpwatch.storage.queries import SpellRow, decimals_of, open_reader
from pumpwatch.telemetry import visible

_SHOWN_SPELLS: Final = 5
_MOST_ROWS: Final = 100_000

_COLUMNS: Final = (
    *(Column("SYMBOL", 8), Column("MINT", 8), Column("SPENT", 8, is_number=True), Column("RECEIVED", 8, is_number=True)),
    *(Column("PROFIT", 8, is_number=True), Column("IN", 5), Column("NET TOKENS", 10, is_number=True), Column("LAST", 6)),
    *(Column("RECORD", 8), Column("", 1)),
)


def register(commands: Any) -> None:
    """Add the command to the parser's subcommands."""
    command = commands.add_parser("wallet", help="what a wallet bought, sold and made")
    command.add_argument("address", metavar="ADDRESS", help="its address, or the beginning of it")
    command.add_argument("--quote", metavar="MINT", help="only tokens that trade against this: SOL, USDC, USD1 or a mint")
    command.add_argument(
        "--limit", type=count_to(_MOST_ROWS), default=20, metavar="N", help="at most so many tokens (default: 20)"
    )
    command.add_argument(
        "--order",
        choices=("last", "profit", "volume"),
        default="last",
        help="which tokens: those traded last, or those with most profit or volume, each quote by itself (default: last)",
    )
    command.add_argument("--json", action="store_true", help="one JSON document on standard output")
    command.set_defaults(function=show_wallet)


def show_wallet(settings: Settings, arguments: argparse.Namespace) -> int:
    """Exit status 0; AnswerIsNo (1): there is no such wallet."""
    quote_mint = QUOTES.get(arguments.quote, arguments.quote)
    with open_reader(settings.pumpwatch.database) as reader:
        address = full_wallet(reader, arguments.address)
        spells = reader.spells(address, limit=_SHOWN_SPELLS)
        totals = [total for total in totals_of(reader, address) if quote_mint in (None, total.quote_mint)]
        rows = positions_of(reader, address, limit=arguments.limit, order=arguments.order, quote_mint=quote_mint)
        quotes = reader.quotes()
    if arguments.json:
        output.print_json({"address": address, "totals": totals, "positions": rows, "spells": spells})
        return 0
    output.print_fields(list(_fields(address, totals, spells, quotes, wanted=arguments.quote)))
    if rows:
        print()
        now = time.time()
        output.print_table(_COLUMNS, [_cells(row, quotes, now) for row in rows])
        print_notes(rows)
    return 0


def _fields(
    address: str,
    totals: Sequence[WalletTotal],
    spells: Sequence[SpellRow],
    quotes: Mapping[str, int | None],
    *,
    wanted: str | None,
) -> Iterator[tuple[str, object]]:
    yield "wallet", address
    for spell in spells:
        yield "watched", Sentence(visible(spell_text(spell), limit=200))
    if not totals:
        yield "trades", "none in this record" if wanted is None else f"none against {visible(wanted)} in this record"
        return
    for total in totals:
        yield from _total(total, quotes)
    yield "seen", Sentence("trades of the recorded tokens alone; what came or went by transfer is not among them")


def _total(total: WalletTotal, quotes: Mapping[str, int | None]) -> Iterator[tuple[str, object]]:
    name, decimals = output.quote_name(total.quote_mint), decimals_of(total.quote_mint, quotes)

    def amount(base_units: int, unknown: int) -> str:
        shown = "" if unknown == total.tokens else f"{output.amount(base_units, decimals)} {name}"
        missing = f"unknown for {output.count(unknown, 'token')}" if unknown else ""
        return "; ".join(part for part in (shown, missing) if part)

    counts = (output.count(total.tokens, "token"), output.count(total.buys, "buy"), output.count(total.sells, "sell"))
    yield f"in {name}", ", ".join(counts)
    yield "completeness", f"{total.complete} of {output.count(total.tokens, 'token')} with a complete record"
    yield "spent", Sentence(amount(total.spent, total.spent_unknown))
    yield "received", Sentence(amount(total.received, total.received_unknown))
    profit = amount(total.realised_profit, total.profit_unknown)
    if total.received_by_transfer:
        profit += f" ({total.received_by_transfer} received by transfer)"
    yield "realised profit", Sentence(profit)
    yield "first trade (UTC)", output.moment(total.first_trade_at)
    yield "last trade (UTC)", output.moment(total.last_trade_at)


def _cells(row: PositionRow, quotes: Mapping[str, int | None], now: float) -> tuple[object, ...]:
    amounts = (money(amount, row.quote_mint, quotes) for amount in (row.spent, row.received, row.realised_profit))
    last = output.ago(None if row.last_trade_at is None else now - row.last_trade_at)
    name = output.quote_name(row.quote_mint)
    return row.symbol, row.mint, *amounts, name, tokens(row.net_bought), last, row.completeness, note(row)
