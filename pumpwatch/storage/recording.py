"""Events to rows, within one open transaction of the writer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import sqlalchemy as sa

from pumpwatch.continuity import State
from pumpwatch.events import (
    AlertRaised,
    AlertResolved,
    AlertSent,
    Anchor,
    Counted,
    Covered,
    CurveCompleted,
    Delivery,
    GapFilled,
    GapFilling,
    GapOpened,
    Listed,
    MetadataFetched,
    PoolSeen,
    QuotePriced,
    RatesSought,
    Rejected,
    ReservesChanged,
    RunEnded,
    RunStarted,
    SpellEnded,
    SpellStarted,
    TokenCreated,
    TokenMigrated,
    Trade,
    TradesDropped,
    Usage,
)
from pumpwatch.storage import statements
from pumpwatch.storage.anchoring import forget_matches, write_anchor
from pumpwatch.storage.baseline import Bounds
from pumpwatch.storage.chains import Chains, step_of_change
from pumpwatch.storage.figures import Figures
from pumpwatch.storage.ids import Ids
from pumpwatch.storage.judging import Judging
from pumpwatch.storage.known import SEAMS, known_tokens
from pumpwatch.storage.recent import RecentSignatures
from pumpwatch.storage.schema import VENUES
from pumpwatch.storage.trades import Arrival, Trades
from pumpwatch.telemetry import redact, redact_bytes

#: In table ``counts``: events of before the baseline of a token.
LATE_KIND: Final = "before the baseline"

#: A kept message is cut here; its reason says so.
_LONGEST_RAW_BYTES = 256 * 1024


class Recording:
    """
    One batch of deliveries, written.

    Attributes:
        has_gaps: Whether a gap was among the events.
        counts: What was set aside, or passed over by design (*passed_over*), by kind.
        kept: Messages kept as rejected or unread.
        kept_bytes: And their bytes.
    """

    def __init__(self, connection: sa.Connection, ids: Ids, recent: RecentSignatures, chains: Chains, judging: Judging) -> None:
        self._connection = connection
        self._ids = ids
        self._chains = chains
        self._judging = judging
        #: Tokens of which something was learnt that may change what is proven of them.
        self._to_judge: set[int] = set()
        self._mayhem: set[int] = set()
        self._late: list[Anchor | Listed | GapFilling | GapFilled] = []
        self.counts: dict[str, int] = {}
        self.passed_over: dict[str, int] = {}
        self._figures = Figures(connection, chains)
        self._trades = Trades(connection, ids, recent, chains, self._figures)
        self.has_gaps = False
        self.kept = 0
        self.kept_bytes = 0

    @property
    def trades(self) -> int:
        """By how much the number of rows in trade_log has changed."""
        return self._trades.added

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
            self._trades.write(trades)
            self._note_late()
        self._link_and_judge()
        if counts := sorted([*self.counts.items(), *self.passed_over.items()]):
            self._connection.exec_driver_sql(statements.ADD_TO_COUNT, counts)

    def _collect(self, deliveries: Sequence[Delivery]) -> list[Arrival]:
        """Make every address of the batch known; return its trades with their source and time."""
        trades: list[Arrival] = []
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
                elif isinstance(
                    event, CurveCompleted | TokenMigrated | PoolSeen | ReservesChanged | Anchor | Listed | TradesDropped
                ):
                    mints.add(event.mint)
        self._ids.resolve(self._connection, wallets=wallets, mints=mints, now_us=deliveries[0].received_at_us)
        return trades

    def _note_late(self) -> None:
        """Trades of before a baseline are not recorded again, only counted."""
        late = self._trades.late
        if late:
            self._execute(statements.ADD_LATE, [(count, token_id) for token_id, count in late.items()])
            self.passed_over[LATE_KIND] = self.passed_over.get(LATE_KIND, 0) + sum(late.values())

    def _link_and_judge(self) -> None:
        """What follows from all that this batch has brought: chains, anchors, and what is proven now."""
        to_rebuild = self._trades.to_rebuild
        if to_rebuild or self._to_judge:
            self._chains.load(self._connection, to_rebuild | self._to_judge)
        self._chains.load(self._connection, self._mayhem)
        for token_id in self._mayhem:
            self._chains.set_mayhem(self._connection, token_id)
        for token_id in to_rebuild:
            self._chains.order_all(self._connection, token_id)
            self._chains.rebuild(self._connection, token_id)
            forget_matches(self._connection, token_id)
        self._figures.flush(to_rebuild)
        to_judge = self._to_judge | to_rebuild | set(self._chains.flush(self._connection))
        to_judge |= self._judging.unsettled(self._trades.linked)
        told_of = {self._ids.token(event.mint) for event in self._late if isinstance(event, Anchor | Listed)}
        to_judge |= told_of
        self._chains.load(self._connection, told_of)
        tokens = known_tokens(self._connection, told_of) if told_of else {}
        for event in self._late:
            match event:
                case Anchor():
                    number = self._ids.token(event.mint)
                    write_anchor(self._connection, tokens[number], event, self._chains[number])
                case Listed():
                    slots = (event.from_slot, event.to_slot)
                    values = (
                        self._ids.token(event.mint),
                        VENUES[event.venue],
                        *slots,
                        event.commitment,
                        event.signatures,
                        event.at_us,
                    )
                    self._execute(statements.INSERT_LISTING, [values])
                    self._execute(statements.TRIM_LISTINGS, [values[:1]])
                case GapFilling():
                    self._judging.filling(event)
        if to_judge:
            self._chains.load(self._connection, to_judge)
            self._judging.judge(to_judge)
        for event in self._late:
            if isinstance(event, GapFilled):
                self._judging.filled(event)
        self.has_gaps |= self._judging.has_gaps

    def _write_event(self, event: object, delivery: Delivery) -> None:
        match event:
            case TokenCreated():
                self._write_creation(event)
            case CurveCompleted():
                token_id = self._ids.token(event.mint)
                self._to_judge.add(token_id)
                self._execute(statements.COMPLETED, [(event.signature, event.slot, event.block_time, token_id)])
            case TokenMigrated():
                token_id = self._ids.token(event.mint)
                self._to_judge.add(token_id)
                amounts = (event.token_amount, event.quote_amount)
                values = (event.signature, event.slot, event.block_time, event.pool, *amounts, token_id)
                self._execute(statements.MIGRATED, [values])
            case PoolSeen():
                self._write_pool(event)
            case ReservesChanged():
                self._write_reserve_change(event)
            case TradesDropped():
                self._trades.drop(event)
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
                if event.cause == "budget" and event.mint is not None:
                    self._judge_mint(event.mint)
            case Rejected():
                self._write_rejected(event, delivery)
            case _:
                self._write_of_ours(event)

    def _write_of_ours(self, event: object) -> None:
        """What we say ourselves: watching, backfill, costs."""
        match event:
            case Anchor() | Listed() | GapFilling() | GapFilled():
                self._late.append(event)
            case Counted():
                self.passed_over[event.kind] = self.passed_over.get(event.kind, 0) + 1
            case SpellStarted():
                self._execute(statements.START_SPELL, [(event.kind, event.address, event.reason, event.at_us)])
                self._judge_watched(event)
            case SpellEnded():
                self._execute(statements.END_SPELL, [(event.at_us, event.reason, event.kind, event.address)])
                self._judge_watched(event)
            case Covered():
                self._execute(statements.SET_META, [(f"covered_us {event.feed}", str(event.until_us))])
            case Usage():
                numbers = (
                    event.messages,
                    event.paid_messages,
                    event.received_bytes,
                    event.connections,
                    event.calls,
                    event.call_credits,
                )
                self._execute(statements.ADD_USAGE, [(event.provider, event.day, *numbers)])
            case MetadataFetched():
                self._execute(statements.SET_METADATA, [msgspec.structs.astuple(event)])
            case QuotePriced():
                quote_id = self._ids.quote(self._connection, event.quote_mint)
                self._execute(statements.SET_RATE, [(quote_id, event.minute, event.usd, event.source, event.at_us)])
            case RatesSought():
                ranges = msgspec.json.encode(event.ranges).decode()
                self._execute(statements.SET_META, [(statements.sought_key(event.quote_mint), ranges)])
            case _:
                self._write_of_operation(event)

    def _write_of_operation(self, event: object) -> None:
        """What became of the worker, and what somebody should hear of."""
        match event:
            case RunStarted():
                self._execute(statements.END_RUNS, [(event.before_ended_at_us, event.before_exit_status, event.before_reason)])
                self._execute(statements.START_RUN, [(event.started_at_us, event.pid, event.version)])
            case RunEnded():
                self._execute(statements.END_RUN, [(event.ended_at_us, event.exit_status, event.reason, event.started_at_us)])
            case AlertRaised():
                self._execute(
                    statements.RAISE_ALERT,
                    [
                        (
                            *(event.rule, event.subject, event.severity, int(event.is_market), event.raised_at_us, event.text),
                            *(event.completeness, event.value, event.threshold),
                            *(None if event.lasts else event.raised_at_us, "pending" if event.to_send else None),
                        )
                    ],
                )
            case AlertResolved():
                identity = (event.rule, event.subject, event.raised_at_us)
                self._execute(statements.RESOLVE_ALERT, [(event.resolved_at_us, event.text, *identity)])
            case AlertSent():
                identity = (event.rule, event.subject, event.raised_at_us)
                self._execute(statements.ALERT_SENT, [(event.outcome, event.at_us, event.attempts, *identity)])
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
        if of_chain:
            self._to_judge.add(self._ids.token(event.mint))
        if event.is_mayhem_mode:
            self._mayhem.add(self._ids.token(event.mint))

    def _write_reserve_change(self, event: ReservesChanged) -> None:
        token_id = self._ids.token(event.mint)
        if Bounds(self._connection, (token_id,)).is_late(token_id, event.slot, event.block_time):
            self._execute(statements.ADD_LATE, [(1, token_id)])
            self.passed_over[LATE_KIND] = self.passed_over.get(LATE_KIND, 0) + 1
            return
        before = State(
            event.before_virtual_token_reserves,
            event.before_virtual_quote_reserves,
            event.before_real_token_reserves,
            event.before_real_quote_reserves,
        )
        after = State(
            event.virtual_token_reserves, event.virtual_quote_reserves, event.real_token_reserves, event.real_quote_reserves
        )
        values = (token_id, event.signature, event.event_index, VENUES[event.venue], event.kind, event.slot, event.block_time)
        inserted = self._connection.exec_driver_sql(statements.INSERT_RESERVE_CHANGE, (*values, *before, *after))
        self._to_judge.add(token_id)
        if inserted.rowcount and event.kind not in SEAMS:
            self._chains.load(self._connection, (token_id,))
            self._chains.add(token_id, step_of_change(VENUES[event.venue], event.slot, event.block_time, before, after))

    def _judge_watched(self, event: SpellStarted | SpellEnded) -> None:
        if event.kind == "token":
            self._judge_mint(event.address)

    def _judge_mint(self, mint: str) -> None:
        row = self._connection.exec_driver_sql(statements.TOKEN_ID, (mint,)).first()
        if row is not None:
            self._to_judge.add(row[0])

    def _write_pool(self, event: PoolSeen) -> None:
        quote_id = self._ids.quote(self._connection, event.quote_mint)
        self._execute(statements.SET_QUOTE_DECIMALS, [(event.quote_decimals, float(10**event.quote_decimals), quote_id)])
        values = (event.pool, self._ids.token(event.mint), quote_id, event.base_decimals, event.quote_decimals)
        self._execute(statements.INSERT_POOL, [values])

    def _write_rejected(self, event: Rejected, delivery: Delivery) -> None:
        reason, raw = redact(event.reason), redact_bytes(event.raw)  # a server may tell us our own key
        if len(raw) > _LONGEST_RAW_BYTES:
            reason = f"{reason} (kept: the first {_LONGEST_RAW_BYTES} of {len(raw)} bytes)"
        raw = raw[:_LONGEST_RAW_BYTES]
        values = (delivery.received_at_us, delivery.source, event.kind, reason, event.signature, event.slot, raw)
        self._execute(statements.INSERT_UNREAD if event.ours else statements.INSERT_REJECTED, [values])
        self.counts[event.kind] = self.counts.get(event.kind, 0) + 1
        self.kept += 1
        self.kept_bytes += len(raw)

    def _execute(self, statement: str, parameters: Sequence[tuple[object, ...]]) -> None:
        if parameters:
            self._connection.exec_driver_sql(statement, list(parameters))


def _flag(value: bool | None) -> int | None:  # noqa: FBT001 - a value, not a switch
    return None if value is None else int(value)
