"""``trades``: the trades of the record, chosen, listed or followed."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from pumpwatch.cli import output
from pumpwatch.cli.follow import Lines, Sink, Table, follow, write
from pumpwatch.cli.look import full_mint
from pumpwatch.cli.numbers import count_to, size
from pumpwatch.cli.output import AnswerIsNo, Column
from pumpwatch.cli.times import TIMES, check_times, moment_in
from pumpwatch.config import Settings
from pumpwatch.decode.addresses import is_address
from pumpwatch.errors import UsageError
from pumpwatch.storage.chosen import TradeRow, Wanted, completeness_of
from pumpwatch.storage.following import Place, beginning, end
from pumpwatch.storage.pruned import pruned_until
from pumpwatch.storage.queries import Reader, decimals_of, open_reader
from pumpwatch.storage.tape import Listing, addresses_beginning_with, trades
from pumpwatch.telemetry import visible

_MOST_ROWS: Final = 100_000
_LISTED: Final = 20
_FOLLOWED: Final = 10

_COLUMNS: Final = (
    *(Column("TIME (UTC)", 14), Column("SIDE", 4), Column("TOKENS", 17, is_number=True)),
    *(Column("QUOTE", 13, is_number=True), Column("IN", 5)),
)
_OF_ALL_TOKENS: Final = (*_COLUMNS, Column("SYMBOL", 9), Column("MINT", 9), Column("P", 1))
_OF_ONE_TOKEN: Final = (*_COLUMNS, Column("WALLET", 19), Column("P", 1))


def register(commands: Any) -> None:
    """Add the command to the parser's subcommands."""
    command = commands.add_parser("trades", help="list trades, the newest first, or follow them")
    add_filters(command)
    command.add_argument("--oldest", action="store_true", help="the oldest first")
    command.add_argument(
        "--limit",
        type=count_to(_MOST_ROWS),
        metavar="N",
        help=f"at most so many (default: {_LISTED}; before those that follow {_FOLLOWED})",
    )
    command.add_argument("--follow", action="store_true", help="then show new ones as they come, until Ctrl-C")
    command.add_argument(
        "--after", metavar="CURSOR", help="with --follow --json: go on behind this line, or `begin` with the first trade"
    )
    command.add_argument("--json", action="store_true", help="one JSON document on standard output; with --follow one a line")
    command.set_defaults(function=show_trades)


def add_filters(command: argparse.ArgumentParser) -> None:
    """Add the options that :func:`wanted_by` reads."""
    command.add_argument("mint", metavar="MINT", nargs="?", help="of this token: its mint, or the beginning of it")
    command.add_argument("--wallet", metavar="ADDRESS", help="of this wallet: its address, or the beginning of it")
    command.add_argument("--side", choices=("buy", "sell"), help="only these")
    command.add_argument("--venue", choices=("curve", "pool"), help="only on the bonding curve, or only in the pool")
    command.add_argument(
        "--min-quote", type=size, metavar="N", help="of at least so many SOL, USDC or whatever it traded against"
    )
    command.add_argument("--min-tokens", type=size, metavar="N", help="of at least so many tokens")
    command.add_argument("--since", type=moment_in, metavar="TIME", help=f"not before; {TIMES}")
    command.add_argument("--until", type=moment_in, metavar="TIME", help="not after")
    command.add_argument("--confirmed", action="store_true", help="without provisional ones")


def show_trades(settings: Settings, arguments: argparse.Namespace) -> int:
    """Exit status 0; AnswerIsNo (1): there is no such token or wallet."""
    _check(arguments)
    path = settings.pumpwatch.database
    if arguments.follow:
        try:
            return _follow(path, arguments)
        except KeyboardInterrupt:
            return 0
    with open_reader(path) as reader:
        wanted = wanted_by(reader, arguments, is_new=arguments.follow)
        listing = trades(reader, wanted, limit=arguments.limit or _LISTED, oldest_first=arguments.oldest)
        shown: Iterable[str] = [wanted.mint] if wanted.mint is not None else dict.fromkeys(row.mint for row in listing.trades)
        records, quotes = completeness_of(reader, shown), reader.quotes()
        pruned = pruned_until(reader, wanted.mint)
    if arguments.json:
        states = {mint: {"completeness": completeness, "reason": reason} for mint, (completeness, reason) in records.items()}
        ends = {"is_cut": listing.is_cut, "looked_to": listing.looked_to, "pruned_until": pruned}
        output.print_json({"trades": [trade.row for trade in listing.trades], "completeness": states, **ends})
        return 0
    columns, cells = _table(wanted, quotes)
    output.print_table(columns, [cells(row, "" if row.confirmed else "p") for row in listing.trades])
    if listing.is_cut:
        output.print_text(_cut_text(listing, oldest_first=arguments.oldest))
    is_to_the_end = arguments.oldest or len(listing.trades) < (arguments.limit or _LISTED)
    if pruned is not None and is_to_the_end and (wanted.since or 0) < pruned:
        output.print_text(output.pruned_text(pruned, is_one=wanted.mint is not None))
    if any(not row.confirmed for row in listing.trades):
        print("p = provisional: reported by PumpPortal, not yet seen on the chain")
    for record in dict.fromkeys(_record_text(*record) for record in records.values()):
        output.print_text(f"record {record}")
    return 0


def _check(arguments: argparse.Namespace) -> None:
    """Raises UsageError: the options do not go together."""
    if arguments.after is not None and not (arguments.follow and arguments.json):
        raise UsageError("--after goes with --follow --json")
    if arguments.follow and (arguments.oldest or arguments.until is not None):
        raise UsageError("--follow has no end, and shows trades as they come: leave --oldest and --until out")
    if arguments.follow and arguments.json and arguments.limit is not None:
        raise UsageError("--follow --json begins now, or where --after says: leave --limit out")


def wanted_by(reader: Reader, arguments: argparse.Namespace, *, is_new: bool = False) -> Wanted:
    """
    Return the choice of :func:`add_filters`.

    Args:
        is_new: A token or wallet that is not in the record yet will do, if its address is complete.

    Raises:
        UsageError: Several addresses begin so, or the times are the wrong way round.
        AnswerIsNo: None does.

    """
    check_times(arguments.since, arguments.until)
    return Wanted(
        mint=_known(arguments.mint, lambda start: full_mint(reader, start), is_new=is_new),
        wallet=_known(arguments.wallet, lambda start: full_wallet(reader, start), is_new=is_new),
        side=arguments.side,
        venue=arguments.venue,
        minimum_quote=arguments.min_quote,
        minimum_tokens=arguments.min_tokens,
        since=arguments.since,
        until=arguments.until,
        confirmed_only=arguments.confirmed,
    )


def _known(start: str | None, found: Callable[[str], str], *, is_new: bool) -> str | None:
    """The address in the record that begins so; one that is complete may be followed before it is there."""
    if start is None:
        return None
    try:
        return found(start)
    except AnswerIsNo:
        if is_new and is_address(start):
            return start
        raise


def full_wallet(reader: Reader, beginning: str) -> str:
    """
    The one wallet of the record that begins so.

    Raises:
        UsageError: Several do.
        AnswerIsNo: None does.

    """
    found = addresses_beginning_with(reader, beginning, limit=3)
    if beginning in found:
        return beginning
    if len(found) > 1:
        raise UsageError(f"several wallets begin with {visible(beginning)}: {', '.join(found[:2])}, ...: give more of it")
    if not found:
        raise AnswerIsNo(f"no wallet of the record begins with {visible(beginning)}")
    return found[0]


def _follow(path: Path, arguments: argparse.Namespace) -> int:
    place = None if arguments.after in (None, "begin") else Place.of_text(arguments.after)
    with open_reader(path) as reader:
        wanted = wanted_by(reader, arguments, is_new=arguments.follow)
        if arguments.after == "begin":
            place = beginning(reader)
        if arguments.json:
            sink: Sink = Lines()
        else:
            place = end(reader)
            sink = _begun_table(reader, wanted, arguments)
    follow(path, wanted, sink, place=place)
    return 0


def _begun_table(reader: Reader, wanted: Wanted, arguments: argparse.Namespace) -> Table:
    """The last trades, as `tail -f` shows the last lines."""
    columns, cells = _table(wanted, reader.quotes())
    listing = trades(reader, wanted, limit=arguments.limit or _FOLLOWED)

    def line(row: TradeRow, mark: str) -> str:
        return output.line(columns, cells(row, mark))

    write(
        [
            "p: provisional, not yet seen on the chain; x: taken back, never was on the chain",
            output.line(columns, [column.heading for column in columns]),
            *(line(row, "" if row.confirmed else "p") for row in reversed(listing.trades)),
        ]
    )
    return Table(line, confirmed_only=arguments.confirmed, shown=listing.trades)


def _table(
    wanted: Wanted, quotes: Mapping[str, int | None]
) -> tuple[tuple[Column, ...], Callable[[TradeRow, str], tuple[object, ...]]]:
    """Columns, and what makes a row of them from a trade and its mark."""
    if wanted.mint is None:
        return _OF_ALL_TOKENS, lambda row, mark: (*_cells(row, quotes), row.symbol, row.mint, mark)
    return _OF_ONE_TOKEN, lambda row, mark: (*_cells(row, quotes), row.wallet, mark)


def _cells(row: TradeRow, quotes: Mapping[str, int | None]) -> tuple[object, ...]:
    moment = row.block_time if row.block_time is not None else row.received_at_us // 1_000_000
    tokens = output.amount(row.token_amount, output.TOKEN_DECIMALS)
    quote = output.amount(row.quote_amount, decimals_of(row.quote_mint, quotes))
    return output.short_moment(moment), row.side, tokens, quote, output.quote_name(row.quote_mint)


def _cut_text(listing: Listing, *, oldest_first: bool) -> str:
    """How far it was looked, and how to go on."""
    if listing.looked_to is None:
        return "not everything was looked at: more with a token or another time"
    moment = output.moment(listing.looked_to)
    option = moment.replace(" ", "T")
    if oldest_first:
        return f"looked up to {moment}; newer with --since {option}"
    return f"looked back to {moment}; older with --until {option}"


def _record_text(completeness: str, reason: str | None) -> str:
    return f"{completeness}: {visible(reason)}" if reason else completeness
