"""What ``top`` draws: lines as wide and as many as the terminal has. Needs the package rich (extra ``top``)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self, TypeAlias

from rich.console import Console
from rich.live import Live
from rich.text import Text

from pumpwatch.cli import output
from pumpwatch.cli.output import Column
from pumpwatch.cli.top import Seen
from pumpwatch.storage.board import BoardRow
from pumpwatch.storage.chosen import TradeRow
from pumpwatch.storage.queries import decimals_of
from pumpwatch.storage.windows import Window
from pumpwatch.telemetry import visible

_TOKEN_COLUMNS: Final = (
    *(Column("SYMBOL", 8), Column("MINT", 6), Column("PRICE", 9, is_number=True), Column("CHANGE", 8, is_number=True)),
    *(
        Column("MCAP", 8, is_number=True),
        Column("VOLUME", 8, is_number=True),
        Column("IN", 5),
        Column("TRADES", 6, is_number=True),
    ),
    *(Column("LAST", 5), Column("RECORD", 8)),
)
_TRADE_COLUMNS: Final = (
    *(Column("TIME", 8), Column("SIDE", 4), Column("TOKENS", 17, is_number=True), Column("QUOTE", 13, is_number=True)),
    *(Column("IN", 5), Column("SYMBOL", 9), Column("WALLET", 16), Column("P", 1)),
)

#: Lines beside the two tables: title, health, two headings.
_OTHER_LINES: Final = 4
_FEWEST_TOKENS: Final = 3

#: What it says, and in which style.
Line: TypeAlias = tuple[str, str]


class Screen:
    """The terminal's other screen, which leaves what stood there as it was. Redrawn where it changed."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console()
        self._live = Live(console=self._console, screen=True, auto_refresh=False)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._live.__exit__(kind, error, traceback)

    def show(self, seen: Seen) -> None:
        width, height = self._console.size
        self._live.update(drawn(seen, width=width, height=height), refresh=True)


def drawn(seen: Seen, *, width: int, height: int) -> Text:
    """Everything, in *height* lines of at most *width* cells."""
    text = Text(no_wrap=True, overflow="crop", end="")
    for number, (line, style) in enumerate(_lines(seen, height)):
        text.append(("\n" if number else "") + output.text(line, width=width), style)
    return text


def _lines(seen: Seen, height: int) -> list[Line]:
    for_trades = max(0, min(len(seen.trades), (height - _OTHER_LINES) // 3))
    for_tokens = max(_FEWEST_TOKENS, height - _OTHER_LINES - for_trades)
    tokens = [_token_line(row, window, seen) for row, window in seen.tokens[:for_tokens]]
    if not tokens:
        tokens = [(f"no trade in the last {seen.window}", "dim")]
    tokens += [("", "")] * (for_tokens - len(tokens))
    lines = [_title(seen), _health(seen), (_heading(_TOKEN_COLUMNS), "bold"), *tokens]
    if for_trades:
        lines += [(_heading(_TRADE_COLUMNS), "bold"), *(_trade_line(row, seen) for row in seen.trades[:for_trades])]
    return lines[:height]


def _heading(columns: Sequence[Column]) -> str:
    return output.line(columns, [column.heading for column in columns])


def _title(seen: Seen) -> Line:
    clock = time.strftime("%H:%M:%S UTC", time.gmtime(seen.at))
    record = f"{visible(seen.database)} ({visible(seen.origin)})"
    return f"top, q quits | {clock} | last {seen.window} by {seen.order} | {record}", "bold"


def _health(seen: Seen) -> Line:
    if seen.trouble is not None:
        return f"as it was: {seen.trouble}", "bold red"
    if seen.problems:
        return f"NOT healthy: {'; '.join(seen.problems)}", "bold red"
    assert seen.status is not None  # without one there is a problem
    feeds = [
        f"{name} {output.ago(None if feed.last_data_at is None else seen.at - feed.last_data_at)} ago"
        for name, feed in seen.status.feeds.items()
    ]
    counts = f"queue {seen.status.queue_depth}, watched {seen.status.watched}, open gaps {seen.status.gaps_open}"
    return f"healthy: {', '.join(feeds)}; {counts}", "green"


def _token_line(row: BoardRow, window: Window, seen: Seen) -> Line:
    decimals = decimals_of(row.quote_mint, seen.quotes)
    volume = output.number(None if decimals is None else window.volume / 10**decimals)
    last = output.ago(None if row.last_trade_at is None else seen.at - row.last_trade_at)
    record = f"holes {row.holes}" if row.completeness == "holes" and row.holes else row.completeness
    cells = (
        *(row.symbol, row.mint, output.number(row.price), output.change(window.price_change), output.number(row.market_cap)),
        *(volume, output.quote_name(row.quote_mint), window.trades, last, record),
    )
    return output.line(_TOKEN_COLUMNS, cells), _coloured(window.price_change)


def _trade_line(row: TradeRow, seen: Seen) -> Line:
    moment = row.block_time if row.block_time is not None else row.received_at_us / 1e6
    quote = output.amount(row.quote_amount, decimals_of(row.quote_mint, seen.quotes))
    cells = (
        *(output.short_moment(moment)[-8:], row.side, output.amount(row.token_amount, output.TOKEN_DECIMALS), quote),
        *(output.quote_name(row.quote_mint), row.symbol, row.wallet, "" if row.confirmed else "p"),
    )
    return output.line(_TRADE_COLUMNS, cells), "green" if row.side == "buy" else "red"


def _coloured(change: float | None) -> str:
    return "" if not change else "green" if change > 0 else "red"
