"""What is new in the record: for the thread that looks again and again, and for one client who was away."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec

from pumpwatch.dashboard.rows import token_rows
from pumpwatch.dashboard.ticks import MOST_ROWS, Covers, Found, Interest, Position
from pumpwatch.storage.chosen import Wanted
from pumpwatch.storage.following import Among, CompletenessChanged, Lost, News, Place, Tail, Told, TradeChanged, end
from pumpwatch.storage.queries import Reader

#: What one look goes through at most: news of trades, and rows of ``trades`` or ``changes`` by pages of 5,000.
_MOST_NEWS: Final = 2_000
_MOST_PAGES: Final = 8

#: Who was away for longer loads the board anew.
_LONGEST_AWAY_SECONDS: Final = 600

_OTHERWISE_SECONDS: Final = 1.0
_MOST_WATCHED: Final = 2_000

#: The writer's clock and the moment of its commit may be so far apart.
_MARGIN_SECONDS: Final = 10

_NEWEST: Final = "SELECT ifnull(max(id), 0) FROM tokens"
_CREATED: Final = "SELECT mint FROM tokens WHERE id > :after AND id <= :reached ORDER BY id DESC LIMIT :most"
#: The plus keeps to the ids: no index of the token.
_TRADED: Final = """
    SELECT tokens.mint FROM (
        SELECT +token_id AS token_id, max(id) AS newest FROM trades WHERE id > :after AND id <= :reached
        GROUP BY +token_id ORDER BY newest DESC LIMIT :most
    ) AS traded CROSS JOIN tokens ON tokens.id = traded.token_id ORDER BY traded.newest DESC
"""
_CHANGED: Final = _TRADED.replace("FROM trades", "FROM changes")
#: What of a token may change without a trade, of those that are watched, and of some more.
_OTHERWISE: Final = """
    WITH chosen AS (
        SELECT address AS mint FROM (SELECT address FROM spells WHERE kind = 'token' AND ended_at_us IS NULL LIMIT :most)
        UNION SELECT value FROM json_each(:mints)
    )
    SELECT tokens.mint, name, symbol, creator_id, completed_signature IS NULL, migrated_signature IS NULL, pool, (
        SELECT reason FROM spells WHERE kind = 'token' AND address = tokens.mint AND ended_at_us IS NULL LIMIT 1
    )
    FROM chosen CROSS JOIN tokens ON tokens.mint = chosen.mint
"""
_WATCHED_SINCE: Final = """
    SELECT address FROM spells WHERE kind = 'token' AND (ended_at_us IS NULL OR ended_at_us >= :since_us) LIMIT :most
"""

_TOO_MUCH: Final = "much has happened meanwhile"
_LOST: Final = {
    "changes": "changes of before are not kept any more",
    "replaced": "the record is another one now",
    "restored": "the record was put back to an earlier state",
    "pruned": "old trades were taken out of the record",
}


class Looks:
    """Finds what is new since the look before. For one thread."""

    def __init__(self) -> None:
        # Up to where everything was found, by looks that came to their end.
        self._place: Place | None = None
        self._newest_token = 0
        self._otherwise: dict[str, Any] = {}
        self._otherwise_at = -_OTHERWISE_SECONDS

    @property
    def has_begun(self) -> bool:
        """There is a place that the next look goes on from."""
        return self._place is not None

    def forget(self) -> None:
        """The next look is a first one."""
        self._place = None

    def open(self, reader: Reader, covers: Covers) -> None:
        """Go on in this opening of the file; for a first look, from where the record ends."""
        self._reader = reader
        if self._place is None:
            self._newest_token = newest_token(reader)
            self._place = end(reader)
            self._otherwise = _otherwise(reader, covers)
        self._tail = Tail(reader, Wanted(), self._place)

    def nothing(self, covers: Covers) -> Found:
        """What is found where nothing can be read."""
        assert self._place is not None
        return Found(self._place, self._newest_token, covers)

    def look(self, covers: Covers, clock: float) -> Found:
        """
        Find what *covers* names.

        Args:
            clock: Seconds that never go back.

        Raises:
            DatabaseError: The record cannot be read. Then :meth:`open` it again: nothing is left out.

        """
        assert self._place is not None
        reader, before = self._reader, self._place
        self._tail.among = Among(covers.mints, covers.wallets)
        news = _read(self._tail)
        lost = _loss(news)
        if lost is not None:
            self.forget()
            self.open(reader, covers)
            return Found(self._place, self._newest_token, covers, lost=lost)
        newest = newest_token(reader)
        otherwise = self._otherwise
        if clock - self._otherwise_at >= _OTHERWISE_SECONDS:
            otherwise = _otherwise(reader, covers)
        mints = list(_differing(self._otherwise, otherwise))
        if covers.board:
            mints += _created(reader, self._newest_token, newest)
            mints += _traded(reader, before, self._tail.place)
        found = _found(reader, self._tail.place, newest, covers, news, mints)
        if otherwise is not self._otherwise:
            self._otherwise, self._otherwise_at = otherwise, clock
        self._place, self._newest_token = found.place, found.newest_token
        return found


def newest_token(reader: Reader) -> int:
    """The last row of ``tokens``."""
    return int(reader.rows(_NEWEST)[0][0])


def caught_up(reader: Reader, position: Position, interest: Interest) -> Found:
    """
    What one client missed, who was told all up to *position*; *lost*, if that is too much.

    Raises:
        DatabaseError: The record cannot be read.

    """
    covers = Covers.of([interest])
    newest, now = newest_token(reader), end(reader)
    if interest.board and time.time() - position.at > _LONGEST_AWAY_SECONDS:
        return Found(now, newest, covers, lost=_TOO_MUCH)
    tail = Tail(reader, Wanted(), position.place, among=Among(covers.mints, covers.wallets))
    news = _read(tail)
    lost = _loss(news) or (None if tail.is_at_end else _TOO_MUCH)
    if lost is not None:
        return Found(now, newest, covers, lost=lost)
    mints = list(covers.mints)
    if covers.board:
        since_us = (position.at - _MARGIN_SECONDS) * 1_000_000
        mints += [mint for (mint,) in reader.rows(_WATCHED_SINCE, since_us=since_us, most=_MOST_WATCHED)]
        mints += _created(reader, position.newest_token, newest)
        mints += _traded(reader, position.place, tail.place)
    return _found(reader, tail.place, newest, covers, news, mints)


def _read(tail: Tail) -> list[News]:
    """All that is new, or a good part of it: the tail knows."""
    news = [one for one, _ in tail.read()]
    pages = 1
    while not tail.is_at_end and len(news) < _MOST_NEWS and pages < _MOST_PAGES and _loss(news) is None:
        news += [one for one, _ in tail.read()]
        pages += 1
    return news


def _loss(news: Iterable[News]) -> str | None:
    return next((_LOST[one.what] for one in news if isinstance(one, Lost)), None)


def _created(reader: Reader, after: int, reached: int) -> list[str]:
    """Mints of new tokens, the newest last."""
    if reached <= after:
        return []
    return [mint for (mint,) in reversed(reader.rows(_CREATED, after=after, reached=reached, most=MOST_ROWS + 1))]


def _traded(reader: Reader, before: Place, after: Place) -> list[str]:
    """Mints of the tokens of whose trades or completeness something is new, the newest last."""
    mints: list[str] = []
    for statement, first, last in (
        (_CHANGED, before.change_id, after.change_id),
        (_TRADED, before.trade_id, after.trade_id),
    ):
        if last > first:
            found = reader.rows(statement, after=first, reached=last, most=MOST_ROWS + 1)
            mints += [mint for (mint,) in reversed(found)]
    return mints


def _otherwise(reader: Reader, covers: Covers) -> dict[str, Any]:
    """Of each token that may change without a trade, by mint: what may."""
    mints = msgspec.json.encode(sorted(covers.mints)).decode()
    return {
        mint: tuple(state) for mint, *state in reader.rows(_OTHERWISE, mints=mints, most=_MOST_WATCHED if covers.board else 0)
    }


def _differing(before: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    """Mints of which something changed; one that is not watched is only there while somebody looks at it."""
    for mint in before.keys() | now.keys():
        states = before.get(mint), now.get(mint)
        if states[0] != states[1] and (None not in states or any(state and state[-1] for state in states)):
            yield mint


def _found(reader: Reader, place: Place, newest: int, covers: Covers, news: Sequence[News], mints: Iterable[str]) -> Found:
    """With the rows of *mints*, the last of them, and of the tokens that somebody looks at."""
    changed = list(dict.fromkeys([*filter(None, map(_mint_of, news)), *mints][::-1]))[::-1]  # each where it is last
    if not covers.board:
        changed = [mint for mint in changed if mint in covers.mints]
    shown = sorted(changed, key=covers.mints.__contains__)
    rows = token_rows(reader, shown[-MOST_ROWS:], time.time()) if shown else []
    return Found(place, newest, covers, news=news, rows=rows, is_cut=len(shown) > MOST_ROWS)


def _mint_of(news: News) -> str | None:
    if isinstance(news, Told):
        return news.row.mint
    if isinstance(news, TradeChanged):
        return news.trade.row.mint
    return news.mint if isinstance(news, CompletenessChanged) else None
