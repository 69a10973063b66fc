"""
The ids of all trades of a choice, in their order, some ten thousand at a time: for :mod:`pumpwatch.storage.streams`.

Only indexes are read for them, down one token after the other or down the chain's clock. A token's ids come at once, in one short
transaction: they are what makes sure that each of its trades is read once, whatever the writer does meanwhile.
"""

from __future__ import annotations

import bisect
import functools
from array import array
from collections.abc import Iterator, Sequence
from typing import Any, Final, Literal, TypeAlias

import msgspec

from pumpwatch.storage.chosen import Wanted
from pumpwatch.storage.queries import Reader
from pumpwatch.storage.schema import VENUES

Order: TypeAlias = Literal["chain", "time"]

#: Trades whose ids are read together, where a token has fewer.
_TOGETHER: Final = 50_000

#: Tokens that are looked at together.
_TOKENS_AT_ONCE: Final = 5_000

#: Where slots are looked up by their time, so far around it.
_SLACK_SECONDS: Final = 60

_FIRST: Final = -(2**63)
_LAST: Final = 2**63 - 1

_IN_CHAIN: Final = "trades.chain_key IS NULL, trades.chain_key, trades.id"
#: What the index alone says of the time of a trade, with the parameters of :attr:`Stretches._keys`.
_IN_SLOTS: Final = "AND (trades.chain_key IS NULL {})".format(
    " ".join(f"OR (trades.chain_key >= :low_{name} AND trades.chain_key < :high_{name})" for name in VENUES)
)
_IN_TIME: Final = "trades.block_time, trades.slot, trades.token_id, trades.chain_key, trades.id"

#: Tokens of which a trade can be of the wanted time: what is provisional has none.
_TOKENS: Final = f"""
    SELECT id, trades FROM tokens WHERE id > :after AND id <= :upto AND trades > 0 AND (
        (last_trade_at >= :since AND first_trade_at <= :until)
        OR last_trade_at IS NULL OR provisional_volume > 0 OR unknown_amounts > 0
    ) ORDER BY id LIMIT {_TOKENS_AT_ONCE}
"""
_POSITIONS: Final = f"""
    SELECT token_id, buys + sells + provisional_buys + provisional_sells FROM positions
    WHERE wallet_id = :wallet_id AND token_id > :after AND token_id <= :upto AND (
        (last_trade_at >= :since AND first_trade_at <= :until)
        OR last_trade_at IS NULL OR provisional_buys > 0 OR provisional_sells > 0
    ) ORDER BY token_id LIMIT {_TOKENS_AT_ONCE}
"""


class Stretches:
    """One choice, of the rows of ``trades`` that are there when this is made."""

    def __init__(self, reader: Reader, wanted: Wanted, order: Order) -> None:
        self._reader = reader
        self._wanted = wanted
        self._order = order
        [row] = reader.rows(
            "SELECT (SELECT ifnull(max(id), 0) FROM trades), ifnull((SELECT id FROM tokens WHERE mint = :mint), -1), "
            "ifnull((SELECT id FROM wallets WHERE address = :wallet), -1)",
            mint=wanted.mint,
            wallet=wanted.wallet,
        )
        self._last, self._token, self._wallet = map(int, row)

    def count(self) -> int:
        """About how many ids there are."""
        if self._wanted.wallet is None and self._wanted.mint is None and self._order == "time":
            [(count,)] = self._reader.rows(
                "SELECT (SELECT count(*) FROM trades INDEXED BY trades_time WHERE block_time BETWEEN :since AND :until) "
                "+ (SELECT count(*) FROM trades INDEXED BY trades_time WHERE block_time IS NULL)",
                **self._times(),
            )
            return int(count)
        return sum(trades for _, trades in self._tokens())

    def __iter__(self) -> Iterator[Sequence[int]]:
        """Ids, none of them twice."""
        if self._order == "chain" or self._wanted.mint is not None:  # within a token the chain's order is that of time
            return self._by_token()
        return self._by_time() if self._wanted.wallet is None else iter((self._of_wallet_by_time(),))

    def _by_token(self) -> Iterator[Sequence[int]]:
        together: list[int] = []
        count = 0
        for token_id, trades in self._tokens():
            if together and count + trades > _TOGETHER:
                yield self._of_tokens(together)
                together, count = [], 0
            if trades > _TOGETHER and self._wanted.wallet is None:
                yield self._of_large_token(token_id)
                continue
            together.append(token_id)
            count += trades
        if together:
            yield self._of_tokens(together)

    def _tokens(self) -> Iterator[tuple[int, int]]:
        """Tokens that may have such trades, as they first appeared, and how many trades each has (of the wallet, if one)."""
        statement = _TOKENS if self._wanted.wallet is None else _POSITIONS
        after, upto = (0, _LAST) if self._wanted.mint is None else (self._token - 1, self._token)
        while True:
            found = self._reader.rows(statement, **self._bounds(after=after, upto=upto), **self._times(_SLACK_SECONDS))
            yield from ((token_id, trades) for token_id, trades in found)
            if len(found) < _TOKENS_AT_ONCE:
                return
            after = found[-1][0]

    def _of_tokens(self, token_ids: Sequence[int]) -> Sequence[int]:
        index, whose = (
            ("trades_chain", _IN_SLOTS) if self._wanted.wallet is None else ("trades_pair", "AND wallet_id = :wallet_id")
        )
        return self._reader.numbers(
            f"SELECT trades.id FROM json_each(:tokens) AS few CROSS JOIN trades INDEXED BY {index} "
            f"ON trades.token_id = few.value {whose} WHERE trades.id <= :last ORDER BY few.key, {_IN_CHAIN}",
            tokens=msgspec.json.encode(token_ids).decode(),
            **self._keys,
            **self._bounds(),
        )

    def _of_large_token(self, token_id: int) -> Sequence[int]:
        """In the index's order, without a sort; what has no place comes last, from the same transaction."""
        where = "FROM trades INDEXED BY trades_chain WHERE token_id = :of_token AND id <= :last"
        parts = [
            f"SELECT id {where} AND chain_key >= :low_{name} AND chain_key < :high_{name} ORDER BY chain_key" for name in VENUES
        ]
        parts.append(f"SELECT id {where} AND chain_key IS NULL ORDER BY id")
        # A subquery with a limit is never flattened, so it keeps its order.
        union = " UNION ALL ".join(f"SELECT id FROM ({part} LIMIT -1)" for part in parts)
        return self._reader.numbers(union, of_token=token_id, **self._keys, **self._bounds())

    @functools.cached_property
    def _keys(self) -> dict[str, bytes]:
        """The first chain_key, and one beyond the last, of the slots in which trades of the wanted time can be."""
        first = self._slot("block_time < :at ORDER BY block_time DESC", self._wanted.since, -_SLACK_SECONDS)
        last = self._slot("block_time > :at ORDER BY block_time", self._wanted.until, _SLACK_SECONDS)
        keys = {}
        for name, number in VENUES.items():
            keys[f"low_{name}"] = bytes((number,)) + (first or 0).to_bytes(8, "big")
            keys[f"high_{name}"] = bytes((number + 1,)) if last is None else bytes((number,)) + (last + 1).to_bytes(8, "big")
        return keys

    def _slot(self, place: str, at: int | None, slack: int) -> int | None:
        if at is None:
            return None
        slots = self._reader.rows(f"SELECT slot FROM trades INDEXED BY trades_time WHERE {place} LIMIT 1", at=at + slack)
        return int(slots[0][0]) if slots else None

    def _by_time(self) -> Iterator[Sequence[int]]:
        # What is provisional now may be confirmed, and so get a time behind us, before we are through: it comes last in any case.
        unplaced = self._reader.numbers(
            "SELECT id FROM trades INDEXED BY trades_time WHERE block_time IS NULL AND id <= :last ORDER BY id", **self._bounds()
        )
        start, end = self._times().values()
        while start <= end:
            beyond = self._beyond(start, end)
            found = self._reader.numbers(
                "SELECT id FROM trades INDEXED BY trades_time WHERE block_time >= :start AND block_time < :beyond "
                f"AND id <= :last ORDER BY {_IN_TIME}",
                start=start,
                beyond=beyond,
                **self._bounds(),
            )
            yield _without(found, unplaced)
            if beyond == _LAST:
                break
            start = beyond
        yield unplaced

    def _beyond(self, start: int, end: int) -> int:
        """Where the next stretch begins: the first second that is not of this one."""
        rows = self._reader.rows(
            "SELECT block_time FROM trades INDEXED BY trades_time WHERE block_time >= :start AND block_time <= :until "
            f"ORDER BY block_time LIMIT 1 OFFSET {_TOGETHER}",
            start=start,
            until=end,
        )
        if not rows:
            return min(end, _LAST - 1) + 1
        return max(int(rows[0][0]), start + 1)

    def _of_wallet_by_time(self) -> Sequence[int]:
        return self._reader.numbers(
            "SELECT trades.id FROM positions CROSS JOIN trades INDEXED BY trades_pair "
            "ON trades.token_id = positions.token_id AND trades.wallet_id = positions.wallet_id "
            f"WHERE positions.wallet_id = :wallet_id AND trades.id <= :last ORDER BY trades.block_time IS NULL, {_IN_TIME}",
            **self._bounds(),
        )

    def _bounds(self, **others: int) -> dict[str, Any]:
        return {"last": self._last, "token_id": self._token, "wallet_id": self._wallet, **others}

    def _times(self, slack: int = 0) -> dict[str, int]:
        since, until = self._wanted.since, self._wanted.until
        return {"since": _FIRST if since is None else since - slack, "until": _LAST if until is None else until + slack}


def _without(ids: Sequence[int], others: Sequence[int]) -> Sequence[int]:
    """*ids* less *others*, which are in order."""
    if not others:
        return ids

    def is_other(number: int) -> bool:
        place = bisect.bisect_left(others, number)
        return place < len(others) and others[place] == number

    return array("q", (number for number in ids if not is_other(number)))
