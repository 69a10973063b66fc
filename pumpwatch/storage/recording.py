"""Events to rows, within one open transaction of the writer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from pumpwatch.events import (
    Counted,
    Covered,
    CurveCompleted,
    Delivery,
    GapOpened,
    PoolSeen,
    Rejected,
    SpellEnded,
    SpellStarted,
    TokenCreated,
    TokenMigrated,
    Trade,
    Usage,
)
from pumpwatch.market import chain_key
from pumpwatch.storage import statements
from pumpwatch.storage.identity import Row, count, merge
from pumpwatch.storage.ids import Ids
from pumpwatch.storage.recent import RecentSignatures
from pumpwatch.storage.schema import CONFIRMED, PROVISIONAL, VENUES

#: A kept message is cut here; its reason says so.
_LONGEST_RAW_BYTES = 256 * 1024

_Arrival = tuple[Trade, str, int]
_Group = tuple[int, str]
_Values = tuple[Any, ...]

_STATE, _IS_BUY, _QUOTE_AMOUNT, _EVENT_INDEX = (
    Row.__struct_fields__.index(name) for name in ("state", "is_buy", "quote_amount", "event_index")
)

_LARGEST = 2**63 - 1


class Recording:
    """
    One batch of deliveries, written.

    Attributes:
        trades: By how much the number of rows in trade_log has changed.
        has_gaps: Whether a gap was among the events.
        kept: Messages kept as rejected or unread.
        kept_bytes: And their bytes.
    """

    def __init__(self, connection: sa.Connection, ids: Ids, recent: RecentSignatures) -> None:
        self._connection = connection
        self._ids = ids
        self._recent = recent
        self._counts: dict[str, int] = {}
        self.trades = 0
        self.has_gaps = False
        self.kept = 0
        self.kept_bytes = 0

    def write(self, deliveries: Sequence[Delivery]) -> None:
        """Write all events of *deliveries*. Call once."""
        if not deliveries:
            return
        trades = self._collect(deliveries)
        for delivery in deliveries:
            for event in delivery.events:
                if type(event) is not Trade:
                    self._write_event(event, delivery)
        if trades:
            self._write_trades(trades)
        if self._counts:
            self._connection.exec_driver_sql(statements.ADD_TO_COUNT, sorted(self._counts.items()))

    def _collect(self, deliveries: Sequence[Delivery]) -> list[_Arrival]:
        """Make every address of the batch known; return its trades with their source and time."""
        trades: list[_Arrival] = []
        wallets: set[str] = set()
        mints: set[str] = set()
        for delivery in deliveries:
            for event in delivery.events:
                if type(event) is Trade:
                    trades.append((event, delivery.source, delivery.received_at_us))
                    wallets.add(event.wallet)
                    mints.add(event.mint)
                elif isinstance(event, TokenCreated):
                    wallets.add(event.developer)
                    if event.creator is not None:
                        wallets.add(event.creator)
                    mints.add(event.mint)
                elif isinstance(event, CurveCompleted | TokenMigrated | PoolSeen):
                    mints.add(event.mint)
        self._ids.resolve(self._connection, wallets=wallets, mints=mints, now_us=deliveries[0].received_at_us)
        return trades

    def _write_trades(self, arrivals: list[_Arrival]) -> None:
        groups: dict[_Group, list[_Values]] = {}
        tokens_of: dict[str, tuple[int, ...]] = {}
        for trade, source, received_at_us in arrivals:
            token_id = self._ids.token(trade.mint)
            values = self._values(trade, token_id, source, received_at_us)
            groups.setdefault((token_id, trade.signature), []).append(values)
            tokens = tokens_of[trade.signature] = self._recent.note(token_id, trade.signature)
            for other in tokens if len(tokens) > 1 else ():
                groups.setdefault((other, trade.signature), [])
        stored = self._stored(groups)
        totals: dict[int, list[int]] = {}
        inserts: list[_Values] = []
        updates: list[_Values] = []
        for group, arrived in groups.items():
            token_id, signature = group
            total = totals.setdefault(token_id, [0, 0, 0, 0, 0])
            before = stored.get(group, [])
            if not before and len(arrived) == 1 and len(tokens_of[signature]) == 1:
                values = arrived[0]
                inserts.append(values + group)
                count(total, values[_STATE], values[_IS_BUY], values[_QUOTE_AMOUNT])
                continue
            for row in before:
                count(total, row.state, row.is_buy, row.quote_amount, sign=-1)
            of_transaction = [(token, signature) for token in tokens_of[signature]]
            rows = merge(
                [*before, *(Row(*values) for values in arrived)],
                settled=lambda of=of_transaction: self._is_settled(of, groups, stored),  # type: ignore[misc]
            )
            for row in rows:
                count(total, row.state, row.is_buy, row.quote_amount)
                values = msgspec.structs.astuple(row)
                if row.id is None:
                    inserts.append(values + group)
                else:
                    updates.append((*values[1:], row.id))
        self._execute(statements.UPDATE_TRADE, updates)
        self._execute(statements.INSERT_TRADE, inserts)
        self._add_to_tokens(totals)

    def _is_settled(self, of: list[_Group], groups: dict[_Group, list[_Values]], stored: dict[_Group, list[Row]]) -> bool:
        """Whether a chain source has told of this transaction, which it does whole, and all that it told could be read."""
        told = any(values[_EVENT_INDEX] is not None for group in of for values in groups[group])
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
        self.trades += sum(total[0] for total in totals.values())
        changes = []
        for token_id, (trades, buys, *volumes, unknown) in totals.items():
            volume, provisional = (max(-_LARGEST, min(number, _LARGEST)) for number in volumes)
            if trades or buys or volume or provisional or unknown:
                changes.append((trades, buys, volume, volume, provisional, provisional, unknown, token_id))
        self._execute(statements.ADD_TO_TOKEN, changes)

    def _write_event(self, event: object, delivery: Delivery) -> None:
        match event:
            case TokenCreated():
                self._write_creation(event)
            case CurveCompleted():
                token_id = self._ids.token(event.mint)
                self._execute(statements.COMPLETED, [(event.signature, event.slot, event.block_time, token_id)])
            case TokenMigrated():
                values = (event.signature, event.slot, event.block_time, event.pool, self._ids.token(event.mint))
                self._execute(statements.MIGRATED, [values])
            case PoolSeen():
                self._write_pool(event)
            case GapOpened():
                columns = (
                    event.cause,
                    event.feed,
                    event.mint,
                    event.signature,
                    event.slot,
                    event.from_us,
                    event.to_us,
                    event.detail,
                )
                self._execute(statements.INSERT_GAP, [columns])
                self.has_gaps = True
            case Rejected():
                self._write_rejected(event, delivery)
            case Counted():
                self._count(event.kind)
            case SpellStarted():
                self._execute(statements.START_SPELL, [(event.kind, event.address, event.reason, event.at_us)])
            case SpellEnded():
                self._execute(statements.END_SPELL, [(event.at_us, event.reason, event.kind, event.address)])
            case Covered():
                self._execute(statements.SET_META, [(f"covered_us {event.feed}", str(event.until_us))])
            case Usage():
                numbers = (event.messages, event.paid_messages, event.received_bytes, event.connections)
                self._execute(statements.ADD_USAGE, [(event.provider, event.day, *numbers)])
            case _:
                raise TypeError(f"{type(event).__name__} is not an event that becomes a row")

    def _write_creation(self, event: TokenCreated) -> None:
        quote_id = self._ids.quote(self._connection, event.quote_mint)
        values = (
            event.signature,
            event.slot,
            event.block_time,
            event.name,
            event.symbol,
            event.uri,
            self._ids.wallet(event.developer),
            None if event.creator is None else self._ids.wallet(event.creator),
            event.bonding_curve,
            event.token_program,
            quote_id,
            event.virtual_token_reserves if event.event_index is not None else None,
            event.virtual_quote_reserves,
            event.real_token_reserves,
            event.token_total_supply,
            _flag(event.is_mayhem_mode),
            _flag(event.is_cashback_enabled),
            _flag(event.is_holder_reward),
            self._ids.token(event.mint),
        )
        of_chain = event.event_index is not None
        self._execute(statements.CREATED_BY_CHAIN if of_chain else statements.CREATED_BY_PUMPPORTAL, [values])

    def _write_pool(self, event: PoolSeen) -> None:
        quote_id = self._ids.quote(self._connection, event.quote_mint)
        self._execute(statements.SET_QUOTE_DECIMALS, [(event.quote_decimals, float(10**event.quote_decimals), quote_id)])
        values = (event.pool, self._ids.token(event.mint), quote_id, event.base_decimals, event.quote_decimals)
        self._execute(statements.INSERT_POOL, [values])

    def _write_rejected(self, event: Rejected, delivery: Delivery) -> None:
        reason = event.reason
        if len(event.raw) > _LONGEST_RAW_BYTES:
            reason = f"{reason} (kept: the first {_LONGEST_RAW_BYTES} of {len(event.raw)} bytes)"
        raw = event.raw[:_LONGEST_RAW_BYTES]
        values = (delivery.received_at_us, delivery.source, event.kind, reason, event.signature, event.slot, raw)
        self._execute(statements.INSERT_UNREAD if event.ours else statements.INSERT_REJECTED, [values])
        self._count(event.kind)
        self.kept += 1
        self.kept_bytes += len(raw)

    def _count(self, kind: str) -> None:
        self._counts[kind] = self._counts.get(kind, 0) + 1

    def _execute(self, statement: str, parameters: Sequence[tuple[object, ...]]) -> None:
        if parameters:
            self._connection.exec_driver_sql(statement, list(parameters))


def _flag(value: bool | None) -> int | None:  # noqa: FBT001 - a value, not a switch
    return None if value is None else int(value)
