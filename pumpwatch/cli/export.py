"""``export``: trades, candles or tokens into a file for other programs."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple, get_args

from pumpwatch import __version__
from pumpwatch.candles import INTERVALS
from pumpwatch.cli import candles as candle_options
from pumpwatch.cli import output
from pumpwatch.cli import tokens as token_filters
from pumpwatch.cli import trades as trade_filters
from pumpwatch.cli.look import full_mint
from pumpwatch.cli.progress import Bar
from pumpwatch.config import Settings
from pumpwatch.errors import UsageError
from pumpwatch.export import FORMATS, Format, Written, export, format_of
from pumpwatch.figures import MINUTE_SECONDS
from pumpwatch.storage.candle_streams import WantedCandles, candles
from pumpwatch.storage.pruned import pruned_until
from pumpwatch.storage.queries import Reader, open_reader
from pumpwatch.storage.streams import Stream, tokens, trades
from pumpwatch.storage.stretches import Order
from pumpwatch.telemetry import visible

_STDOUT: Final = Path("-")

#: What the progress bar counts.
_UNITS: Final = {"trades": "trades", "candles": "trades", "tokens": "tokens"}


def register(commands: Any) -> None:
    """Add the command to the parser's subcommands."""
    command = commands.add_parser("export", help="write trades, candles or tokens into a file: CSV, JSON lines, Parquet")
    kinds = command.add_subparsers(dest="kind", metavar="WHAT", required=True)
    of_trades = kinds.add_parser("trades", help="all trades that the options choose")
    trade_filters.add_filters(of_trades)
    of_trades.add_argument(
        "--order",
        choices=get_args(Order),
        default="chain",
        help="token by token in the chain's order (default), or all tokens together by the chain's clock",
    )
    of_candles = kinds.add_parser("candles", help="the candles of all tokens, or of some")
    of_candles.add_argument("mints", metavar="MINT", nargs="*", help="of these tokens: their mints, or the beginnings of them")
    candle_options.add_options(of_candles)
    of_tokens = kinds.add_parser("tokens", help="what is known of the tokens that the options choose")
    token_filters.add_filters(of_tokens)
    for kind in (of_trades, of_candles, of_tokens):
        kind.allow_abbrev = False
        kind.add_argument(
            "--output",
            type=Path,
            default=_STDOUT,
            metavar="FILE",
            help="the file, or - for standard output (default); .gz packs it",
        )
        kind.add_argument("--format", choices=FORMATS, help="default: what the file's name says; csv on standard output")
        kind.add_argument("--force", action="store_true", help="replace the file if there is one")
        kind.add_argument("--json", action="store_true", help="with --output FILE: what was written, as one JSON document")
        kind.set_defaults(function=run_export)


class _Asked(NamedTuple):
    """What the command line says: None is standard output."""

    path: Path | None
    format_: Format


def run_export(settings: Settings, arguments: argparse.Namespace) -> int:
    """
    Exit status 0.

    Raises:
        NotExported: The file cannot be written (1); no half of it is left behind.
        AnswerIsNo: There is no such token or wallet (1).
        UsageError: The options do not go together (2).

    """
    asked = _asked(arguments)
    bar = Bar(sys.stderr, _UNITS[arguments.kind])
    with open_reader(settings.pumpwatch.database) as reader:
        origin = reader.origin()
        stream = _stream(reader, arguments)
        try:
            written = export(
                stream,
                asked.path,
                asked.format_,
                about=_about(arguments.kind, origin),
                overwrite=arguments.force,
                progress=bar.show,
            )
        finally:
            bar.end()
        pruned = _pruned(reader, arguments)
    if pruned is not None:
        print(f"pumpwatch: {pruned}", file=sys.stderr)
    if asked.path is not None:
        _tell(written, asked.path, asked.format_, arguments.kind, origin, as_json=arguments.json)
    return 0


def _asked(arguments: argparse.Namespace) -> _Asked:
    path = None if arguments.output == _STDOUT else arguments.output
    if path is None and arguments.json:
        raise UsageError("--json tells of a file: give --output FILE; for rows as JSON give --format jsonl")
    format_ = format_of(path, arguments.format)
    if path is None and format_ == "parquet" and sys.stdout.isatty():
        raise UsageError("a Parquet file is no text for a terminal: give --output FILE")
    return _Asked(path, format_)


def _stream(reader: Reader, arguments: argparse.Namespace) -> Stream:
    if arguments.kind == "trades":
        return trades(reader, trade_filters.wanted_by(reader, arguments), order=arguments.order)
    if arguments.kind == "tokens":
        return tokens(reader, token_filters.wanted_by(arguments))
    mints = dict.fromkeys(full_mint(reader, mint) for mint in arguments.mints)
    return candles(
        reader,
        WantedCandles(
            interval_seconds=INTERVALS[arguments.interval],
            mints=tuple(mints) or None,
            since=arguments.since,
            until=candle_options.until_of(arguments),
            in_usd=arguments.usd,
            gapless=arguments.gapless,
        ),
    )


def _pruned(reader: Reader, arguments: argparse.Namespace) -> str | None:
    """What of the choice is not there any more; None: nothing."""
    is_of_trades = arguments.kind == "trades" or (arguments.kind == "candles" and INTERVALS[arguments.interval] < MINUTE_SECONDS)
    until = pruned_until(reader, None) if is_of_trades else None
    if until is None or (arguments.since or 0) >= until:
        return None
    return output.pruned_text(until, is_one=False)


def _about(kind: str, origin: str) -> dict[str, str]:
    now = datetime.now(tz=UTC).isoformat(timespec="seconds")
    return {"pumpwatch": __version__, "pumpwatch.kind": kind, "pumpwatch.origin": origin, "pumpwatch.exported_at": now}


def _tell(written: Written, path: Path, format_: Format, kind: str, origin: str, *, as_json: bool) -> None:
    rows, size_bytes = written.rows.total(), written.size_bytes
    if as_json:
        what = {"file": str(path), "format": format_, "kind": kind, "origin": origin, "rows": rows, "size_bytes": size_bytes}
        output.print_json({**what, "completeness": written.rows})
        return
    print(f"{rows:,} {kind} in {visible(path, limit=300)}: {format_}, {_size(size_bytes or 0)}, {visible(origin)} data")
    if rows:
        output.print_text(f"by the completeness of their tokens' records: {_counts(written.rows)}")


def _counts(rows: Counter[str]) -> str:
    return ", ".join(f"{count:,} {visible(completeness)}" for completeness, count in sorted(rows.items()))


def _size(size_bytes: int) -> str:
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size_bytes >= size:
            return f"{size_bytes / size:.1f} {unit}"
    return f"{size_bytes} bytes"
