"""
The trades of the record, chosen and in order, with work that is bounded whatever is asked for.

Each choice goes down one index: a token's trades in the chain's order, a wallet's token by token, all by the chain's clock. What
no index knows (side, size) is tested on at most :data:`MOST_ROWS` rows; then the answer says how far that was.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from pumpwatch.storage.backwards import is_busy, times_back
from pumpwatch.storage.chosen import ARRIVED_AT, AT, QUOTES, ListedTrade, Wanted, rows
from pumpwatch.storage.queries import Reader
from pumpwatch.storage.schema import VENUES

#: Rows that are looked at for one answer, when no index knows what is asked for.
MOST_ROWS: Final = 100_000

#: A wallet's trades are read at once, and sorted, up to so many.
_FEW_TRADES: Final = 20_000

#: So many tokens of a wallet are looked at first, then ever more.
_FIRST_POSITIONS: Final = 100

#: Where slots are looked up by their time, so far around it.
_SLACK_SECONDS: Final = 60

#: Behind every time and slot.
_LATEST: Final = 2**62

#: That something was not looked at, not from when on.
_SOMEWHERE: Final = -1

_OF_WALLET: Final = "trades.wallet_id = :wallet_id"
_ARRIVED: Final = "id >= :first AND id <= :last"


class Listing(msgspec.Struct, frozen=True):
    """
    Trades in the order that was asked for.

    Attributes:
        is_cut: The work was bounded: beyond *looked_to* there may be more that fit.
        looked_to: Unix seconds: up to there everything was looked at. None: not cut, or not to be told.
    """

    trades: list[ListedTrade]
    is_cut: bool = False
    looked_to: int | None = None


class _Found(NamedTuple):
    """A row, and where it stands among others: by time, by slot, within it."""

    at: int
    slot: int
    chain_key: bytes
    id: int


class _Position(NamedTuple):
    """How often the wallet traded a token, and when last (or first)."""

    token_id: int
    trades: int
    at: int


class _Stretch(NamedTuple):
    """A run of rows down one index."""

    of_index: str
    where: str
    order: str
    bounds: dict[str, Any]


class _Look(NamedTuple):
    """What was found on a stretch, and the time of the first row that was not looked at."""

    found: list[_Found]
    cut_at: int | None = None


def trades(reader: Reader, wanted: Wanted, *, limit: int, oldest_first: bool = False) -> Listing:
    """
    At most *limit* trades, the newest first.

    Those of one token are in the chain's order, and without a place in it (provisional) the newest; others by the chain's clock.
    """
    search = _Search(reader, wanted, limit, oldest_first=oldest_first)
    if wanted.mint is not None:
        found, cuts = search.of_token()
    else:
        found, cuts = search.of_all() if wanted.wallet is None else search.of_wallet()
    looked_to = cuts[0] if cuts and cuts[0] != _SOMEWHERE else None
    return Listing(rows(reader, [one.id for one in found[:limit]]), bool(cuts), looked_to)


def addresses_beginning_with(reader: Reader, start: str, *, limit: int) -> list[str]:
    """At most *limit* wallets of the record that begin with *start*."""
    found = reader.rows(
        "SELECT address FROM wallets WHERE address >= :start AND address < :beyond ORDER BY address LIMIT :limit",
        start=start,
        beyond=f"{start}\x7f",
        limit=limit,
    )
    return [address for (address,) in found]


def _affordable(positions: Sequence[_Position], trades: int) -> Sequence[_Position]:
    """The first of them, until they have so many trades together; one at least."""
    before = itertools.accumulate((position.trades for position in positions), initial=0)
    return [position for position, count in zip(positions, before, strict=False) if count < trades]


#: Rows in their order, and the time of the first that was not looked at, if there is one.
_Answer: TypeAlias = tuple[list[_Found], list[int]]


class _Search:
    """One question."""

    def __init__(self, reader: Reader, wanted: Wanted, limit: int, *, oldest_first: bool) -> None:
        self._reader = reader
        self._wanted = wanted
        self._limit = limit
        self._oldest_first = oldest_first
        self._way = "" if oldest_first else "DESC"
        self._ids = self._identified()

    def _identified(self) -> dict[str, Any]:
        """The ids behind the addresses; -1, which no row has, where there is none."""
        [row] = self._reader.rows(
            "SELECT ifnull((SELECT id FROM tokens WHERE mint = :mint), -1), "
            "ifnull((SELECT id FROM wallets WHERE address = :wallet), -1)",
            mint=self._wanted.mint,
            wallet=self._wanted.wallet,
        )
        return {"token_id": row[0], "wallet_id": row[1]}

    def of_token(self) -> _Answer:
        if self._wanted.wallet is None:
            return self._down_token(self._ids["token_id"], "1")
        if self._count(self._ids["token_id"]) > _FEW_TRADES:
            return self._down_token(self._ids["token_id"], _OF_WALLET)
        look = self._of_pairs([self._ids["token_id"]], "1")
        return sorted(look.found, key=lambda one: (one.chain_key, one.id), reverse=not self._oldest_first), []

    def _down_token(self, token_id: int, condition: str) -> _Answer:
        """A token's trades in the chain's order, one range of keys after the other."""
        found: list[_Found] = []
        stretches = list(self._stretches(token_id))
        for stretch in stretches if self._oldest_first else reversed(stretches):
            look = self._look(stretch, condition, self._limit - len(found))
            found += look.found
            if len(found) >= self._limit:
                break
            if look.cut_at is not None:
                return found, [look.cut_at]
        return found, []

    def _stretches(self, token_id: int) -> Iterator[_Stretch]:
        """Ranges of chain keys, the oldest first; behind them what has no key."""
        where, bounds = "token_id = :of_token", {"of_token": token_id}
        first, last = self._slots()
        for venue in ("curve", "pool"):
            if self._wanted.venue in (None, venue):
                prefix = bytes((VENUES[venue],))
                low, high = prefix + first.to_bytes(8, "big"), prefix + last.to_bytes(8, "big")
                keys = {"low": low, "high": high}
                yield _Stretch("trades_chain", f"{where} AND chain_key >= :low AND chain_key < :high", "chain_key", bounds | keys)
        yield _Stretch("trades_chain", f"{where} AND chain_key IS NULL AND {_ARRIVED}", "id", bounds | self._arrived())

    def _slots(self) -> tuple[int, int]:
        """The slots in which trades of the wanted time can be: the first, and one beyond the last."""
        since, until = self._wanted.since, self._wanted.until
        before = after = None
        if since is not None:
            before = self._slot("block_time < :at ORDER BY block_time DESC", since - _SLACK_SECONDS)
        if until is not None:
            after = self._slot("block_time > :at ORDER BY block_time", until + _SLACK_SECONDS)
        return before or 0, 2**64 - 1 if after is None else after + 1

    def _slot(self, place: str, at: int) -> int | None:
        slots = self._reader.rows(f"SELECT slot FROM trades INDEXED BY trades_time WHERE {place} LIMIT 1", at=at)
        return slots[0][0] if slots else None

    def of_all(self) -> _Answer:
        """By the chain's clock; what has no time there, by ours."""
        looks = self._by_time("1", self._limit)
        found = self._sorted([one for look in looks for one in look.found])
        return self._cut(found, [look.cut_at for look in looks if look.cut_at is not None])

    def _by_time(self, condition: str, limit: int) -> tuple[_Look, _Look]:
        """At most *limit* fitting rows that have a time of the chain, and of those that have none."""
        placed = "block_time IS NOT NULL"
        placed += "" if self._wanted.since is None else " AND block_time >= :since"
        placed += "" if self._wanted.until is None else " AND block_time <= :until"
        unplaced = f"block_time IS NULL AND {_ARRIVED}"
        times = {"since": self._wanted.since, "until": self._wanted.until}
        return (
            self._look(_Stretch("trades_time", placed, "block_time", times), condition, limit),
            self._look(_Stretch("trades_time", unplaced, "id", self._arrived()), condition, limit),
        )

    def _arrived(self) -> dict[str, int]:
        """The ids of the rows that can have arrived in the wanted time: ids are given as trades arrive."""
        since, until = self._wanted.since, self._wanted.until
        first = 0 if since is None else self._id_at(since - _SLACK_SECONDS)
        return {"first": first, "last": 2**63 - 1 if until is None else self._id_at(until + _SLACK_SECONDS)}

    def _id_at(self, at: int) -> int:
        """The first row that arrived then or later, by bisection; beyond the last if none did."""
        [(low, high)] = self._reader.rows(
            "SELECT ifnull((SELECT min(id) FROM trades), 0), ifnull((SELECT max(id) FROM trades), 0) + 1"
        )
        while low < high:
            middle = (low + high) // 2
            row = self._reader.rows(f"SELECT id, {ARRIVED_AT} FROM trades WHERE id >= :middle ORDER BY id LIMIT 1", middle=middle)
            if row and row[0][1] < at:
                low = row[0][0] + 1
            else:
                high = middle
        return int(low)

    def of_wallet(self) -> _Answer:
        """The newest n trades of a wallet lie in the n tokens that it traded last; what is provisional has no time there."""
        newest = self._newest_of_wallet()
        if newest is not None:
            return newest, []
        found, missed = ([], []) if self._wanted.confirmed_only else self._provisional()
        cuts: list[int] = []
        looked, offset, count = 0, 0, max(self._limit, _FIRST_POSITIONS)
        while not cuts:
            positions = self._positions(offset, count)
            affordable = _affordable(positions, MOST_ROWS - looked)
            for look in self._of_positions(affordable, "trades.block_time IS NOT NULL"):
                found += look.found
                cuts += [look.cut_at] if look.cut_at is not None else []
            cuts += [position.at for position in positions[len(affordable) :][:1]]
            found = self._sorted(found)
            if len(positions) < count or (
                len(found) >= self._limit and self._is_beyond(positions[-1].at, found[self._limit - 1])
            ):
                break
            looked += sum(position.trades for position in positions)
            offset, count = offset + count, count * 16
        known, cuts = self._cut(found, cuts)
        return known, cuts or missed

    def _newest_of_wallet(self) -> list[_Found] | None:
        """Its newest trades, all that are wanted, if it is busy enough to have them among the newest of all; else None."""
        assert self._wanted.wallet is not None
        if self._oldest_first or not is_busy(self._reader, self._wanted.wallet):
            return None
        for at in times_back(self._reader, self._wanted.until):
            since = max(at + 1, self._wanted.since or 0)  # of the second itself, not all were among them
            lately = _Search(self._reader, msgspec.structs.replace(self._wanted, since=since), self._limit, oldest_first=False)
            looks = lately._by_time(_OF_WALLET, MOST_ROWS)
            if any(look.cut_at is not None for look in looks):
                return None
            found = self._sorted([one for look in looks for one in look.found])
            if len(found) >= self._limit:
                return found
        return None

    def _provisional(self) -> _Answer:
        tokens = self._reader.rows(
            "SELECT token_id, provisional_buys + provisional_sells FROM positions WHERE wallet_id = :wallet_id "
            f"AND provisional_buys + provisional_sells > 0 ORDER BY token_id DESC LIMIT {_FEW_TRADES + 1}",
            **self._ids,
        )
        positions = [_Position(token_id, trades, _LATEST) for token_id, trades in tokens]
        affordable = _affordable(positions, _FEW_TRADES)
        looks = self._of_positions(affordable, "trades.block_time IS NULL")
        return [one for look in looks for one in look.found], [] if len(affordable) == len(tokens) else [_SOMEWHERE]

    def _positions(self, offset: int, count: int) -> list[_Position]:
        """Tokens of the wallet, the one with the nearest trade first."""
        at = "first_trade_at" if self._oldest_first else "last_trade_at"
        since = "" if self._wanted.since is None else "AND last_trade_at >= :since"
        until = "" if self._wanted.until is None else "AND first_trade_at <= :until"
        found = self._reader.rows(
            f"SELECT token_id, buys + sells, {at} FROM positions "
            f"WHERE wallet_id = :wallet_id AND {at} IS NOT NULL {since} {until} "
            f"ORDER BY {at} {self._way}, token_id {self._way} LIMIT :count OFFSET :offset",
            **self._ids,
            since=self._wanted.since,
            until=self._wanted.until,
            count=count,
            offset=offset,
        )
        return [_Position(*row) for row in found]

    def _of_positions(self, positions: Iterable[_Position], condition: str = "1") -> Iterator[_Look]:
        """The wallet's trades of these tokens: many tokens at once where they are few, else down the token."""
        few: list[int] = []
        trades = 0
        for position in positions:
            if position.trades > _FEW_TRADES:
                found, cuts = self._down_token(position.token_id, f"{_OF_WALLET} AND {condition}")
                yield _Look(found, cuts[0] if cuts else None)
                continue
            if trades + position.trades > _FEW_TRADES:
                yield self._of_pairs(few, condition)
                few, trades = [], 0
            few.append(position.token_id)
            trades += position.trades
        yield self._of_pairs(few, condition)

    def _of_pairs(self, token_ids: list[int], condition: str) -> _Look:
        """All of the wallet's trades of these tokens, in no order."""
        pairs = (
            f"json_each(:tokens) AS few CROSS JOIN trades INDEXED BY trades_pair ON trades.token_id = few.value AND {_OF_WALLET}"
        )
        return _Look(self._found(f"{pairs} {QUOTES}", condition, tokens=msgspec.json.encode(token_ids).decode()))

    def _count(self, token_id: int) -> int:
        """How many trades the wallet has of one token."""
        counted = self._reader.rows(
            "SELECT buys + sells + provisional_buys + provisional_sells FROM positions "
            "WHERE token_id = :token_id AND wallet_id = :wallet_id",
            **{**self._ids, "token_id": token_id},
        )
        return int(counted[0][0]) if counted else 0

    def _look(self, stretch: _Stretch, condition: str, limit: int) -> _Look:
        """At most *limit* fitting rows of the stretch, in its order."""
        order = f"{stretch.order} {self._way}, id {self._way}"
        run = f"FROM trades INDEXED BY {stretch.of_index} WHERE {stretch.where} ORDER BY {order}"
        # A subquery with a limit is never flattened: its rows come in its order, and no more of them than it takes.
        found = self._found(
            f"(SELECT * {run} LIMIT :most_rows) AS trades {QUOTES}",
            condition,
            limit=limit,
            most_rows=MOST_ROWS,
            **stretch.bounds,
        )
        if len(found) >= limit:
            return _Look(found)
        beyond = self._reader.rows(f"SELECT {AT} {run} LIMIT 1 OFFSET :most_rows", most_rows=MOST_ROWS, **stretch.bounds)
        return _Look(found, beyond[0][0] if beyond else None)

    def _found(self, source: str, condition: str = "1", *, limit: int = -1, **parameters: Any) -> list[_Found]:
        chosen = " AND ".join((condition, self._wanted.states, self._wanted.lasting, self._wanted.passing))
        found = self._reader.rows(
            f"SELECT {AT}, ifnull(trades.slot, {_LATEST}), ifnull(trades.chain_key, x'ff'), trades.id FROM {source} "
            f"WHERE {chosen} LIMIT :limit",
            **{**self._wanted.parameters, **self._ids, **parameters, "limit": limit},
        )
        return [_Found(*row) for row in found]

    def _sorted(self, found: list[_Found]) -> list[_Found]:
        return sorted(found, reverse=not self._oldest_first)

    def _is_beyond(self, at: int, last: _Found) -> bool:
        """Whether what begins at *at* comes behind *last*."""
        return at > last.at if self._oldest_first else at < last.at

    def _cut(self, found: list[_Found], cuts: list[int]) -> _Answer:
        """What is certainly the next of all, where some of what was looked through was cut."""
        if not cuts:
            return found, []
        cut = min(cuts) if self._oldest_first else max(cuts)
        known = [one for one in found if one.at == cut or self._is_beyond(cut, one)]
        return known, [] if len(known) >= self._limit else [cut]
