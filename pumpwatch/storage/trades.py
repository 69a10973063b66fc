"""Trades to rows: each report finds the row of its trade, and each newly confirmed trade its place in its token's chain."""

from __future__ import annotations

import operator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import sqlalchemy as sa

from pumpwatch.continuity import CURVE, step_of_trade
from pumpwatch.events import Trade, TradesDropped
from pumpwatch.market import chain_key
from pumpwatch.storage import statements
from pumpwatch.storage.baseline import Bounds
from pumpwatch.storage.chains import Chains
from pumpwatch.storage.figures import Figures
from pumpwatch.storage.identity import Row, count, merge
from pumpwatch.storage.ids import Ids
from pumpwatch.storage.recent import RecentSignatures
from pumpwatch.storage.schema import CONFIRMED, DROPPED, FINALIZED, PROVISIONAL, VENUES

#: A trade, its source, and when it arrived in unix microseconds.
Arrival = tuple[Trade, str, int]
_Group = tuple[int, str]
_Values = tuple[Any, ...]

_STATE, _IS_BUY, _QUOTE_AMOUNT, _EVENT_INDEX, _BY_AGENT = (
    Row.__struct_fields__.index(name) for name in ("state", "is_buy", "quote_amount", "event_index", "by_mayhem_agent")
)

#: What a step of the chain is made of, in the order of its arguments.
_of_step = operator.itemgetter(
    *(
        Row.__struct_fields__.index(name)
        for name in (
            "venue", "is_buy", "token_amount", "quote_amount", "lp_fee", "by_mayhem_agent", "slot", "block_time", "chain_key",
            "virtual_token_reserves", "virtual_quote_reserves", "real_token_reserves", "real_quote_reserves",
        )
    )
)  # fmt: skip

_LARGEST = 2**63 - 1


@dataclass(slots=True)
class _Changes:
    """What a batch does: to the totals of tokens, and to rows; and the trades that are to be linked."""

    totals: dict[int, list[int]] = field(default_factory=dict)
    inserts: list[_Values] = field(default_factory=list)
    updates: list[_Values] = field(default_factory=list)
    steps: list[tuple[int, _Values]] = field(default_factory=list)


class Trades:
    """
    For one transaction.

    Attributes:
        added: By how much the number of rows in trade_log has changed.
        to_rebuild: Tokens (by id) whose steps must be linked anew, as one was taken out.
        linked: Tokens that got a new step.
        late: How many trades came that lie before the baselines of their tokens, and were passed over.
    """

    def __init__(self, connection: sa.Connection, ids: Ids, recent: RecentSignatures, chains: Chains, figures: Figures) -> None:
        self._connection = connection
        self._ids = ids
        self._recent = recent
        self._chains = chains
        self._figures = figures
        self.added = 0
        self.late: dict[int, int] = {}
        #: Transactions of pruned trades that were told again: what PumpPortal alone told of them is settled.
        self._late_groups: set[_Group] = set()
        self.to_rebuild: set[int] = set()
        self.linked: set[int] = set()

    def write(self, arrivals: list[Arrival]) -> None:
        """Store trades of any source, in any order; the same twice is one."""
        groups: dict[_Group, list[_Values]] = {}
        tokens_of: dict[str, tuple[int, ...]] = {}
        gone = Bounds(self._connection, {self._ids.token(trade.mint) for trade, _, _ in arrivals})
        for trade, source, received_at_us in arrivals:
            token_id = self._ids.token(trade.mint)
            if gone.is_late(token_id, trade.slot, trade.block_time):
                self.late[token_id] = self.late.get(token_id, 0) + 1
                self._late_groups.add((token_id, trade.signature))
                groups.setdefault((token_id, trade.signature), [])
                tokens_of[trade.signature] = self._recent.note(token_id, trade.signature)
                continue
            gone.begin_again(token_id)
            values = self._values(trade, token_id, source, received_at_us)
            groups.setdefault((token_id, trade.signature), []).append(values)
            tokens = tokens_of[trade.signature] = self._recent.note(token_id, trade.signature)
            for other in tokens if len(tokens) > 1 else ():
                groups.setdefault((other, trade.signature), [])
        stored = self._stored(groups)
        changes = _Changes()
        for group, arrived in groups.items():
            token_id, signature = group
            total = changes.totals.setdefault(token_id, [0, 0, 0, 0, 0])
            before = stored.get(group, [])
            if not before and not arrived:
                continue
            if before or len(arrived) != 1 or len(tokens_of[signature]) != 1:
                of_transaction = [(token, signature) for token in tokens_of[signature]]
                rows = merge(
                    [*before, *(Row(*values) for values in arrived)],
                    settled=lambda of=of_transaction: self._is_settled(of, groups, stored),  # type: ignore[misc]
                )
                self._change(group, before, rows, changes)
                continue
            values = arrived[0]
            changes.inserts.append(values + group)
            count(total, values[_STATE], values[_IS_BUY], values[_QUOTE_AMOUNT])
            self._figures.add(token_id, values)
            if values[_STATE] == CONFIRMED:
                changes.steps.append((token_id, values))
        self._execute(statements.UPDATE_TRADE, changes.updates)
        self._execute(statements.INSERT_TRADE, changes.inserts)
        self._add_to_tokens(changes.totals)
        self._add_steps(changes.steps)

    def _change(self, group: _Group, before: list[Row], after: list[Row], changes: _Changes) -> None:
        """Let the rows *after* stand in the place of those *before*."""
        token_id = group[0]
        total = changes.totals[token_id]
        for row in before:
            count(total, row.state, row.is_buy, row.quote_amount, sign=-1)
            self._figures.take(token_id, msgspec.structs.astuple(row))
        known = {row.event_index: row for row in before if row.state in (CONFIRMED, FINALIZED)}
        for row in after:
            count(total, row.state, row.is_buy, row.quote_amount)
            is_new = row.state == PROVISIONAL
            if row.state in (CONFIRMED, FINALIZED):
                twin = known.get(row.event_index)
                is_new = twin is None
                if twin is None:
                    changes.steps.append((token_id, msgspec.structs.astuple(row)))
                elif _placed(twin) == _placed(row):
                    row.chain_key = twin.chain_key  # which linking may have given it
                else:  # it landed again, in another block
                    self.to_rebuild.add(token_id)
            values = msgspec.structs.astuple(row)
            if is_new:
                self._figures.add(token_id, values)
            if row.id is None:
                changes.inserts.append(values + group)
            else:
                changes.updates.append((*values[1:], row.id))

    def _add_steps(self, steps: list[tuple[int, _Values]]) -> None:
        """Link newly confirmed trades to the chains of their tokens."""
        self.linked = {token_id for token_id, _ in steps}
        self._chains.load(self._connection, self.linked)
        places: dict[int, set[int]] = {}
        for token_id, values in steps:
            step = step_of_trade(*_of_step(values))
            if step is None:
                continue
            self._chains.add(token_id, step)
            if values[_BY_AGENT] and not self._chains.is_mayhem(token_id):
                self._chains.set_mayhem(self._connection, token_id)
            if step.venue == CURVE and self._chains.is_mayhem(token_id):
                places.setdefault(token_id, set()).add(step.slot)
        for token_id, slots in places.items():
            self._chains.order(self._connection, token_id, slots)

    def drop(self, event: TradesDropped) -> None:
        """
        Take the trades of a transaction that never landed out of the record's numbers.

        Only those that PumpPortal alone told: what the chain's own feed has told meanwhile is on the chain.
        """
        token_id = self._ids.token(event.mint)
        group = (token_id, event.signature)
        total = [0, 0, 0, 0, 0]
        dropped = [row for row in self._stored({group: []}).get(group, []) if row.state == PROVISIONAL]
        for row in dropped:
            count(total, row.state, row.is_buy, row.quote_amount, sign=-1)
            self._figures.take(token_id, msgspec.structs.astuple(row))
        self._execute(statements.SET_STATE, [(DROPPED, row.id) for row in dropped])
        self._add_to_tokens({token_id: total})

    def _is_settled(self, of: list[_Group], groups: dict[_Group, list[_Values]], stored: dict[_Group, list[Row]]) -> bool:
        """Whether a chain source has told of this transaction, which it does whole, and all that it told could be read."""
        told = not self._late_groups.isdisjoint(of)
        told = told or any(values[_EVENT_INDEX] is not None for group in of for values in groups[group])
        told = told or any(row.event_index is not None for group in of for row in stored.get(group, ()))
        return told and not self._connection.exec_driver_sql(statements.IS_UNREAD, (of[0][1],)).first()

    def _values(self, trade: Trade, token_id: int, source: str, received_at_us: int) -> _Values:
        """The fields of a new :class:`Row`, in their order."""
        of_chain = trade.event_index is not None
        quote_id = self._ids.quote(self._connection, trade.quote_mint)
        if of_chain:
            self._ids.set_quote(self._connection, token_id, quote_id)
        tokens, quote = trade.virtual_token_reserves, trade.virtual_quote_reserves
        return (
            None,
            self._ids.wallet(trade.wallet),
            trade.event_index,
            CONFIRMED if of_chain else PROVISIONAL,
            1 if trade.is_buy else 0,
            VENUES[trade.venue],
            1 if trade.by_mayhem_agent else 0,
            trade.slot,
            trade.block_time,
            trade.token_amount,
            trade.quote_amount,
            trade.trader_quote_amount,
            quote_id,
            trade.protocol_fee,
            trade.creator_fee,
            trade.lp_fee,
            tokens,
            quote,
            trade.real_token_reserves,
            trade.real_quote_reserves,
            chain_key(trade.venue, trade.slot, tokens, quote),
            trade.message_key,
            received_at_us if source == "pumpportal" else None,
            received_at_us if source == "helius" else None,
            received_at_us if source == "backfill" else None,
        )

    def _stored(self, groups: dict[_Group, list[_Values]]) -> dict[_Group, list[Row]]:
        """What the database has of these groups already."""
        wanted = msgspec.json.encode([(token_id, signature[-24:]) for token_id, signature in groups]).decode()
        stored: dict[_Group, list[Row]] = {}
        for token_id, signature, *values in self._connection.exec_driver_sql(statements.STORED_TRADES, (wanted,)):
            # Signatures with the same end are found too; nobody asks for those.
            stored.setdefault((token_id, signature), []).append(Row(*values))
        return stored

    def _add_to_tokens(self, totals: dict[int, list[int]]) -> None:
        self.added += sum(total[0] for total in totals.values())
        changes = []
        for token_id, (trades, buys, *volumes, unknown) in totals.items():
            volume, provisional = (max(-_LARGEST, min(number, _LARGEST)) for number in volumes)
            if trades or buys or volume or provisional or unknown:
                changes.append((trades, buys, volume, volume, provisional, provisional, unknown, token_id))
        self._execute(statements.ADD_TO_TOKEN, changes)

    def _execute(self, statement: str, parameters: list[_Values]) -> None:
        if parameters:
            self._connection.exec_driver_sql(statement, parameters)


def _placed(row: Row) -> tuple[int | None, ...]:
    """Where a trade of the chain stands in it, and what its figures are made of."""
    of_state = (row.slot, row.block_time, row.virtual_token_reserves, row.virtual_quote_reserves)
    return *of_state, row.token_amount, row.quote_amount, row.trader_quote_amount
