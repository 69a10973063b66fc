"""
What was read lately, and what of it one client is told.

PURE. A *tick* is what one look at the record found. The last ones are kept, for all clients together: each has a position in
them, and there is no queue of its own. Of a token only its newest row is kept.
"""

from __future__ import annotations

import itertools
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from pumpwatch.dashboard.answers import LiveEvent, StatusEvent
from pumpwatch.dashboard.rows import TokenRow
from pumpwatch.errors import UsageError
from pumpwatch.storage.chosen import ListedTrade
from pumpwatch.storage.following import CompletenessChanged, Lost, News, Place, Told, TradeChanged

#: Token rows that one event brings at most: the newest.
MOST_ROWS: Final = 500

#: What is kept at most: for so long, so much news of trades, and so many rows.
_KEPT_SECONDS: Final = 60.0
_KEPT_NEWS: Final = 20_000
_KEPT_ROWS: Final = 2_000

_CURSOR: Final = re.compile(r"(c[A-Za-z0-9_-]+)\.([0-9]{1,15})\.([0-9]{1,15})\.([0-9a-f]{8})\.([0-9]{1,15})")


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


class Covers(msgspec.Struct, frozen=True):
    """What is looked at: all that somebody wants to be told."""

    board: bool
    mints: frozenset[str]
    wallets: frozenset[str]
    system: bool

    @classmethod
    def of(cls, interests: Iterable[Interest]) -> Covers:
        """What they want together."""
        wanted = list(interests)
        return cls(
            any(one.board for one in wanted),
            frozenset(one.mint for one in wanted if one.mint is not None),
            frozenset(one.wallet for one in wanted if one.wallet is not None),
            any(one.system for one in wanted),
        )

    def has(self, interest: Interest) -> bool:
        """Whether nothing is left out that this one wants; *system* is told again soon anyway."""
        return (
            (self.board or not interest.board)
            and (interest.mint is None or interest.mint in self.mints)
            and (interest.wallet is None or interest.wallet in self.wallets)
        )


class Position(msgspec.Struct, frozen=True):
    """
    Up to where a client was told.

    Attributes:
        place: In the record; *newest_token*: alike, the last row of ``tokens``.
        at: When that was, in unix seconds.
        run: Of which process *tick* is.
        tick: The last one that was told; 0: none, nobody read then.
    """

    place: Place
    newest_token: int
    at: int
    run: str
    tick: int

    def text(self) -> str:
        """The cursor, as clients hold it."""
        return f"{self.place.text()}.{self.newest_token}.{self.at}.{self.run}.{self.tick}"

    @classmethod
    def of_text(cls, cursor: str) -> Position:
        """
        Read a cursor.

        Raises:
            UsageError: It is none of ours.

        """
        found = _CURSOR.fullmatch(cursor)
        try:
            if found is not None:
                return cls(Place.of_text(found[1]), int(found[2]), int(found[3]), found[4], int(found[5]))
        except UsageError:
            pass
        raise UsageError("after takes the whole cursor of an answer of this page")


class Found(msgspec.Struct, frozen=True):
    """
    What one look at the record found.

    Attributes:
        place: The end of what was looked at; *newest_token*: alike.
        covers: What was looked at; news and rows of anything else are not here.
        rows: As they are now: of tokens that changed, the newest last.
        is_cut: More have changed than *rows* tell.
        lost: Why not everything since the look before can be told.
    """

    place: Place
    newest_token: int
    covers: Covers
    news: Sequence[News] = ()
    rows: Sequence[TokenRow] = ()
    is_cut: bool = False
    status: StatusEvent | None = None
    lost: str | None = None

    @property
    def is_something(self) -> bool:
        """There is something to tell."""
        return bool(self.news or self.rows or self.is_cut or self.status or self.lost)


class _Tick(msgspec.Struct, frozen=True):
    number: int
    at: float
    found: Found


class Ticks:
    """
    The last ticks, each with a number. For one thread at a time.

    Args:
        run: What tells this process from others.

    """

    def __init__(self, run: str) -> None:
        self.run = run
        self.number = 0
        self._ticks: deque[_Tick] = deque()
        self._news = 0
        #: By mint, the one that changed last at the end: in which tick, and the row.
        self._rows: dict[str, tuple[int, TokenRow]] = {}
        #: Rows of ticks up to this one may be gone.
        self._rows_gone = 0

    def begin(self) -> None:
        """What was before is not connected with what comes."""
        self.number += 1
        self._forget()

    def add(self, found: Found, now: float) -> None:
        """Keep what was found, and of the oldest less."""
        if found.lost is not None:
            self._forget()
        self.number += 1
        self._ticks.append(_Tick(self.number, now, found))
        self._news += len(found.news)
        while len(self._ticks) > 1 and (now - self._ticks[0].at > _KEPT_SECONDS or self._news > _KEPT_NEWS):
            self._news -= len(self._ticks.popleft().found.news)
        for row in found.rows:
            self._rows.pop(row.mint, None)
            self._rows[row.mint] = (self.number, row)
        while len(self._rows) > _KEPT_ROWS:
            self._rows_gone, _ = self._rows.pop(next(iter(self._rows)))

    def _forget(self) -> None:
        self._ticks.clear()
        self._rows.clear()
        self._news = 0
        self._rows_gone = self.number

    def reach(self, position: Position, interest: Interest) -> bool:
        """Whether everything behind it is here."""
        oldest = self._ticks[0].number - 1 if self._ticks else self.number
        if interest.board or interest.mint is not None:
            oldest = max(oldest, self._rows_gone)
        return position.run == self.run and oldest <= position.tick <= self.number

    def cover(self, position: Position, interest: Interest) -> bool:
        """Whether whoever read what is behind *position* had this in mind."""
        return all(tick.found.covers.has(interest) for tick in self._behind(position))

    def since(self, position: Position, interest: Interest, now: int) -> tuple[list[LiveEvent], Position]:
        """
        The events behind *position*, all as one, and where they end. Only if :meth:`reach` and :meth:`cover` say so.

        Args:
            now: Unix seconds.

        """
        founds = [tick.found for tick in self._behind(position)]
        if not founds:
            return [], position
        newer = itertools.takewhile(lambda kept: kept[0] > position.tick, reversed(self._rows.values()))
        whole = msgspec.structs.replace(
            founds[-1],
            news=[one for found in founds for one in found.news],
            rows=[row for _, row in newer][::-1],
            is_cut=any(found.is_cut for found in founds),
            status=next((found.status for found in reversed(founds) if found.status is not None), None),
            lost=next((found.lost for found in founds if found.lost is not None), None),
        )
        after = self.end(position, now)
        if whole.lost is None:
            place = _later(position.place, after.place)
            newest = max(position.newest_token, after.newest_token)
            after = msgspec.structs.replace(after, place=place, newest_token=newest)
        return events_of(whole, interest, position.place), after

    def end(self, position: Position, now: int) -> Position:
        """Behind all ticks, for one who is at *position*."""
        last = self._ticks[-1].found if self._ticks else position
        return Position(last.place, last.newest_token, now, self.run, self.number)

    def _behind(self, position: Position) -> Iterator[_Tick]:
        return (tick for tick in self._ticks if tick.number > position.tick)


def events_of(found: Found, interest: Interest, told: Place) -> list[LiveEvent]:
    """
    The events of one client, who was told all up to *told*.

    Trades come last: who goes on from the last event that had a cursor is told states again, but no trade.
    """
    if found.lost is not None:
        return [resync(found.lost)]
    events: list[LiveEvent] = []
    rows = found.rows if interest.board else [row for row in found.rows if row.mint == interest.mint]
    if rows or (found.is_cut and interest.board):
        is_cut = interest.board and (found.is_cut or len(rows) > MOST_ROWS)
        events.append(LiveEvent("tokens", {"tokens": rows[-MOST_ROWS:], "is_cut": is_cut}))
    if interest.system and found.status is not None:
        events.append(LiveEvent("system", found.status))
    news = [one for one in found.news if _is_new(one, told)]
    events += [
        LiveEvent("completeness", one) for one in news if isinstance(one, CompletenessChanged) and one.mint == interest.mint
    ]
    trades = {trade.id: trade for one in news for trade in _trade_of(one, interest)}
    if trades:
        events.append(LiveEvent("trades", {"trades": [_listed(trade) for trade in trades.values()]}))
    return events


def resync(reason: str) -> LiveEvent:
    """The client is to load everything anew."""
    return LiveEvent("resync", {"reason": reason})


def _later(one: Place, other: Place) -> Place:
    """The one that is further on, in trades and in changes; who was told out of the record may be before the ticks."""
    newest = one if one.trade_id > other.trade_id else other
    return msgspec.structs.replace(newest, change_id=max(one.change_id, other.change_id))


def _is_new(news: News, told: Place) -> bool:
    if isinstance(news, Told):
        return news.id > told.trade_id
    return isinstance(news, Lost) or news.change_id > told.change_id


def _trade_of(news: News, interest: Interest) -> Iterator[Told]:
    trade = news if isinstance(news, Told) else news.trade if isinstance(news, TradeChanged) else None
    if trade is not None and (trade.row.mint == interest.mint or trade.row.wallet == interest.wallet):
        yield trade


def _listed(told: Told) -> ListedTrade:
    return ListedTrade(*msgspec.structs.astuple(told.row), id=told.id, state=told.state)
