"""
What is new in the record, read once for all who look at it.

One thread reads on from where the record ends, a few times a second, and keeps the last minute as *ticks*. Every client has a
cursor, and is told from its cursor on: out of the ticks, or where they do not reach back to it, out of the record itself. There
is no queue for a client: who falls behind the ticks loads anew. Something may be told twice (by its id), nothing is left out.
"""

from __future__ import annotations

import re
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

import msgspec
from loguru import logger

from pumpwatch.dashboard.answers import LiveEvent, StatusEvent
from pumpwatch.dashboard.rows import TokenRow, token_rows
from pumpwatch.errors import DatabaseError, TransientError, UsageError
from pumpwatch.status import StatusUnreadable, path_of, problems, read
from pumpwatch.storage.chosen import ListedTrade, Wanted
from pumpwatch.storage.following import CompletenessChanged, Lost, News, Place, Tail, Told, TradeChanged, end
from pumpwatch.storage.queries import Reader, open_reader
from pumpwatch.threads import WorkerThread

#: Streams that are open at once: each holds a thread of the server.
MOST_CLIENTS: Final = 32

#: Token rows that one event brings at most: the newest.
MOST_ROWS: Final = 500

_TICK_SECONDS: Final = 0.25
_RETRY_SECONDS: Final = 1.0
_STATUS_SECONDS: Final = 2.0
_SPELLS_SECONDS: Final = 1.0

#: Ticks are kept for so long, with so much in them.
_KEPT_SECONDS: Final = 60.0
_KEPT_NEWS: Final = 20_000

#: Who asks from further back loads anew.
_MOST_CAUGHT_UP: Final = 2_000

#: Somebody who asks again and again listens for so long after each time.
_ASKED_SECONDS: Final = 10.0
_START_SECONDS: Final = 2.0

_LAST_ID: Final = "SELECT ifnull(max(id), 0) FROM tokens"
_CREATED: Final = "SELECT id, mint FROM tokens WHERE id > :after ORDER BY id DESC LIMIT :most"
_WATCHED: Final = "SELECT address, reason FROM spells WHERE kind = 'token' AND ended_at_us IS NULL"

_CURSOR: Final = re.compile(r"(c[A-Za-z0-9_-]+)\.([0-9a-f]{8})\.([0-9]{1,15})")

_RESYNC: Final = {
    "changes": "changes of before are not kept any more",
    "replaced": "the record is another one now",
    "restored": "the record was put back to an earlier state",
    "pruned": "old trades were taken out of the record",
}


class Interest(msgspec.Struct, frozen=True):
    """
    What a client wants to be told.

    Attributes:
        board: Rows of tokens that changed.
        mint: Trades of this token, its completeness and its row; *wallet*: trades of this wallet.
        system: What the worker says of itself.
    """

    board: bool = False
    mint: str | None = None
    wallet: str | None = None
    system: bool = False


class Position(msgspec.Struct, frozen=True):
    """
    Up to where a client was told.

    Attributes:
        place: In the record.
        tick: In the ticks of the process *run*; 0: in none.
    """

    place: Place
    run: str
    tick: int

    def text(self) -> str:
        """The cursor, as clients hold it."""
        return f"{self.place.text()}.{self.run}.{self.tick}"

    @classmethod
    def of_text(cls, cursor: str) -> Position:
        """
        Read a cursor.

        Raises:
            UsageError: It is none of ours.

        """
        found = _CURSOR.fullmatch(cursor)
        if found is None:
            raise UsageError("after takes the whole cursor of an answer of this page")
        return cls(Place.of_text(found[1]), found[2], int(found[3]))


class _Tick(msgspec.Struct, frozen=True):
    number: int
    at: float
    place: Place
    news: Sequence[News]
    rows: Sequence[TokenRow]
    status: StatusEvent | None
    lost: str | None


class Live(WorkerThread):
    """
    The thread that reads, and what it read. All methods but :meth:`work` may be called from any thread.

    Args:
        clock: Seconds that never go back.

    """

    def __init__(self, database: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__("live")
        self._database = database
        self._clock = clock
        self._run = secrets.token_hex(4)
        self._changed = threading.Condition()
        #: Guarded by *_changed*, as the next four are.
        self._ticks: deque[_Tick] = deque()
        self._news = 0
        self._number = 0
        self._streams = 0
        self._asked_until = 0.0
        self._is_reading = False
        # Of the thread alone.
        self._known_tokens = 0
        self._watched: dict[str, str] = {}
        self._spells_at = 0.0
        self._status_at = 0.0

    # For requests

    def cursor(self) -> str:
        """Where the record ends now; empty: it cannot be read."""
        try:
            with open_reader(self._database) as reader:
                return self._position(reader).text()
        except DatabaseError:
            return ""

    def enter(self) -> bool:
        """One more stream; False: there are too many. Then :meth:`leave` it once."""
        with self._changed:
            if self._streams >= MOST_CLIENTS:
                return False
            self._streams += 1
            self._changed.notify_all()
            return True

    def leave(self) -> None:
        """One stream less."""
        with self._changed:
            self._streams -= 1

    @property
    def is_stopping(self) -> bool:
        """Nothing more will be told."""
        return self.stopping.is_set()

    def begin(self, after: str | None, interest: Interest) -> tuple[list[LiveEvent], Position]:
        """
        What happened since a cursor (None: from now on), and from where :meth:`wait` goes on.

        Raises:
            UsageError: *after* is no cursor.
            DatabaseError: The record cannot be read.

        """
        asked = None if after is None else Position.of_text(after)
        self._listen()
        with self._changed:
            if asked is not None and asked.run == self._run and self._reaches(asked.tick):
                return self._events_since(asked, interest)
            number = self._number
        with open_reader(self._database) as reader:
            now = msgspec.structs.replace(self._position(reader), tick=number)
            if asked is None:
                return [], now
            return self._caught_up(reader, asked.place, interest), now

    def wait(self, position: Position, interest: Interest, timeout_seconds: float) -> tuple[list[LiveEvent], Position]:
        """What happened since; waits for it at most so long, and until the thread is stopped."""
        ends = self._clock() + timeout_seconds
        with self._changed:
            while not self.is_stopping:
                events, position = self._events_since(position, interest)
                left = ends - self._clock()
                if events or left <= 0:
                    return events, position
                self._changed.wait(left)
        return [], position

    def stop(self) -> None:
        """End the thread, and every wait."""
        super().stop()
        with self._changed:
            self._changed.notify_all()

    def _listen(self) -> None:
        """Have the thread read for a while, and wait until it does."""
        with self._changed:
            self._asked_until = self._clock() + _ASKED_SECONDS
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._is_reading or self.is_stopping, _START_SECONDS)

    def _position(self, reader: Reader) -> Position:
        with self._changed:
            number = self._number if self._is_reading else 0
        return Position(end(reader), self._run, number)

    def _reaches(self, number: int) -> bool:
        """Whether the ticks hold everything behind that one."""
        oldest = self._ticks[0].number if self._ticks else self._number + 1
        return self._is_reading and oldest - 1 <= number <= self._number

    def _events_since(self, position: Position, interest: Interest) -> tuple[list[LiveEvent], Position]:
        if position.tick == self._number:
            return [], position
        if not self._reaches(position.tick):
            now = Position(position.place, self._run, self._number)
            return [_resync("the page was too slow, or the record could not be read for a while")], now
        ticks = [tick for tick in self._ticks if tick.number > position.tick]
        now = Position(ticks[-1].place, self._run, ticks[-1].number)
        return list(_told(ticks, interest)), now

    def _caught_up(self, reader: Reader, place: Place, interest: Interest) -> list[LiveEvent]:
        only = interest if not interest.board else Interest(board=True)
        tail = Tail(reader, Wanted(mint=only.mint, wallet=None if only.mint else only.wallet), place)
        news = [one for one, _ in tail.read()]
        while not tail.is_at_end and len(news) < _MOST_CAUGHT_UP:
            news += [one for one, _ in tail.read()]
        lost = next((one for one in news if isinstance(one, Lost)), None)
        if lost is not None or not tail.is_at_end:
            return [_resync(_RESYNC[lost.what] if lost is not None else "much has happened meanwhile")]
        rows = self._rows(reader, news, ())
        return list(_told([_Tick(0, 0.0, place, news, rows, self._status() if interest.system else None, None)], interest))

    # The thread

    def work(self) -> None:
        while not self.stopping.is_set():
            self.pulse.beat()
            if not self._is_wanted():
                self._rest()
                continue
            try:
                with open_reader(self._database) as reader:
                    self._read(reader)
            except (DatabaseError, TransientError) as error:
                logger.debug("live: {}", error)
                self._forget()
                self.stopping.wait(_RETRY_SECONDS)
        self._forget()

    def _is_wanted(self) -> bool:
        return self._streams > 0 or self._clock() < self._asked_until

    def _rest(self) -> None:
        self._forget()
        with self._changed:
            self._changed.wait_for(lambda: self._is_wanted() or self.is_stopping, 60.0)

    def _forget(self) -> None:
        """Nothing is read for now: who goes on later asks the record."""
        with self._changed:
            self._is_reading = False
            self._ticks.clear()
            self._news = 0

    def _read(self, reader: Reader) -> None:
        """Tick until nobody listens, or the file is another one."""
        file = _identity(self._database)
        tail = Tail(reader, Wanted(), end(reader))
        self._known_tokens = reader.rows(_LAST_ID)[0][0]
        self._watched = dict(reader.rows(_WATCHED))
        self._forget()  # perhaps it was another file
        with self._changed:
            self._is_reading = True
            self._number += 1  # no tick tells what came before
            self._changed.notify_all()
        while not self.stopping.is_set() and self._is_wanted() and _identity(self._database) == file:
            self.pulse.beat()
            began = self._clock()
            self._tick(self._look(reader, tail))
            self.stopping.wait(max(0.01, _TICK_SECONDS - (self._clock() - began)))

    def _look(self, reader: Reader, tail: Tail) -> _Tick:
        news = [one for one, _ in tail.read()]
        while not tail.is_at_end and len(news) < _MOST_CAUGHT_UP:
            news += [one for one, _ in tail.read()]
        lost = next((one for one in news if isinstance(one, Lost)), None)
        rows = self._rows(reader, news, self._changed_otherwise(reader))
        return _Tick(0, 0.0, tail.place, news, rows, self._status_if_due(), None if lost is None else _RESYNC[lost.what])

    def _rows(self, reader: Reader, news: Iterable[News], more: Iterable[str]) -> list[TokenRow]:
        """Of the tokens that *news* are about, the newest, and of *more*."""
        mints = dict.fromkeys(more)
        for one in news:
            mint = _mint_of(one)
            if mint is not None:
                mints.pop(mint, None)
                mints[mint] = None
        newest = list(mints)[-MOST_ROWS:]
        return token_rows(reader, newest, time.time()) if newest else []

    def _changed_otherwise(self, reader: Reader) -> list[str]:
        """Tokens that are new, or are watched now or not any more."""
        found = reader.rows(_CREATED, after=self._known_tokens, most=MOST_ROWS)
        mints = [mint for _, mint in reversed(found)]
        if found:
            self._known_tokens = found[0][0]
        if self._clock() - self._spells_at > _SPELLS_SECONDS:
            self._spells_at = self._clock()
            watched = dict(reader.rows(_WATCHED))
            mints += [mint for mint, _ in watched.items() ^ self._watched.items()]
            self._watched = watched
        return mints

    def _status_if_due(self) -> StatusEvent | None:
        if self._clock() - self._status_at < _STATUS_SECONDS:
            return None
        self._status_at = self._clock()
        return self._status()

    def _status(self) -> StatusEvent:
        try:
            status = read(path_of(self._database))
            found = problems(status, time.time())
        except StatusUnreadable as error:
            status, found = None, [str(error)]
        return StatusEvent(status, not found, found)

    def _tick(self, tick: _Tick) -> None:
        """Keep it, and tell those who wait."""
        if not (tick.news or tick.rows or tick.status or tick.lost):
            return
        with self._changed:
            self._number += 1
            now = self._clock()
            self._ticks.append(msgspec.structs.replace(tick, number=self._number, at=now))
            self._news += len(tick.news)
            while len(self._ticks) > 1 and (now - self._ticks[0].at > _KEPT_SECONDS or self._news > _KEPT_NEWS):
                self._news -= len(self._ticks.popleft().news)
            self._changed.notify_all()


def _mint_of(news: News) -> str | None:
    if isinstance(news, Told):
        return news.row.mint
    if isinstance(news, TradeChanged):
        return news.trade.row.mint
    return None if isinstance(news, Lost) else news.mint


def _told(ticks: Sequence[_Tick], interest: Interest) -> Iterable[LiveEvent]:
    """The events of one client: several ticks as one."""
    lost = next((tick.lost for tick in ticks if tick.lost is not None), None)
    if lost is not None:
        yield _resync(lost)
        return
    rows = {row.mint: row for tick in ticks for row in tick.rows if interest.board or row.mint == interest.mint}
    if rows:
        yield LiveEvent("tokens", {"tokens": list(rows.values())[-MOST_ROWS:]})
    news = [one for tick in ticks for one in tick.news]
    if interest.mint is not None or interest.wallet is not None:
        trades = {told.id: told for one in news for told in _trades_of(one, interest)}
        if trades:
            yield LiveEvent("trades", {"trades": [_listed(told) for told in trades.values()]})
    for one in news:
        if isinstance(one, CompletenessChanged) and one.mint == interest.mint:
            yield LiveEvent("completeness", one)
    if interest.system:
        status = next((tick.status for tick in reversed(ticks) if tick.status is not None), None)
        if status is not None:
            yield LiveEvent("system", status)


def _trades_of(news: News, interest: Interest) -> Iterable[Told]:
    told = news if isinstance(news, Told) else news.trade if isinstance(news, TradeChanged) else None
    if told is not None and (told.row.mint == interest.mint or told.row.wallet == interest.wallet):
        yield told


def _listed(told: Told) -> ListedTrade:
    return ListedTrade(*msgspec.structs.astuple(told.row), id=told.id, state=told.state)


def _resync(reason: str) -> LiveEvent:
    return LiveEvent("resync", {"reason": reason})


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def encoded(event: LiveEvent, cursor: str | None) -> bytes:
    """As a server-sent event."""
    begin = f"event: {event.event}\n" + (f"id: {cursor}\n" if cursor is not None else "")
    return begin.encode() + b"data: " + msgspec.json.encode(event.data) + b"\n\n"
