"""``top``: what trades now, over the whole screen, until Ctrl-C or q."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from pumpwatch.cli import output
from pumpwatch.cli.keys import keys
from pumpwatch.config import Settings
from pumpwatch.errors import DatabaseError, UsageError
from pumpwatch.status import Status, StatusUnreadable, path_of, problems, read
from pumpwatch.storage.board import BoardRow, tokens_in_window
from pumpwatch.storage.chosen import TradeRow, Wanted
from pumpwatch.storage.queries import open_reader
from pumpwatch.storage.tape import trades
from pumpwatch.storage.windows import WINDOWS, Window
from pumpwatch.telemetry import visible

_ORDERS: Final = ("trades", "volume", "change", "market-cap")
_REFRESH_SECONDS: Final = 1.5
_MOST_TRADES: Final = 20
_TOKENS_AS_JSON: Final = 50

#: Looking takes no more than this share of the time: on a large record with a long window it is done less often.
_LARGEST_SHARE: Final = 0.05


class Seen(msgspec.Struct, frozen=True):
    """
    What is shown.

    Attributes:
        problems: Why the worker is not healthy; empty when it is.
        trouble: Why there is nothing newer.
    """

    at: float
    database: str
    window: str
    order: str
    origin: str = "unknown"
    tokens: list[tuple[BoardRow, Window]] = []
    trades: Sequence[TradeRow] = ()
    quotes: dict[str, int | None] = {}
    status: Status | None = None
    problems: list[str] = []
    trouble: str | None = None


def register(commands: Any) -> None:
    """Add the command to the parser's subcommands."""
    command = commands.add_parser("top", help="what trades now, over the whole screen, until Ctrl-C or q")
    command.add_argument("--window", choices=tuple(WINDOWS), default="5m", help="what happened in this time (default: 5m)")
    command.add_argument("--order", choices=_ORDERS, default="trades", help="which tokens come first (default: trades)")
    command.add_argument("--json", action="store_true", help="what it shows now, as one JSON document")
    command.set_defaults(function=show_top)


def show_top(settings: Settings, arguments: argparse.Namespace) -> int:
    """
    Exit status 0.

    Raises:
        UsageError: There is no terminal to draw on, or the package that draws is not installed.
        DatabaseError: There is no database.

    """
    path, window, order = settings.pumpwatch.database, arguments.window, arguments.order
    if arguments.json:
        seen = look(path, window=window, order=order, most=_TOKENS_AS_JSON, now=time.time())
        shown = [{**msgspec.to_builtins(row), "window": row_window} for row, row_window in seen.tokens]
        record = {"database": str(path), "origin": seen.origin, "window": window, "tokens": shown, "trades": seen.trades}
        output.print_json({**record, "healthy": not seen.problems, "problems": seen.problems})
        return 0
    if not sys.stdout.isatty() or os.environ.get("TERM") == "dumb":
        raise UsageError("top draws on a terminal, and this is none: `tokens --window 5m` and `trades --follow` print lines")
    try:
        from pumpwatch.cli.top_screen import Screen
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != "rich":
            raise
        raise UsageError('top needs the package rich: pip install "pumpwatch[top]"') from error
    began = time.monotonic()
    seen = look(path, window=window, order=order, most=shutil.get_terminal_size().lines, now=time.time())
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # that too leaves the terminal as it was
    try:
        with keys() as pressed, Screen() as screen:
            while True:
                screen.show(seen)
                if pressed(max(_REFRESH_SECONDS, (time.monotonic() - began) / _LARGEST_SHARE)) in ("q", "Q"):
                    return 0
                began = time.monotonic()
                seen = _look_again(path, seen)
    except KeyboardInterrupt:
        return 0
    finally:
        signal.signal(signal.SIGTERM, before)


def look(path: Path, *, window: str, order: str, most: int, now: float) -> Seen:
    """Read it all, of at most so many tokens."""
    with open_reader(path) as reader:
        return Seen(
            at=now,
            database=path.name,
            window=window,
            order=order,
            origin=reader.origin(),
            tokens=tokens_in_window(reader, limit=most, order=order, seconds=WINDOWS[window], now=now),  # type: ignore[arg-type]
            trades=trades(reader, Wanted(), limit=_MOST_TRADES).trades,
            quotes=reader.quotes(),
            **_health(path, now),
        )


def _look_again(path: Path, before: Seen) -> Seen:
    """What cannot be read now is shown as it was, with the reason."""
    now = time.time()
    try:
        return look(path, window=before.window, order=before.order, most=shutil.get_terminal_size().lines, now=now)
    except DatabaseError as error:
        return msgspec.structs.replace(before, trouble=visible(error, limit=300), **_health(path, now))


def _health(path: Path, now: float) -> dict[str, Any]:
    try:
        status = read(path_of(path))
    except StatusUnreadable as error:
        return {"status": None, "problems": [str(error)]}
    return {"status": status, "problems": problems(status, now)}
