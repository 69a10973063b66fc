"""``candles``: what a token's market did, interval by interval."""

from __future__ import annotations

import argparse
import time
from typing import Any, Final

import msgspec

from pumpwatch.candles import INTERVALS, Candle
from pumpwatch.cli import output
from pumpwatch.cli.look import full_mint
from pumpwatch.cli.numbers import count_to
from pumpwatch.cli.output import Column
from pumpwatch.cli.times import TIMES, check_times, moment_in
from pumpwatch.config import Settings
from pumpwatch.storage.candles import Series, candles
from pumpwatch.storage.queries import GapRow, Reader, decimals_of, open_reader
from pumpwatch.telemetry import visible

_MOST_ROWS: Final = 10_000
_MOST_GAPS: Final = 100

_COLUMNS: Final = (
    *(Column("TIME (UTC)", 14), Column("OPEN", 9, is_number=True), Column("HIGH", 9, is_number=True)),
    *(Column("LOW", 9, is_number=True), Column("CLOSE", 9, is_number=True), Column("VOLUME", 11, is_number=True)),
    *(Column("BUYS", 5, is_number=True), Column("SELLS", 5, is_number=True), Column("", 1)),
)


def register(commands: Any) -> None:
    """Add the command to the parser's subcommands."""
    command = commands.add_parser("candles", help="open, high, low, close and volume of a token, interval by interval")
    command.add_argument("mint", metavar="MINT", help="its mint, or the beginning of it")
    add_options(command)
    command.add_argument(
        "--limit", type=count_to(_MOST_ROWS), default=20, metavar="N", help="the newest of them, so many (default: 20)"
    )
    command.add_argument("--json", action="store_true", help="one JSON document on standard output")
    command.set_defaults(function=show_candles)


def add_options(command: argparse.ArgumentParser) -> None:
    """Which candles, of whatever token."""
    command.add_argument("--interval", choices=tuple(INTERVALS), default="1m", help="of each candle (default: 1m)")
    command.add_argument("--usd", action="store_true", help="prices and volume in US dollars, each minute at its own rate")
    command.add_argument("--gapless", action="store_true", help="also intervals in which nothing was traded")
    command.add_argument("--since", type=moment_in, metavar="TIME", help=f"not before; {TIMES}")
    command.add_argument("--until", type=moment_in, metavar="TIME", help="not after")


def show_candles(settings: Settings, arguments: argparse.Namespace) -> int:
    """Exit status 0; AnswerIsNo (1): there is no such token."""
    check_times(arguments.since, arguments.until)
    with open_reader(settings.pumpwatch.database) as reader:
        mint = full_mint(reader, arguments.mint)
        series = candles(
            reader,
            mint,
            INTERVALS[arguments.interval],
            limit=arguments.limit,
            since=arguments.since,
            until=until_of(arguments),
            in_usd=arguments.usd,
            gapless=arguments.gapless,
        )
        assert series is not None
        gaps, quotes = _gaps(reader, series), reader.quotes()
    if arguments.json:
        output.print_json({**msgspec.to_builtins(series), "gaps": gaps})
        return 0
    marked = [(candle, _mark(candle, series, gaps)) for candle in series.candles]
    rows = [(*_cells(candle, series, quotes, in_usd=arguments.usd), mark) for candle, mark in marked]
    output.print_table(_COLUMNS, rows)
    output.print_text(_foot(series, in_usd=arguments.usd))
    if series.pruned_until is not None and (arguments.since or 0) < series.pruned_until:
        output.print_text(f"{output.pruned_text(series.pruned_until, is_one=True)}: older candles from --interval 1m on")
    if gaps:
        tell = f"pumpwatch token {series.mint[:8]} tells of them"
        output.print_text(f"?: trades may be missing; {output.count(len(gaps), 'gap')} in this time, {tell}")
    return 0


def until_of(arguments: argparse.Namespace) -> int | None:
    """Up to when: nothing is said of the future, so without gaps now is the end."""
    until: int | None = arguments.until
    return min(until, int(time.time())) if until is not None and arguments.gapless else until


def _gaps(reader: Reader, series: Series) -> list[GapRow]:
    """What is not closed in the time that is shown."""
    if not series.candles:
        return []
    end = series.candles[-1].opens_at + series.interval_seconds
    since_us, until_us = series.candles[0].opens_at * 1_000_000, end * 1_000_000 - 1
    return reader.gaps_of(series.mint, limit=_MOST_GAPS, since_us=since_us, until_us=until_us)


def _mark(candle: Candle, series: Series, gaps: list[GapRow]) -> str:
    begin, end = candle.opens_at * 1_000_000, (candle.opens_at + series.interval_seconds) * 1_000_000
    return "?" if any(gap.from_us < end and (gap.to_us is None or gap.to_us >= begin) for gap in gaps) else ""


def _cells(candle: Candle, series: Series, quotes: dict[str, int | None], *, in_usd: bool) -> tuple[object, ...]:
    prices = [output.number(price) for price in (candle.open, candle.high, candle.low, candle.close)]
    if in_usd:
        volume = output.number(candle.volume_usd)
    else:
        decimals = decimals_of(series.quote_mint, quotes)
        volume = output.UNKNOWN if decimals is None else output.number(candle.volume / 10**decimals)
    return output.short_moment(candle.opens_at), *prices, volume, candle.buys, candle.sells


def _foot(series: Series, *, in_usd: bool) -> str:
    unit = "USD" if in_usd else output.quote_name(series.quote_mint)
    cut = "; there may be older ones: give --until" if series.is_cut else ""
    why = f": {visible(series.reason, limit=300)}" if series.reason else ""
    return f"in {unit}, from trades that the chain told{cut}; record {series.completeness}{why}"
