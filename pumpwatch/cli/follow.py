"""``trades --follow``: new trades as they are committed, like ``tail -f``; for programs a stream that goes on where it was."""

from __future__ import annotations

import errno
import json
import select
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias

import msgspec

from pumpwatch.errors import DatabaseBusy, DatabaseError
from pumpwatch.files import file_identity
from pumpwatch.storage.chosen import TradeRow, Wanted
from pumpwatch.storage.following import CompletenessChanged, Lost, News, Place, Tail, Told, TradeChanged, end
from pumpwatch.storage.queries import open_reader
from pumpwatch.telemetry import visible

#: How often it is looked whether there is something new.
POLL_SECONDS: Final = 0.25

#: And whether the database can be read again; what is wrong with it ends the command after a while, unless it is away or locked.
_RETRY_SECONDS: Final = 1.0
_PATIENCE_SECONDS: Final = 60.0

#: Where all is filtered out, a cursor is told on its own so often: what is old is not kept for ever.
_CURSOR_SECONDS: Final = 60.0

_MEANING: Final = {
    "changes": "trades and tokens that were told before have changed meanwhile, and which is no longer known: read them again",
    "replaced": "this is another record: all of it follows, from its beginning",
    "restored": "the record was put back to an older copy: all of it follows, from its beginning",
    "pruned": "trades were taken out of the record before they were told",
}

Batch: TypeAlias = list[tuple[News, Place]]


class Sink(Protocol):
    """Where the news go. All methods raise BrokenPipeError when nobody takes them any more."""

    def take(self, batch: Batch) -> None: ...

    def idle(self, place: Place) -> None:
        """There is nothing new; all up to *place* was gone through."""


def follow(
    path: Path,
    wanted: Wanted,
    sink: Sink,
    *,
    place: Place | None = None,
    wait: Callable[[float], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """
    Tell *sink* all that is new behind *place* (None: from now on), until it or the user ends that.

    A database that is locked, away or replaced is waited for, with one line about it on standard error.

    Raises:
        DatabaseError: It could not be read at the start, or is wrong for longer than a minute.

    """
    wait = time.sleep if wait is None else wait
    trouble = _Trouble(path, clock)
    tail: Tail | None = None
    while True:
        try:
            file = file_identity(path)
            with open_reader(path) as reader:
                tail = Tail(reader, wanted, tail.place if tail is not None else place or end(reader))
                while file_identity(path) == file:
                    _read_on(tail, sink)
                    trouble.is_over()
                    wait(POLL_SECONDS)
            if path.is_file():
                _say(f"{path} is another file now: reading that")
        except DatabaseError as error:
            if tail is None:
                raise
            trouble.met(error)
            wait(_RETRY_SECONDS)


def _read_on(tail: Tail, sink: Sink) -> None:
    """All that is there now."""
    while True:
        batch = tail.read()
        if batch:
            sink.take(batch)
        elif tail.is_at_end:
            break
    sink.idle(tail.place)


class _Trouble:
    """Each trouble with the database is told once; one that is none of locked or away is borne for a minute."""

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self._path = path
        self._clock = clock
        self._said = ""
        self._since: float | None = None

    def is_over(self) -> None:
        self._said, self._since = "", None

    def met(self, error: DatabaseError) -> None:
        """Raises it again after a minute."""
        now = self._clock()
        self._since = now if self._since is None else self._since
        is_away = isinstance(error.__cause__, DatabaseBusy) or not self._path.is_file()
        if not is_away and now - self._since > _PATIENCE_SECONDS:
            raise error
        if str(error) != self._said:
            self._said = str(error)
            _say(f"{self._said}; waiting")


class Lines:
    """One JSON document a line."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told: Place | None = None
        self._told_at = clock()

    def take(self, batch: Batch) -> None:
        write(json.dumps(_document(news, place), ensure_ascii=True, allow_nan=False) for news, place in batch)
        self._told, self._told_at = batch[-1][1], self._clock()

    def idle(self, place: Place) -> None:
        now = self._clock()
        if now - self._told_at >= _CURSOR_SECONDS and place != self._told:
            write([json.dumps({"type": "cursor", "cursor": place.text()})])
            self._told, self._told_at = place, now
        check_reader()


def _document(news: News, place: Place) -> dict[str, Any]:
    match news:
        case Told():
            content = {"type": "trade", **_trade(news)}
        case TradeChanged():
            content = {"type": "trade_changed", "at_us": news.at_us, "matches": news.trade.matches, **_trade(news.trade)}
        case CompletenessChanged():
            content = {"type": "completeness", **msgspec.structs.asdict(news)}
            del content["change_id"]
        case Lost():
            content = {"type": "lost", "what": news.what, "meaning": _MEANING[news.what]}
    return {**content, "cursor": place.text()}


def _trade(told: Told) -> dict[str, Any]:
    return {"id": told.id, "state": told.state, "completeness": told.completeness, **msgspec.structs.asdict(told.row)}


class Table:
    """
    Lines of a table.

    Args:
        line: Makes one of a trade and its mark.
        shown: Trades that stand there already.

    """

    def __init__(self, line: Callable[[TradeRow, str], str], *, confirmed_only: bool, shown: Iterable[TradeRow] = ()) -> None:
        self._line = line
        self._confirmed_only = confirmed_only
        self._shown = set(shown)

    def take(self, batch: Batch) -> None:
        lines = [self._line(*shown) for news, _ in batch if (shown := self._shown_of(news)) is not None]
        if lines:
            write(lines)
        self._shown.clear()
        for news, _ in batch:
            if isinstance(news, Lost):
                _say(f"something was missed: {_MEANING[news.what]}")

    def idle(self, place: Place) -> None:  # noqa: ARG002 - a person needs no cursor
        check_reader()

    def _shown_of(self, news: News) -> tuple[TradeRow, str] | None:
        """A new trade; of those that changed: what is not true any more, and what is confirmed if only that is wanted."""
        if isinstance(news, Told) and news.row not in self._shown:
            return news.row, "p" if news.state == "provisional" else ""
        if isinstance(news, TradeChanged) and news.trade.state in ("dropped", "superseded"):
            return news.trade.row, "x"
        if isinstance(news, TradeChanged) and self._confirmed_only and news.trade.matches:
            return news.trade.row, ""
        return None


def write(lines: Iterable[str]) -> None:
    """At once. Raises BrokenPipeError when nobody reads them."""
    try:
        sys.stdout.write("".join(f"{line}\n" for line in lines))
        sys.stdout.flush()
    except OSError as error:
        if error.errno == errno.EINVAL:  # so Windows says it
            raise BrokenPipeError from error
        raise


def check_reader() -> None:
    """Raise BrokenPipeError if whoever read our output is gone: without it nobody would notice before the next trade."""
    if not hasattr(select, "poll"):
        return  # Windows: the next line tells
    try:
        number = sys.stdout.fileno()
    except (OSError, ValueError, AttributeError):
        return  # not a file of the system
    poll = select.poll()
    poll.register(number, 0)
    if any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(0)):
        raise BrokenPipeError


def _say(sentence: str) -> None:
    if sys.stderr is not None:
        print(f"pumpwatch: {visible(sentence, limit=1000)}", file=sys.stderr, flush=True)
