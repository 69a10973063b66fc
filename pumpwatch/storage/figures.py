"""
The figures of tokens and wallets, kept in the transaction of the trades that they are made of.

A trade that follows all others is added to what is there; one that belongs further back, or whose place in the chain has changed,
has its minute and its wallet's position folded anew from the trades. Either way the tables hold what a fold over all trades gives
(``figures.py``), whatever the order of arrival: ``db check`` compares.
"""

from __future__ import annotations

import itertools
import operator
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Final, TypeAlias

import msgspec
import sqlalchemy as sa

from pumpwatch.figures import MINUTE_SECONDS, Minute, Position, Traded, slot_of
from pumpwatch.storage.baseline import POSITION, asking, baseline_of, positions_of
from pumpwatch.storage.chains import Chains, slot_keys
from pumpwatch.storage.identity import Row
from pumpwatch.storage.schema import CONFIRMED, FINALIZED, PROVISIONAL

_POSITION: Final = Position.__struct_fields__
_MINUTE: Final = Minute.__struct_fields__
_TRADED: Final = Traded._fields

_FIELDS: Final = {name: number for number, name in enumerate(Row.__struct_fields__)}
_STATE, _WALLET, _IS_BUY, _TOKENS, _KEY = (
    _FIELDS[name] for name in ("state", "wallet_id", "is_buy", "token_amount", "chain_key")
)
_QUOTE, _TRADER_QUOTE, _TIME = (_FIELDS[name] for name in ("quote_amount", "trader_quote_amount", "block_time"))
_VIRTUAL_TOKEN, _VIRTUAL_QUOTE = _FIELDS["virtual_token_reserves"], _FIELDS["virtual_quote_reserves"]

_OF_CHAIN: Final = f"state IN ({CONFIRMED}, {FINALIZED})"
_STORED_POSITIONS: Final = f"""
    SELECT token_id, wallet_id, {", ".join(_POSITION)} FROM json_each(?) AS wanted
    CROSS JOIN positions
        ON token_id = json_extract(wanted.value, '$[0]') AND wallet_id = json_extract(wanted.value, '$[1]')
"""
_STORED_MINUTES: Final = f"""
    SELECT token_id, minute, {", ".join(_MINUTE)} FROM json_each(?) AS wanted
    CROSS JOIN minutes ON token_id = json_extract(wanted.value, '$[0]') AND minute = json_extract(wanted.value, '$[1]')
"""
_SET_POSITION: Final = "INSERT OR REPLACE INTO positions (token_id, wallet_id, {}) VALUES ({})".format(
    ", ".join(_POSITION), ", ".join("?" * (len(_POSITION) + 2))
)
_SET_MINUTE: Final = "INSERT OR REPLACE INTO minutes (token_id, minute, {}) VALUES ({})".format(
    ", ".join(_MINUTE), ", ".join("?" * (len(_MINUTE) + 2))
)
_DELETE_POSITION: Final = "DELETE FROM positions WHERE token_id = ? AND wallet_id = ?"
_TRADES: Final = f"SELECT {', '.join(_TRADED)} FROM trades"
_OF_WALLET: Final = (
    f"{_TRADES} WHERE wallet_id = ? AND token_id = ? AND {_OF_CHAIN} AND chain_key IS NOT NULL ORDER BY chain_key, id"
)
_OF_TOKEN: Final = f"{_TRADES} WHERE token_id = ? AND {_OF_CHAIN} AND chain_key IS NOT NULL ORDER BY chain_key, id"
_BETWEEN: Final = f"{_TRADES} WHERE token_id = ? AND chain_key >= ? AND chain_key < ? AND {_OF_CHAIN} ORDER BY chain_key, id"
_PROVISIONAL: Final = f"SELECT wallet_id, is_buy, token_amount FROM trades WHERE token_id = ? AND state = {PROVISIONAL}"

_SET_EXTREMES: Final = """
    UPDATE tokens SET
        wallets = wallets + ?1,
        price_high = max(ifnull(price_high, ?2), ifnull(?2, price_high)),
        price_low = min(ifnull(price_low, ?3), ifnull(?3, price_low)),
        first_trade_at = min(ifnull(first_trade_at, ?4), ifnull(?4, first_trade_at))
    WHERE id = ?5
"""
_ADD_WALLETS: Final = "UPDATE tokens SET wallets = wallets + ? WHERE id = ?"
#: Parameters: token, and the key of a trade that may be its last; null: look whatever is there.
_SET_LAST: Final = """
    UPDATE tokens SET (last_key, last_venue, last_trade_at, last_virtual_token_reserves, last_virtual_quote_reserves,
        last_real_token_reserves) = (
        SELECT chain_key, venue, block_time, virtual_token_reserves, virtual_quote_reserves, real_token_reserves FROM trades
        WHERE token_id = tokens.id AND chain_key IS NOT NULL AND state IN (1, 2) ORDER BY chain_key DESC, id DESC LIMIT 1
    )
    WHERE id = ?1 AND (?2 IS NULL OR last_key IS NULL OR last_key <= ?2)
"""
#: Where none of its trades is left.
_SET_LAST_OF_BASELINE: Final = """
    UPDATE tokens SET (last_key, last_venue, last_trade_at, last_virtual_token_reserves, last_virtual_quote_reserves,
        last_real_token_reserves) = (
        SELECT last_key, last_venue, last_trade_at, last_virtual_token_reserves, last_virtual_quote_reserves,
            last_real_token_reserves FROM baselines WHERE token_id = tokens.id
    )
    WHERE id = ? AND last_key IS NULL
"""
_CLEAR: Final = """
    UPDATE tokens SET wallets = 0, price_high = NULL, price_low = NULL, first_trade_at = NULL, last_key = NULL, last_venue = NULL,
        last_trade_at = NULL, last_virtual_token_reserves = NULL, last_virtual_quote_reserves = NULL,
        last_real_token_reserves = NULL
    WHERE id = ?
"""

_of_key = operator.attrgetter("chain_key")

#: A chain_key begins with the venue and the slot.
_SLOT_ENDS: Final = 9

_Pair: TypeAlias = tuple[int, int]
_Values: TypeAlias = Sequence[Any]


class Figures:
    """For one transaction: :meth:`add` and :meth:`take` as rows come and go, then :meth:`flush` once, when all keys are set."""

    def __init__(self, connection: sa.Connection, chains: Chains) -> None:
        self._connection = connection
        self._chains = chains
        self._traded: dict[int, list[Traded]] = {}
        #: What provisional rows add to each pair, or take from it: is_buy, token_amount, and 1 or -1.
        self._provisional: dict[_Pair, list[tuple[int, int, int]]] = {}

    def add(self, token_id: int, row: _Values) -> None:
        """A row is in the record now: new, or no longer provisional."""
        state = row[_STATE]
        if state == PROVISIONAL:
            self._provisional.setdefault((token_id, row[_WALLET]), []).append((row[_IS_BUY], row[_TOKENS], 1))
        elif state in (CONFIRMED, FINALIZED) and row[_KEY] is not None:
            self._traded.setdefault(token_id, []).append(
                Traded(
                    row[_KEY],
                    row[_WALLET],
                    row[_IS_BUY],
                    row[_TOKENS],
                    row[_QUOTE],
                    row[_TRADER_QUOTE],
                    row[_VIRTUAL_TOKEN],
                    row[_VIRTUAL_QUOTE],
                    row[_TIME],
                )
            )

    def take(self, token_id: int, row: _Values) -> None:
        """A provisional row is in the record no more, or not as such; of others nothing is taken: see *to_rebuild*."""
        if row[_STATE] == PROVISIONAL:
            self._provisional.setdefault((token_id, row[_WALLET]), []).append((row[_IS_BUY], row[_TOKENS], -1))

    def flush(self, to_rebuild: Iterable[int]) -> None:
        """
        Write what has changed. The chains of the tokens are loaded, and all trades stored with their final keys.

        Args:
            to_rebuild: Tokens of which a trade changed its place or left.

        """
        rebuilt = set(to_rebuild) | self._chains.take_reordered()
        for token_id in rebuilt:
            self._traded.pop(token_id, None)
            rebuild(self._connection, token_id)
        self._provisional = {pair: changes for pair, changes in self._provisional.items() if pair[0] not in rebuilt}
        if not self._traded and not self._provisional:
            return
        moved = {token_id: self._order_again(token_id) for token_id in self._traded if self._chains.is_mayhem(token_id)}
        new_wallets = self._write_positions(moved)
        self._write_minutes(moved)
        self._write_tokens(moved, new_wallets)

    def _order_again(self, token_id: int) -> list[Traded]:
        """
        Give the new trades of a mayhem token the keys that linking has given them, and return all trades of their slots.

        A new trade there may move the others of its slot.
        """
        trades = self._traded[token_id]
        slots = {trade.slot for trade in trades if trade.chain_key[0] == 0}
        stored = [trade for slot in sorted(slots) for trade in self._between(token_id, 0, slot, slot)]
        news: dict[Traded, int] = defaultdict(int)
        for trade in trades:
            news[_in_slot(trade)] += 1
        moved = []
        for trade in stored:
            if news[_in_slot(trade)]:
                news[_in_slot(trade)] -= 1
                moved.append(trade)
        self._traded[token_id] = moved + [trade for trade in trades if trade.chain_key[0] != 0]
        return stored

    def _between(self, token_id: int, venue: int, first_slot: int, last_slot: int) -> list[Traded]:
        keys = (slot_keys(venue, first_slot)[0], slot_keys(venue, last_slot)[1])
        return [Traded(*row) for row in self._connection.exec_driver_sql(_BETWEEN, (token_id, *keys))]

    # Positions

    def _write_positions(self, moved: dict[int, list[Traded]]) -> dict[int, int]:
        """Return by how many wallets each token has more than before."""
        new: dict[_Pair, list[Traded]] = {}
        for token_id, trades in self._traded.items():
            for trade in trades:
                new.setdefault((token_id, trade.wallet_id), []).append(trade)
        neighbours: dict[_Pair, list[Traded]] = {}
        for token_id, trades in moved.items():
            for trade in trades:
                neighbours.setdefault((token_id, trade.wallet_id), []).append(trade)
        wanted = new.keys() | self._provisional.keys() | neighbours.keys()
        known = self._stored(_STORED_POSITIONS, wanted, Position)
        changes: dict[int, int] = {}
        written, deleted = [], []
        for pair in wanted:
            position = known.get(pair)
            is_new = position is None
            position = self._brought_up(pair, position or Position(), new.get(pair, []), neighbours.get(pair, []))
            for is_buy, tokens, sign in self._provisional.get(pair, ()):
                position.add_provisional(is_buy=is_buy, token_amount=tokens, sign=sign)
            if position.is_empty:
                deleted.append(pair)
            else:
                written.append((*pair, *msgspec.structs.astuple(position)))
            change = (not position.is_empty) - (not is_new)
            if change:
                changes[pair[0]] = changes.get(pair[0], 0) + change
        self._execute(_SET_POSITION, written)
        self._execute(_DELETE_POSITION, deleted)
        return changes

    def _brought_up(self, pair: _Pair, position: Position, new: list[Traded], of_slots: list[Traded]) -> Position:
        """The position with its new trades: added where they follow, else folded anew. *of_slots*: all that may have moved."""
        last_key = position.last_key
        new.sort(key=_of_key)
        if not new and len(of_slots) == 1:  # alone among others' trades, it has only a new key
            if last_key is not None and last_key[:_SLOT_ENDS] == of_slots[0].chain_key[:_SLOT_ENDS]:
                position.last_key = of_slots[0].chain_key
            return position
        is_behind = (last_key is None or (bool(new) and last_key < new[0].chain_key)) and not _has_ties(new)
        if is_behind and len(of_slots) <= sum(trade.chain_key[0] == 0 for trade in new):
            for trade in new:
                position.add(trade)
            return position
        return self._folded(pair, position) if new or of_slots else position

    def _folded(self, pair: _Pair, position: Position) -> Position:
        token_id, wallet_id = pair
        folded = Position(
            provisional_buys=position.provisional_buys,
            provisional_sells=position.provisional_sells,
            provisional_bought=position.provisional_bought,
            provisional_sold=position.provisional_sold,
        )
        begun = positions_of(asking(self._connection), token_id, [wallet_id]).get(wallet_id)
        if begun is not None:
            for name in POSITION:
                setattr(folded, name, getattr(begun, name))
        for row in self._connection.exec_driver_sql(_OF_WALLET, (wallet_id, token_id)):
            folded.add(Traded(*row))
        return folded

    # Minutes

    def _write_minutes(self, moved: dict[int, list[Traded]]) -> None:
        new: dict[_Pair, list[Traded]] = {}
        for token_id, trades in self._traded.items():
            for trade in trades:
                if trade.block_time is not None:
                    new.setdefault((token_id, trade.block_time // MINUTE_SECONDS), []).append(trade)
        known = self._stored(_STORED_MINUTES, new, Minute)
        written = []
        for pair, trades in new.items():
            trades.sort(key=_of_key)
            minute = known.get(pair)
            is_behind = minute is None or minute.last_key < trades[0].chain_key
            if (minute is not None and pair[0] in moved) or not is_behind or _has_ties(trades):
                minute = self._minute_of(pair, minute, trades)
            elif minute is None:
                minute = Minute.of(trades)
            else:
                for trade in trades:
                    minute.add(trade)
            assert minute is not None
            written.append((*pair, *msgspec.structs.astuple(minute)))
        self._execute(_SET_MINUTE, written)

    def _minute_of(self, pair: _Pair, known: Minute | None, new: list[Traded]) -> Minute | None:
        """Fold a minute anew: its slots are those that were known of it, and those of its new trades."""
        token_id, minute = pair
        slots = [trade.slot for trade in new] + ([] if known is None else [known.first_slot, slot_of(known.last_key)])
        first, last = min(slots), max(slots)
        trades = [*self._between(token_id, 0, first, last), *self._between(token_id, 1, first, last)]
        return Minute.of(t for t in trades if t.block_time is not None and t.block_time // MINUTE_SECONDS == minute)

    # Tokens

    def _write_tokens(self, moved: dict[int, list[Traded]], new_wallets: dict[int, int]) -> None:
        extremes, lasts = [], []
        for token_id, trades in self._traded.items():
            prices = [price for trade in trades if (price := trade.price) is not None]
            times = [trade.block_time for trade in trades if trade.block_time is not None]
            high, low = (max(prices), min(prices)) if prices else (None, None)
            first = min(times, default=None)
            extremes.append((new_wallets.pop(token_id, 0), high, low, first, token_id))
            lasts.append((token_id, None if token_id in moved else max(trade.chain_key for trade in trades)))
        self._execute(_SET_EXTREMES, extremes)
        self._execute(_SET_LAST, lasts)
        self._execute(_ADD_WALLETS, [(change, token_id) for token_id, change in new_wallets.items()])

    # What all need

    def _stored(self, query: str, pairs: Iterable[_Pair], kind: type[Any]) -> dict[_Pair, Any]:
        wanted = msgspec.json.encode(list(pairs)).decode()
        rows = self._connection.exec_driver_sql(query, (wanted,))
        return {(token_id, other): kind(*values) for token_id, other, *values in rows}

    def _execute(self, statement: str, parameters: list[tuple[Any, ...]]) -> None:
        if parameters:
            self._connection.exec_driver_sql(statement, parameters)


def _has_ties(ordered: Sequence[Traded]) -> bool:
    """Whether two of them have the same place: the ids of their rows decide, which nobody knows here."""
    return any(one.chain_key == other.chain_key for one, other in itertools.pairwise(ordered))


def _in_slot(trade: Traded) -> Traded:
    """The trade as it is wherever in its slot it stands."""
    return trade._replace(chain_key=trade.chain_key[:_SLOT_ENDS])


def rebuild(connection: sa.Connection, token_id: int) -> None:
    """
    Fold the figures of one token anew from its baseline and its trades.

    Its totals (trades, buys, volumes) are left as they are, and the minutes before the baseline, of which no trade is left.
    """
    ask = asking(connection)
    baseline = baseline_of(ask, token_id)
    positions: dict[int, Position] = defaultdict(Position)
    minutes: dict[int, Minute] = {}
    prices: list[float] = []
    times: list[int] = []
    if baseline is not None:
        positions.update(positions_of(ask, token_id))
        if baseline.price_high is not None and baseline.price_low is not None:
            prices = [baseline.price_high, baseline.price_low]
        if baseline.first_trade_at is not None:
            times = [baseline.first_trade_at]
    for row in connection.exec_driver_sql(_OF_TOKEN, (token_id,)):
        trade = Traded(*row)
        positions[trade.wallet_id].add(trade)
        if trade.price is not None:
            prices = [max(prices[0], trade.price), min(prices[1], trade.price)] if prices else [trade.price, trade.price]
        if trade.block_time is not None:
            times = [min(times[0], trade.block_time)] if times else [trade.block_time]
            number = trade.block_time // MINUTE_SECONDS
            if number not in minutes:
                minutes[number] = Minute.begun_by(trade)
            minutes[number].add(trade)
    for wallet_id, is_buy, tokens in connection.exec_driver_sql(_PROVISIONAL, (token_id,)):
        positions[wallet_id].add_provisional(is_buy=is_buy, token_amount=tokens, sign=1)
    connection.exec_driver_sql("DELETE FROM positions WHERE token_id = ?", (token_id,))
    connection.exec_driver_sql(
        "DELETE FROM minutes WHERE token_id = ? AND minute >= ?", (token_id, 0 if baseline is None else baseline.minute)
    )
    connection.exec_driver_sql(_CLEAR, (token_id,))
    rows = [(token_id, number, *msgspec.structs.astuple(position)) for number, position in positions.items()]
    if rows:
        connection.exec_driver_sql(_SET_POSITION, rows)
    folded = [(token_id, number, *msgspec.structs.astuple(minute)) for number, minute in minutes.items()]
    if folded:
        connection.exec_driver_sql(_SET_MINUTE, folded)
    high, low = prices or (None, None)
    first = times[0] if times else None
    connection.exec_driver_sql(_SET_EXTREMES, (len(positions), high, low, first, token_id))
    connection.exec_driver_sql(_SET_LAST, (token_id, None))
    if baseline is not None:
        connection.exec_driver_sql(_SET_LAST_OF_BASELINE, (token_id,))
