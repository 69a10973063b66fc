"""The chain of each token that traded lately, as the table ``segments`` keeps it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from pumpwatch.continuity import CURVE, Chain, Segment, State, Step, order_by_linking, step_of_trade
from pumpwatch.market import chain_key
from pumpwatch.storage.baseline import SEGMENT_COLUMNS, asking, baseline_of, segments_of
from pumpwatch.storage.schema import CONFIRMED, FINALIZED

#: Chains kept in memory; those used longest ago go first. One without holes is some hundred bytes.
_REMEMBERED: Final = 20_000

_COLUMNS: Final = SEGMENT_COLUMNS
_LOAD: Final = (
    f"SELECT id, token_id, {_COLUMNS} FROM segments WHERE token_id IN (SELECT value FROM json_each(?)) ORDER BY token_id"
)
_INSERT: Final = f"INSERT INTO segments (id, token_id, {_COLUMNS}) VALUES ({', '.join('?' * 18)})"
_UPDATE: Final = f"UPDATE segments SET ({_COLUMNS}) = ({', '.join('?' * 16)}) WHERE id = ?"
_DELETE: Final = "DELETE FROM segments WHERE id = ?"
_DELETE_TOKEN: Final = "DELETE FROM segments WHERE token_id = ?"
_NEXT_ID: Final = "SELECT ifnull(max(id), 0) + 1 FROM segments"

_TRADES: Final = f"""
    SELECT venue, is_buy, token_amount, quote_amount, lp_fee, by_mayhem_agent, slot, block_time, chain_key,
        virtual_token_reserves, virtual_quote_reserves, real_token_reserves, real_quote_reserves
    FROM trades WHERE token_id = ? AND state IN ({CONFIRMED}, {FINALIZED}) AND chain_key IS NOT NULL ORDER BY chain_key
"""
_OF_SLOT: Final = _TRADES.replace("AND chain_key IS NOT NULL", "AND chain_key >= ? AND chain_key < ?").replace(
    "SELECT", "SELECT id,"
)
_LAST_BEFORE: Final = f"""
    SELECT virtual_token_reserves, iif(by_mayhem_agent, NULL, virtual_quote_reserves), real_token_reserves, real_quote_reserves
    FROM trades WHERE token_id = ? AND chain_key < ? AND state IN ({CONFIRMED}, {FINALIZED}) ORDER BY chain_key DESC LIMIT 1
"""
_SLOTS: Final = "SELECT DISTINCT slot FROM trades WHERE token_id = ? AND venue = 0 AND slot IS NOT NULL"
_MAYHEM: Final = "SELECT id FROM tokens WHERE is_mayhem_mode = 1 AND id IN (SELECT value FROM json_each(?))"
_SET_MAYHEM: Final = "UPDATE tokens SET is_mayhem_mode = 1 WHERE id = ? AND is_mayhem_mode IS NULL"
_SET_KEY: Final = "UPDATE trades SET chain_key = ? WHERE id = ?"
_CHANGES: Final = """
    SELECT venue, slot, block_time,
        before_virtual_token_reserves, before_virtual_quote_reserves, before_real_token_reserves, before_real_quote_reserves,
        virtual_token_reserves, virtual_quote_reserves, real_token_reserves, real_quote_reserves
    FROM reserve_changes WHERE token_id = ? AND slot > ? ORDER BY slot, event_index
"""


class Chains:
    """
    Used by the writer thread only, within its transactions: :meth:`load`, then :meth:`add`, then :meth:`flush`.

    After a rollback call :meth:`forget`: what was added is not in the database.
    """

    def __init__(self) -> None:
        self._chains: dict[int, Chain] = {}
        self._touched: set[int] = set()
        #: Tokens whose order inside a slot is found by linking.
        self._mayhem: set[int] = set()
        #: Of these, all slots were ordered anew.
        self._reordered: set[int] = set()
        self._next_id = 1

    def forget(self, connection: sa.Connection) -> None:
        """Start again from what the database has."""
        self._chains.clear()
        self._touched.clear()
        self._mayhem.clear()
        self._reordered.clear()
        self._next_id = int(connection.exec_driver_sql(_NEXT_ID).scalar_one())

    def load(self, connection: sa.Connection, token_ids: Iterable[int]) -> None:
        """Make the chains of these tokens known."""
        wanted = [token_id for token_id in token_ids if token_id not in self._chains]
        if not wanted:
            return
        self._trim()
        found: dict[int, list[Segment]] = {token_id: [] for token_id in wanted}
        as_json = (msgspec.json.encode(wanted).decode(),)
        self._mayhem.update(number for (number,) in connection.exec_driver_sql(_MAYHEM, as_json))
        for row in connection.exec_driver_sql(_LOAD, as_json):
            venue, trades, first_key, last_key, first_slot, last_slot, first_time, last_time = row[2:10]
            found[row[1]].append(
                Segment(
                    venue,
                    trades,
                    first_key,
                    last_key,
                    first_slot,
                    last_slot,
                    first_time,
                    last_time,
                    State(*row[10:14]),
                    State(*row[14:18]),
                    row[0],
                )
            )
        for token_id, segments in found.items():
            self._chains[token_id] = Chain(segments)

    def __getitem__(self, token_id: int) -> Chain:
        return self._chains[token_id]

    def add(self, token_id: int, step: Step) -> None:
        """Add a step, once, to a loaded chain."""
        self._chains[token_id].add(step)
        self._touched.add(token_id)

    def is_mayhem(self, token_id: int) -> bool:
        """Whether the product of the reserves says nothing of the order of a loaded token's trades."""
        return token_id in self._mayhem

    def set_mayhem(self, connection: sa.Connection, token_id: int) -> None:
        """It is known now that this is a mayhem token: order all that is there of it."""
        self._mayhem.add(token_id)
        self._reordered.add(token_id)
        connection.exec_driver_sql(_SET_MAYHEM, (token_id,))
        self.order_all(connection, token_id)

    def order_all(self, connection: sa.Connection, token_id: int) -> None:
        """Order every slot of a mayhem token's curve; of another token nothing."""
        if token_id in self._mayhem:
            self.order(connection, token_id, (slot for (slot,) in connection.exec_driver_sql(_SLOTS, (token_id,)).all()))

    def take_reordered(self) -> set[int]:
        """The tokens that have become known as mayhem since the last call: any of their trades may have another key."""
        reordered, self._reordered = self._reordered, set()
        return reordered

    def order(self, connection: sa.Connection, token_id: int, slots: Iterable[int]) -> None:
        """Give the trades of a mayhem token, in these slots of its curve, the places in which they link."""
        for slot in sorted(set(slots)):
            first, behind = slot_keys(CURVE, slot)
            # By what they are, not by the order in which they came, of which nothing may remain.
            rows = sorted(
                connection.exec_driver_sql(_OF_SLOT, (token_id, first, behind)), key=lambda row: (*row[10:12], *row[2:5])
            )
            steps = [step for step in (_step(row[1:]) for row in rows) if step is not None]
            if len(steps) != len(rows):
                continue
            before = self._state_before(connection, token_id, first) if len(rows) > 1 else None
            order = order_by_linking(before, steps)
            keys = ((first + place.to_bytes(16, "big"), rows[number]) for place, number in enumerate(order))
            changed = [(key, row[0]) for key, row in keys if key != row[9]]
            if changed:
                connection.exec_driver_sql(_SET_KEY, changed)

    def _state_before(self, connection: sa.Connection, token_id: int, key: bytes) -> State | None:
        """The state that the last trade of the curve before *key* left; None: there is none."""
        before = connection.exec_driver_sql(_LAST_BEFORE, (token_id, key)).first()
        if before is not None:
            return State(*before)
        baseline = baseline_of(asking(connection), token_id)
        return baseline.state if baseline is not None and baseline.last_venue == CURVE else None

    def rebuild(self, connection: sa.Connection, token_id: int) -> Chain:
        """Link all that is recorded of a token anew: something of it was taken out, or could have been linked otherwise."""
        connection.exec_driver_sql(_DELETE_TOKEN, (token_id,))
        ask = asking(connection)
        baseline = baseline_of(ask, token_id)
        if baseline is None:
            chain = Chain.of(_steps(connection, token_id, behind_slot=-1))
        else:
            steps = list(_steps(connection, token_id, behind_slot=baseline.slot))
            is_same_venue = bool(steps) and min(step.venue for step in steps) == baseline.last_venue
            after = baseline.state if is_same_venue else None
            chain = Chain.of(steps, begun=segments_of(ask, token_id), after=after)
        self._chains[token_id] = chain
        self._touched.add(token_id)
        return chain

    def flush(self, connection: sa.Connection) -> list[int]:
        """Write what has changed. Return the tokens whose number of segments did."""
        inserts, updates, deletes = [], [], []
        changed = []
        for token_id in self._touched:
            new_or_changed, gone = self._chains[token_id].take_changes()
            is_new = False
            for segment in new_or_changed:
                values = (*_ends(segment), *segment.before, *segment.after)
                if segment.id is None:
                    is_new = True
                    segment.id = self._next_id
                    self._next_id += 1
                    inserts.append((segment.id, token_id, *values))
                else:
                    updates.append((*values, segment.id))
            deletes += [(number,) for number in gone]
            if is_new or gone:
                changed.append(token_id)
        self._touched.clear()
        for statement, rows in ((_DELETE, deletes), (_UPDATE, updates), (_INSERT, inserts)):
            if rows:
                connection.exec_driver_sql(statement, rows)
        return changed

    def _trim(self) -> None:
        if len(self._chains) > _REMEMBERED:
            for token_id in list(self._chains)[: len(self._chains) - _REMEMBERED // 2]:
                if token_id not in self._touched:
                    del self._chains[token_id]


def _ends(segment: Segment) -> tuple[object, ...]:
    return (
        segment.venue,
        segment.trades,
        segment.first_key,
        segment.last_key,
        segment.first_slot,
        segment.last_slot,
        segment.first_time,
        segment.last_time,
    )


def _steps(connection: sa.Connection, token_id: int, *, behind_slot: int) -> Iterable[Step]:
    """All steps; of changes of the reserves those behind a slot, as trades up to it are gone."""
    for venue, is_buy, tokens, quote, lp_fee, by_agent, slot, time, key, *after in connection.exec_driver_sql(
        _TRADES, (token_id,)
    ):
        step = step_of_trade(venue, is_buy, tokens, quote, lp_fee, by_agent, slot, time, key, *after)
        if step is not None:
            yield step
    for venue, slot, time, *reserves in connection.exec_driver_sql(_CHANGES, (token_id, behind_slot)):
        yield step_of_change(venue, slot, time, State(*reserves[:4]), State(*reserves[4:]))


def _step(row: Any) -> Step | None:
    venue, is_buy, tokens, quote, lp_fee, by_agent, slot, time, key, *after = row
    return step_of_trade(venue, is_buy, tokens, quote, lp_fee, by_agent, slot, time, key, *after)


def slot_keys(venue: int, slot: int) -> tuple[bytes, bytes]:
    """The least chain_key of a slot, and the least behind it."""
    prefix = bytes((venue,))
    return prefix + slot.to_bytes(8, "big"), prefix + (slot + 1).to_bytes(8, "big")


def step_of_change(venue: int, slot: int, time: int | None, before: State, after: State) -> Step:
    """A change of reserves without a trade, as a step."""
    key = chain_key("pool" if venue else "curve", slot, after.virtual_token or 0, after.virtual_quote or 0)
    assert key is not None
    return Step(venue, slot, time, key, before, after, trades=0)
