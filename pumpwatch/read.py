"""
Read a record from Python: for notebooks and bots. This module is a stable interface; the rest of the package is not.

    from pumpwatch import read

    with read.open("pumpwatch.db") as record:
        busiest = max(record.tokens(), key=lambda token: token.trades)
        print(busiest.symbol, busiest.price, "the record is", busiest.completeness)
        bought = sum(trade.quote_amount or 0 for trade in record.trades(mint=busiest.mint, side="buy"))
        print(f"{bought / 1e9:.3f} SOL bought")
        for candle in record.candles(busiest.mint, interval="5m"):
            print(candle.opens_at, candle.open, candle.high, candle.low, candle.close, candle.volume)
        minutes = read.columns(record.candles(busiest.mint, interval="1m", gapless=True))
        print(sorted(minutes))  # pandas.DataFrame(minutes), polars.DataFrame(minutes)

Given are frozen records with the names, units and meanings of the database's views (docs/data.md): amounts are integers in
base units, times integers in unix seconds (``..._us``: microseconds), prices floats in whole quote for a whole token, unknown is
None. Each says how complete its token's record is: ``completeness`` is ``complete``, ``since``, ``spell``, ``holes`` or
``unproven`` (docs/completeness.md). New fields come at the end: take them by name.

The file is only read, beside a running worker too. Everything is read a page at a time, each page in a transaction of its own, so
that an iteration may take hours and holds up nobody. What was there when an iteration began comes once; what is recorded
meanwhile comes in the next one. A :class:`Record` may be used from several threads, each iterator from one at a time; a process
opens its own.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TypeAlias, TypeVar, get_args

import msgspec

from pumpwatch.candles import INTERVALS
from pumpwatch.errors import DatabaseError
from pumpwatch.storage import candle_streams, streams
from pumpwatch.storage.board import BoardRow as Token
from pumpwatch.storage.board import WantedTokens, board_rows
from pumpwatch.storage.candle_streams import TokenCandle as Candle
from pumpwatch.storage.candle_streams import WantedCandles
from pumpwatch.storage.chosen import Wanted
from pumpwatch.storage.position_streams import positions
from pumpwatch.storage.positions import PositionRow as Position
from pumpwatch.storage.pruned import pruned_until
from pumpwatch.storage.queries import Reader, open_reader
from pumpwatch.storage.streams import Trade
from pumpwatch.storage.stretches import Order

__all__ = ["Candle", "DatabaseError", "Position", "Record", "Token", "Trade", "columns", "open"]

#: Unix seconds, or a time with a time zone.
Moment: TypeAlias = int | float | datetime

Side: TypeAlias = Literal["buy", "sell"]
Venue: TypeAlias = Literal["curve", "pool"]
Status: TypeAlias = Literal["curve", "completed", "graduated"]
Completeness: TypeAlias = Literal["complete", "since", "spell", "holes", "unproven"]
Interval: TypeAlias = Literal["1s", "15s", "1m", "5m", "15m", "1h", "4h", "1d"]

_Row = TypeVar("_Row", bound=msgspec.Struct)


def open(path: str | os.PathLike[str] = "pumpwatch.db") -> Record:  # noqa: A001 - read.open
    """
    Open the record at *path*, to be used with ``with``, or closed by its :meth:`Record.close`.

    Raises:
        DatabaseError: There is no such file, or it is no record, damaged, or of another version of pumpwatch.

    """
    return Record(Path(path))


def columns(rows: Iterable[msgspec.Struct]) -> dict[str, list[Any]]:
    """Column name -> values: what ``pandas.DataFrame``, ``polars.DataFrame`` and ``pyarrow.table`` take. Empty without rows."""
    found: dict[str, list[Any]] = {}
    for row in rows:
        if not found:
            found = {name: [] for name in row.__struct_fields__}
        for values, value in zip(found.values(), msgspec.structs.astuple(row), strict=True):
            values.append(value)
    return found


class Record:
    """
    One database, read only. Use :func:`open`.

    Every method raises DatabaseError if the file is damaged, cannot be read now, or was closed here; ValueError if an argument is
    none that it knows.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._resources = contextlib.ExitStack()
        self._open_reader = self._resources.enter_context(open_reader(path))
        self._is_closed = False

    def __enter__(self) -> Record:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<pumpwatch record {self._path}{', closed' if self._is_closed else ''}>"

    def close(self) -> None:
        """Read no more. Closing it again does nothing."""
        self._is_closed = True
        self._resources.close()

    @property
    def origin(self) -> str:
        """Whose data it is: ``mainnet``, ``simulator`` or ``replay``."""
        return self._reader.origin()

    def token(self, mint: str) -> Token | None:
        """Everything that is known of one token; None: it is not in the record. *mint* is its whole address."""
        found = board_rows(self._reader, [mint])
        return found[0] if found else None

    def tokens(
        self,
        *,
        status: Status | None = None,
        completeness: Completeness | None = None,
        symbol: str | None = None,
        created_after: Moment | None = None,
        created_before: Moment | None = None,
        minimum_volume: float | None = None,
        quote_mint: str | None = None,
        watched_only: bool = False,
    ) -> Iterator[Token]:
        """
        Tokens, as they first appeared in the record.

        Args:
            symbol: Part of the symbol, or with ``*`` and ``?`` a pattern for all of it; great and small letters are the same.
            minimum_volume: In whole quotes, whichever quote it is.

        """
        wanted = WantedTokens(
            status=_one_of("status", status, get_args(Status)),
            completeness=_one_of("completeness", completeness, get_args(Completeness)),
            symbol=symbol,
            created_after=_seconds("created_after", created_after),
            created_before=_seconds("created_before", created_before),
            minimum_volume=minimum_volume,
            quote_mint=quote_mint,
            watched_only=watched_only,
        )
        return self._rows(streams.tokens(self._reader, wanted), Token)

    def trades(
        self,
        *,
        mint: str | None = None,
        wallet: str | None = None,
        side: Side | None = None,
        venue: Venue | None = None,
        since: Moment | None = None,
        until: Moment | None = None,
        minimum_quote: float | None = None,
        minimum_tokens: float | None = None,
        confirmed_only: bool = False,
        order: Order = "chain",
    ) -> Iterator[Trade]:
        """
        Trades, the oldest first: of one token, of one wallet, or of all.

        Args:
            since: *until*: alike, both inclusive. A provisional trade is from when it arrived.
            minimum_quote: In whole quotes, whichever quote it is; *minimum_tokens*: in whole tokens.
            confirmed_only: Without those that only PumpPortal reported.
            order: ``chain``: token by token, each in the chain's order; ``time``: all tokens together by the chain's clock.
                Provisional trades come last, of their token or of all.

        """
        wanted = Wanted(
            mint=mint,
            wallet=wallet,
            side=_one_of("side", side, get_args(Side)),
            venue=_one_of("venue", venue, get_args(Venue)),
            minimum_quote=minimum_quote,
            minimum_tokens=minimum_tokens,
            since=_seconds("since", since),
            until=_seconds("until", until),
            confirmed_only=confirmed_only,
        )
        return self._rows(streams.trades(self._reader, wanted, order=_known("order", order, get_args(Order))), Trade)

    def candles(
        self,
        mint: str | None = None,
        *,
        interval: Interval = "1m",
        since: Moment | None = None,
        until: Moment | None = None,
        usd: bool = False,
        gapless: bool = False,
    ) -> Iterator[Candle]:
        """
        Candles in the order of time, of one token or (None) token by token; of trades that the chain told.

        Args:
            since: *until*: alike, both inclusive: the candles that hold them are whole.
            usd: Prices in US dollars, each minute at its own rate; else in whole quote for a whole token.
            gapless: Also those in which nothing was traded, up to *until* or the token's last trade.

        """
        wanted = WantedCandles(
            interval_seconds=INTERVALS[_known("interval", interval, get_args(Interval))],
            mints=None if mint is None else (mint,),
            since=_seconds("since", since),
            until=_seconds("until", until),
            in_usd=usd,
            gapless=gapless,
        )
        return self._rows(candle_streams.candles(self._reader, wanted), Candle)

    def pruned_until(self, mint: str | None = None) -> int | None:
        """
        Up to when (unix seconds) single trades were taken out of the record: all of before of one token, or (None) of some.

        None: none were. Candles from one minute on, positions and the numbers of tokens are still those of all trades.
        """
        return pruned_until(self._reader, mint)

    def positions(self, *, wallet: str | None = None, mint: str | None = None) -> Iterator[Position]:
        """
        What a wallet did with each token, or each wallet with one token, or one wallet with one token.

        From trades alone: transfers are invisible, so ``net_bought`` is no balance.
        """
        if wallet is None and mint is None:
            raise ValueError("positions of whom? give wallet, mint, or both")
        return self._rows(positions(self._reader, wallet=wallet, mint=mint), Position)

    def _rows(self, stream: streams.Stream, kind: type[_Row]) -> Iterator[_Row]:
        while True:
            self._check_open()
            page = next(stream.pages, None)
            if page is None:
                return
            for row in page.rows:
                yield kind(*row)

    @property
    def _reader(self) -> Reader:
        self._check_open()
        return self._open_reader

    def _check_open(self) -> None:
        if self._is_closed:
            raise DatabaseError(f"the record {self._path} is closed: iterate inside of `with`, or open it again")


def _one_of(name: str, value: Any, known: tuple[Any, ...]) -> Any:
    return None if value is None else _known(name, value, known)


def _known(name: str, value: Any, known: tuple[Any, ...]) -> Any:
    if value not in known:
        raise ValueError(f"{name} is one of {', '.join(known)}, not {value!r}")
    return value


def _seconds(name: str, moment: Moment | None) -> int | None:
    if isinstance(moment, datetime):
        if moment.utcoffset() is None:
            raise ValueError(f"{name} has no time zone: datetime(..., tzinfo=UTC), say")
        moment = moment.timestamp()
    if isinstance(moment, str):
        raise ValueError(f"{name} is in unix seconds, or a datetime: not {moment!r}")  # noqa: TRY004 - as for the others
    return None if moment is None else int(moment)
