"""What the record proves, as the writer keeps it: segments, anchors, gaps and verdicts in the transaction of the trades."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from storage_samples import MINT, WALLET, chain_trade, message_trade

from pumpwatch.events import (
    Anchor,
    CurveCompleted,
    Delivery,
    Event,
    GapFilled,
    GapFilling,
    GapOpened,
    Listed,
    Rejected,
    ReservesChanged,
    SpellEnded,
    SpellStarted,
    TokenCreated,
    Trade,
    TradesDropped,
)
from pumpwatch.market import Reserves, after_trade, curve_buy_quote, curve_sell_quote
from pumpwatch.storage.schema import MIGRATIONS
from pumpwatch.storage.store import Store

START = Reserves(30_000_000_000, 1_073_000_000_000_000)
REAL = 279_900_000_000_000
SLOT = 400_000_000
TIME = int(time.time()) - 600
US = 1_000_000


def trades(number: int) -> list[Trade]:
    """A curve's first trades, one each slot: three buys, then a sale, and so on."""
    state, made = START, []
    for place in range(number):
        is_buy = place % 4 != 3
        tokens = 5_000_000_000_000 + place
        quote = curve_buy_quote(tokens, state) if is_buy else curve_sell_quote(tokens, state)
        state = after_trade(state, is_buy=is_buy, token_amount=tokens, quote_amount=quote)
        made.append(
            chain_trade(
                signature="x" * 83 + f"{place:04d}",
                is_buy=is_buy,
                token_amount=tokens,
                quote_amount=quote,
                virtual_token_reserves=state.token,
                virtual_quote_reserves=state.quote,
                real_token_reserves=state.token - REAL,
                real_quote_reserves=state.quote - START.quote,
                slot=SLOT + place,
                block_time=TIME + place,
            )
        )
    return made


def created() -> TokenCreated:
    return TokenCreated(
        signature="c" * 87,
        mint=MINT,
        bonding_curve=WALLET,
        developer=WALLET,
        event_index=0,
        slot=SLOT,
        block_time=TIME,
        virtual_token_reserves=START.token,
        virtual_quote_reserves=START.quote,
        real_token_reserves=START.token - REAL,
        quote_mint="So11111111111111111111111111111111111111112",
    )


def anchor(after: Trade | None, *, slot: int) -> Anchor:
    state = START if after is None else Reserves(after.virtual_quote_reserves or 0, after.virtual_token_reserves or 0)
    return Anchor(
        mint=MINT,
        venue="curve",
        slot=slot,
        asked_at_us=(TIME + slot - SLOT) * US,
        block_time=TIME + slot - SLOT,
        commitment="confirmed",
        virtual_token_reserves=state.token,
        virtual_quote_reserves=state.quote,
        real_token_reserves=state.token - REAL,
        real_quote_reserves=state.quote - START.quote,
    )


WATCHED = SpellStarted(kind="token", address=MINT, reason="admitted", at_us=TIME * US)


class Record:
    """A store with a file that any tool reads."""

    def __init__(self, path: Path, *, grace_seconds: float = 0.0) -> None:
        self.path = path
        self.grace_seconds = grace_seconds
        self.store = self._open()

    def _open(self) -> Store:
        return Store.open(self.path, origin="simulator", break_grace_seconds=self.grace_seconds)

    def tell(self, *events: Event, source: str = "helius") -> None:
        self.store.apply([Delivery(source=source, received_at_us=TIME * US, events=(event,)) for event in events])

    def reopen(self) -> None:
        self.store.close()
        self.store = self._open()

    def look(self) -> None:
        self.store.look(now_us=time.time_ns() // 1000)

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(self.path)
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()

    def verdict(self) -> tuple[Any, ...]:
        return self.ask("SELECT completeness, proven_to_slot, holes FROM token_board")[0]

    def gaps(self, columns: str = "cause, state") -> list[tuple[Any, ...]]:
        return self.ask(f"SELECT {columns} FROM gaps ORDER BY id")


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The accounts were seen at times that were chosen when the tests were collected."""
    monkeypatch.setattr("pumpwatch.verdict.STALE_SECONDS", 10**9)


@pytest.fixture
def record(tmp_path: Path) -> Iterator[Record]:
    record = Record(tmp_path / "a.db")
    yield record
    record.store.close()


def test_chained_from_the_creation_to_an_anchor_is_complete(record: Record) -> None:
    made = trades(8)
    record.tell(WATCHED, created(), *made)
    assert record.verdict()[0] == "unproven"  # nothing proves the end
    record.tell(anchor(made[-1], slot=SLOT + 20))

    assert record.verdict() == ("complete", SLOT + 20, 0)
    assert record.ask("SELECT complete_from, complete_until FROM token_board") == [(TIME, TIME + 20)]
    assert record.ask("SELECT count(*), sum(trades) FROM segments") == [(1, 8)]


def test_what_was_proven_long_ago_is_not_called_proven(record: Record) -> None:
    made = trades(2)
    record.tell(WATCHED, created(), *made, anchor(made[-1], slot=SLOT + 20))
    record.store.prune(now_us=(TIME + 20 + 890) * US)
    assert record.verdict()[0] == "complete"
    record.store.prune(now_us=(TIME + 20 + 910) * US)
    assert record.verdict()[0] == "unproven"


def test_a_missing_run_is_one_hole_of_its_net_size_and_closes_when_it_is_found(record: Record) -> None:
    made = trades(8)
    lost = made[3:5]
    record.tell(WATCHED, created(), *made[:3], *made[5:])
    record.look()

    assert record.verdict()[0] == "holes"
    net_tokens = sum(-t.token_amount if t.is_buy else t.token_amount for t in lost)
    net_quote = sum((t.quote_amount or 0) * (1 if t.is_buy else -1) for t in lost)
    assert record.gaps("cause, state, signature, net_token_amount, net_quote_amount, from_slot, to_slot") == [
        ("break", "open", made[5].signature, net_tokens, net_quote, SLOT + 2, SLOT + 5)
    ]
    assert record.store.gaps_open == 1
    record.tell(*lost, source="backfill")
    record.tell(anchor(made[-1], slot=SLOT + 20))

    assert record.gaps("state, closed_by, found") == [("closed", "chain", 2)]
    assert record.verdict() == ("complete", SLOT + 20, 0)
    assert record.store.gaps_open == 0


def test_a_break_within_the_grace_is_none(tmp_path: Path) -> None:
    record = Record(tmp_path / "a.db", grace_seconds=60)
    made = trades(4)
    record.tell(WATCHED, created(), made[0], made[2], made[3])
    record.look()
    assert record.gaps() == []
    assert record.verdict()[0] == "unproven"
    record.store.close()


def test_breaks_are_found_again_after_a_restart(record: Record) -> None:
    made = trades(6)
    record.tell(WATCHED, created(), made[0], made[1], made[4])
    record.reopen()
    record.look()

    assert record.gaps("cause, net_quote_amount") == [("break", (made[2].quote_amount or 0) - (made[3].quote_amount or 0))]
    record.tell(made[3], made[2])
    assert record.gaps("state") == [("closed",)]


def test_a_state_after_none_of_our_trades_is_a_tail_that_its_trades_close(record: Record) -> None:
    made = trades(6)
    record.tell(WATCHED, created(), *made[:4], anchor(made[5], slot=SLOT + 9))
    record.look()

    net_quote = (made[4].quote_amount or 0) + (made[5].quote_amount or 0)
    assert record.gaps("cause, state, net_quote_amount, from_slot, to_slot") == [("tail", "open", net_quote, SLOT + 3, SLOT + 9)]
    assert record.verdict()[0] == "holes"
    record.tell(*made[4:], source="backfill")
    record.look()
    assert record.gaps("state, closed_by, found") == [("closed", "chain", 2)]
    assert record.verdict() == ("complete", SLOT + 9, 0)


def test_an_anchor_of_an_earlier_slot_matches_the_trade_of_its_time(record: Record) -> None:
    made = trades(6)
    record.tell(WATCHED, created(), *made, anchor(made[2], slot=SLOT + 2))
    assert record.verdict() == ("complete", SLOT + 2, 0)


def test_an_anchor_that_lacks_one_lamport_proves_nothing(record: Record) -> None:
    made = trades(2)
    wrong = anchor(made[1], slot=SLOT + 5)
    record.tell(WATCHED, created(), *made)
    record.tell(Anchor(**{**{f: getattr(wrong, f) for f in wrong.__struct_fields__}, "real_quote_reserves": 1}))
    record.look()
    assert record.verdict()[0] == "holes"


def time_gap() -> GapOpened:
    return GapOpened(cause="disconnected", feed="helius", from_us=(TIME + 2) * US, to_us=(TIME + 5) * US)


def test_a_gap_of_time_closes_when_every_token_watched_in_it_is_proven_past_it(record: Record) -> None:
    made = trades(8)
    record.tell(WATCHED, created(), *made, time_gap())
    record.tell(GapFilling(gap_id=1, from_slot=SLOT + 1, to_slot=SLOT + 6))
    record.tell(GapFilled(gap_id=1, at_us=TIME * US))
    assert record.gaps() == [("disconnected", "filling")]
    record.tell(anchor(made[5], slot=SLOT + 5), GapFilled(gap_id=1, at_us=TIME * US))
    assert record.gaps() == [("disconnected", "filling")]  # that was before its end
    record.tell(anchor(made[6], slot=SLOT + 6), GapFilled(gap_id=1, at_us=TIME * US))

    assert record.gaps("cause, state, closed_by") == [("disconnected", "closed", "chain")]


def test_a_gap_of_time_does_not_close_over_a_hole(record: Record) -> None:
    made = trades(8)
    record.tell(WATCHED, created(), *made[:3], *made[4:], time_gap())
    record.tell(GapFilling(gap_id=1, from_slot=SLOT + 1, to_slot=SLOT + 6))
    record.tell(anchor(made[7], slot=SLOT + 9), GapFilled(gap_id=1, at_us=TIME * US))
    assert ("disconnected", "filling") in record.gaps()


def test_a_finalized_list_closes_a_gap_of_a_token_without_a_chain(record: Record) -> None:
    record.tell(WATCHED, message_trade(), time_gap())
    record.tell(GapFilling(gap_id=1, from_slot=SLOT + 1, to_slot=SLOT + 6))
    listed = Listed(mint=MINT, venue="curve", from_slot=SLOT, to_slot=SLOT + 6, commitment="confirmed", signatures=3, at_us=0)
    record.tell(listed, GapFilled(gap_id=1, at_us=TIME * US))
    assert record.gaps() == [("disconnected", "filling")]
    final = Listed(mint=MINT, venue="curve", from_slot=SLOT, to_slot=SLOT + 6, commitment="finalized", signatures=3, at_us=0)
    record.tell(final, GapFilled(gap_id=1, at_us=TIME * US))
    assert record.gaps("cause, state, closed_by") == [("disconnected", "closed", "signatures")]


def test_what_the_chains_own_list_does_not_explain_is_unfillable_and_said_once(record: Record) -> None:
    made = trades(6)
    record.tell(WATCHED, created(), *made[:2], *made[3:])
    record.look()
    listed = Listed(mint=MINT, venue="curve", from_slot=SLOT, to_slot=SLOT + 6, commitment="finalized", signatures=5, at_us=0)
    record.tell(listed, GapFilled(gap_id=1, at_us=TIME * US))
    record.look()

    assert record.gaps("state, reason") == [("unfillable", "the chain's own history does not explain it")]
    assert record.verdict()[0] == "unproven"


def test_a_truncated_log_closes_with_its_transaction(record: Record) -> None:
    record.tell(GapOpened(cause="log truncated", from_us=1, to_us=1, feed="helius", signature="s" * 87, slot=SLOT))
    record.tell(GapFilled(gap_id=1, at_us=1))
    assert record.gaps() == [("log truncated", "open")]
    record.tell(GapFilled(gap_id=1, at_us=1, fetched=True))
    assert record.gaps() == [("log truncated", "closed")]


def test_a_trade_that_never_landed_leaves_the_record_and_comes_back_if_the_chain_has_it_after_all(record: Record) -> None:
    made = trades(4)
    told = message_trade(signature=made[3].signature, token_amount=made[3].token_amount, is_buy=False)
    record.tell(WATCHED, created(), *made[:3], told)
    record.tell(TradesDropped(signature=told.signature, mint=MINT))
    assert record.ask("SELECT count(*) FROM trade_log") == [(3,)]
    assert record.ask("SELECT trades FROM token_board") == [(3,)]
    record.tell(told, source="pumpportal")  # told again: still not on the chain
    assert record.ask("SELECT state, count(*) FROM trades GROUP BY state") == [(1, 3), (3, 1)]
    record.tell(made[3], source="backfill")
    assert record.ask("SELECT state, count(*) FROM trades GROUP BY state") == [(1, 4)]
    assert record.ask("SELECT trades FROM segments") == [(4,)]


def test_a_word_that_it_never_landed_takes_nothing_away_that_the_chain_has_told(record: Record) -> None:
    made = trades(4)
    record.tell(WATCHED, created(), *made, anchor(made[3], slot=SLOT + 9))
    record.tell(TradesDropped(signature=made[3].signature, mint=MINT))
    assert record.ask("SELECT count(*) FROM trade_log") == [(4,)]
    assert record.verdict() == ("complete", SLOT + 9, 0)


def test_an_end_that_nothing_explains_is_not_called_complete_and_a_new_loss_behind_it_is_filled(record: Record) -> None:
    made = trades(8)
    record.tell(WATCHED, created(), *made[:4], anchor(made[3], slot=SLOT + 4), anchor(made[5], slot=SLOT + 9))
    record.look()
    record.tell(GapFilled(gap_id=1, at_us=TIME * US, unfillable="nobody knows"))
    record.look()
    assert record.gaps() == [("tail", "unfillable")]
    assert record.verdict()[0] == "holes"
    record.tell(anchor(made[5], slot=SLOT + 11))
    record.look()
    assert record.gaps() == [("tail", "unfillable")]  # the same amounts: there is nothing new to ask for
    record.tell(anchor(made[7], slot=SLOT + 12))
    record.look()
    assert record.gaps() == [("tail", "open")]
    record.tell(*made[4:], source="backfill")
    record.look()
    assert record.gaps() == [("tail", "closed")]
    assert record.verdict() == ("complete", SLOT + 12, 0)


def test_a_missing_account_proves_nothing_of_a_token_that_traded(record: Record) -> None:
    made = trades(8)
    record.tell(WATCHED, created(), *made[:3], *made[4:], time_gap())
    record.tell(GapFilling(gap_id=1, from_slot=SLOT + 1, to_slot=SLOT + 6))
    gone = Anchor(mint=MINT, venue="curve", slot=SLOT + 9, asked_at_us=TIME * US, commitment="finalized", exists=False)
    record.tell(gone, GapFilled(gap_id=1, at_us=TIME * US))
    assert ("disconnected", "filling") in record.gaps()


def test_a_gap_over_time_in_which_nobody_watched_is_closed_by_a_list_alone(record: Record) -> None:
    made = trades(8)
    ended = SpellEnded(kind="token", address=MINT, reason="idle", at_us=(TIME + 2) * US)
    again = SpellStarted(kind="token", address=MINT, reason="asked", at_us=(TIME + 60) * US)
    late = [replace(trade, block_time=TIME + 70 + number) for number, trade in enumerate(made)]
    record.tell(WATCHED, created(), *made[:2], ended, again, *late[5:])
    record.tell(GapOpened(cause="silent", feed="helius", from_us=(TIME + 65) * US, to_us=(TIME + 69) * US))
    record.tell(GapFilling(gap_id=1, from_slot=SLOT + 2, to_slot=SLOT + 4))
    record.tell(anchor(made[7], slot=SLOT + 9), GapFilled(gap_id=1, at_us=TIME * US))
    assert record.gaps() == [("silent", "filling")]


def test_a_token_of_which_nothing_is_known_yet_keeps_the_gap_open(record: Record) -> None:
    record.tell(WATCHED, time_gap())
    record.tell(GapFilling(gap_id=1, from_slot=SLOT + 1, to_slot=SLOT + 6), GapFilled(gap_id=1, at_us=TIME * US))
    assert record.gaps() == [("disconnected", "filling")]


def test_a_hole_before_the_first_trade_outlives_a_restart_in_the_grace(tmp_path: Path) -> None:
    record = Record(tmp_path / "a.db", grace_seconds=0.3)
    made = trades(4)
    record.tell(WATCHED, created(), *made[1:])
    record.reopen()
    record.look()
    time.sleep(0.4)
    record.look()
    assert record.gaps("cause, net_quote_amount") == [("break", made[0].quote_amount)]
    record.store.close()


def test_a_transaction_that_was_fetched_and_cannot_be_read_stays_a_gap(record: Record) -> None:
    record.tell(GapOpened(cause="log truncated", from_us=1, to_us=1, feed="helius", signature="s" * 87, slot=SLOT))
    unread = Rejected(kind="unreadable event", reason="?", raw=b"?", ours=True, signature="s" * 87, slot=SLOT)
    record.tell(unread, GapFilled(gap_id=1, at_us=1, fetched=True), source="backfill")
    assert record.gaps() == [("log truncated", "open")]


def test_what_is_missing_before_and_behind_one_trade_are_two_breaks_each_closed_by_its_own(record: Record) -> None:
    made = trades(6)
    record.tell(WATCHED, created(), *made[:2], made[4])
    record.tell(CurveCompleted(signature="b" * 87, mint=MINT, event_index=1, slot=SLOT + 9))
    record.look()
    assert record.gaps() == [("break", "open")] * 2, "both neighbours of the only trade behind the first hole"

    record.tell(*made[2:4])
    record.look()
    assert record.gaps("state, detail LIKE '%and the end of the curve'") == [("closed", 0), ("open", 1)]


def test_a_time_that_no_clock_shows_stops_nothing(record: Record) -> None:
    made = trades(4)
    record.tell(WATCHED, created(), made[0], replace(made[3], block_time=2**62))
    record.look()
    assert record.gaps() == [("break", "open")]


def test_trades_in_any_order_end_in_the_same_segments(record: Record) -> None:
    made = trades(40)
    for place in (7, 3, 1, 5, 0, 9, 2, 8, 6, 4):
        record.tell(*made[place::10])
    assert record.ask("SELECT trades, first_slot, last_slot FROM segments") == [(40, SLOT, SLOT + 39)]


def test_a_file_of_the_first_schema_is_linked_when_it_is_opened(record: Record, tmp_path: Path) -> None:
    made = trades(6)
    record.tell(WATCHED, created(), *made[:2], *made[3:])
    old = tmp_path / "old.db"
    connection = sqlite3.connect(old, isolation_level=None)
    connection.execute(f"PRAGMA application_id={record.ask('PRAGMA application_id')[0][0]}")
    for statement in MIGRATIONS[0]:
        connection.execute(statement)
    connection.execute("ATTACH ? AS new", (str(record.path),))
    for table in ("meta", "wallets", "tokens", "trades", "spells"):
        columns = ", ".join(row[1] for row in connection.execute(f"PRAGMA main.table_info({table})"))
        connection.execute(f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM new.{table}")
    connection.execute("PRAGMA main.user_version=1")
    connection.close()
    migrated = Record(old)
    migrated.look()

    assert migrated.ask("SELECT trades FROM segments ORDER BY first_slot") == [(2,), (3,)]
    assert migrated.verdict()[0] == "holes"
    migrated.store.close()


def pool_trade(place: int, before: Reserves, vault: int) -> Trade:
    """A purchase in the pool of a graduated token, its quote vault *vault* before it."""
    tokens = 1_000_000_000 + place
    quote = -(-tokens * before.quote // (before.token - tokens))
    after = after_trade(before, is_buy=True, token_amount=tokens, quote_amount=quote, lp_fee=7)
    return chain_trade(
        signature="p" * 83 + f"{place:04d}",
        venue="pool",
        token_amount=tokens,
        quote_amount=quote,
        lp_fee=7,
        virtual_token_reserves=after.token,
        virtual_quote_reserves=after.quote,
        real_token_reserves=after.token,
        real_quote_reserves=vault + quote + 7,
        slot=SLOT + place,
        block_time=TIME + place,
    )


def test_a_deposit_is_no_tail_where_the_vaults_agree_and_leaves_a_doubt_that_a_list_settles(record: Record) -> None:
    first = pool_trade(0, Reserves(100_000_000_000, 200_000_000_000_000), 83_000_000_000)
    tokens, vault = (first.real_token_reserves or 0) + 5_000, (first.real_quote_reserves or 0) + 90
    deposit = ReservesChanged(
        signature="d" * 87,
        mint=MINT,
        venue="pool",
        kind="deposit",
        event_index=0,
        slot=SLOT + 1,
        block_time=TIME + 1,
        virtual_token_reserves=tokens,
        real_token_reserves=tokens,
        real_quote_reserves=vault,
    )
    seen = Anchor(
        mint=MINT,
        venue="pool",
        slot=SLOT + 5,
        asked_at_us=(TIME + 5) * US,
        block_time=TIME + 5,
        commitment="confirmed",
        virtual_token_reserves=tokens,
        virtual_quote_reserves=vault + 17_000_000_000,
        real_token_reserves=tokens,
        real_quote_reserves=vault,
    )
    record.tell(WATCHED, first, deposit, seen)
    record.look()
    assert record.gaps() == []
    assert record.verdict() == ("since", SLOT + 5, 0)

    behind = pool_trade(6, Reserves(vault + 17_000_000_000, tokens), vault)
    record.tell(behind)
    record.look()
    assert record.gaps("cause, state, from_slot, to_slot") == [("doubt", "open", SLOT, SLOT + 6)]
    assert record.verdict()[0] == "unproven"
    assert "deposit" in record.ask("SELECT reason FROM token_board")[0][0]
    assert record.ask("SELECT holes FROM token_board") == [(0,)]

    listed = Listed(mint=MINT, venue="pool", from_slot=SLOT, to_slot=SLOT + 6, commitment="confirmed", signatures=3, at_us=0)
    record.tell(listed)
    assert record.gaps() == [("doubt", "open")]
    record.tell(replace(listed, commitment="finalized"))
    assert record.gaps("cause, state, closed_by") == [("doubt", "closed", "signatures")]
    assert record.verdict()[0] == "since"


def test_a_gap_across_a_deposit_closes_when_a_list_tells_of_just_its_slots(record: Record) -> None:
    first = pool_trade(0, Reserves(100_000_000_000, 200_000_000_000_000), 83_000_000_000)
    tokens, vault = (first.real_token_reserves or 0) + 5_000, (first.real_quote_reserves or 0) + 90
    deposit = ReservesChanged(signature="d" * 87, mint=MINT, venue="pool", kind="deposit", event_index=0, slot=SLOT + 3)
    behind = pool_trade(6, Reserves(vault + 17_000_000_000, tokens), vault)
    seen = Anchor(
        mint=MINT,
        venue="pool",
        slot=SLOT + 9,
        asked_at_us=(TIME + 9) * US,
        commitment="confirmed",
        virtual_token_reserves=behind.virtual_token_reserves,
        virtual_quote_reserves=behind.virtual_quote_reserves,
    )
    record.tell(WATCHED, first, deposit, behind, seen, time_gap())
    record.tell(GapFilling(gap_id=1, from_slot=SLOT + 2, to_slot=SLOT + 8), GapFilled(gap_id=1, at_us=TIME * US))
    assert record.gaps() == [("disconnected", "filling"), ("doubt", "open")]
    listed = Listed(mint=MINT, venue="pool", from_slot=SLOT, to_slot=SLOT + 6, commitment="finalized", signatures=3, at_us=0)
    record.tell(listed, GapFilled(gap_id=1, at_us=TIME * US))
    assert record.gaps("cause, closed_by") == [("disconnected", "chain"), ("doubt", "signatures")]
    assert record.verdict()[0] == "since"


def test_in_the_slot_of_the_migration_the_trade_that_came_first_is_first(record: Record) -> None:
    """A completing buy goes on in the pool to come; a boost then adds a virtual reserve; all in one slot."""
    real_quote, opening = 83_000_000_000, 206_900_000_000_000
    bought = 1_000_000_000
    paid = -(-bought * real_quote // (opening - bought))
    before_opening = chain_trade(
        signature="b" * 87,
        venue="pool",
        token_amount=bought,
        quote_amount=paid,
        virtual_token_reserves=opening - bought,
        virtual_quote_reserves=real_quote + paid,
        real_token_reserves=opening - bought,
        real_quote_reserves=real_quote + paid,
        slot=SLOT,
        block_time=TIME,
    )
    boosted = real_quote + paid + 17_000_000_000
    boost = ReservesChanged(
        signature="i" * 87,
        mint=MINT,
        venue="pool",
        kind="init boost",
        event_index=0,
        slot=SLOT,
        virtual_quote_reserves=boosted,
        real_quote_reserves=real_quote + paid,
    )
    completed = CurveCompleted(signature="b" * 87, mint=MINT, event_index=1, slot=SLOT)
    first = pool_trade(1, Reserves(boosted, opening - bought), real_quote + paid)
    record.tell(WATCHED, completed, first, boost, before_opening)
    record.look()

    assert record.gaps() == []


# What was given up


VERDICT = "SELECT completeness, reason, complete_from, complete_until, proven_to_slot, holes FROM token_board"


@pytest.fixture
def proven(record: Record) -> Record:
    """Five trades of a watched token, and its account after them."""
    made = trades(5)
    record.tell(WATCHED, created(), *made, anchor(made[-1], slot=SLOT + 9))
    assert record.ask(VERDICT) == [("complete", None, TIME, TIME + 9, SLOT + 9, 0)]
    return record


@pytest.mark.parametrize("reason", ["budget", "disk"])
def test_what_was_given_up_is_unproven_from_then_on_and_what_is_proven_stays(proven: Record, reason: str) -> None:
    proven.tell(SpellEnded(kind="token", address=MINT, reason=reason, at_us=(TIME + 20) * US))
    given_up = [("unproven", reason, TIME, TIME + 9, SLOT + 9, 0)]

    assert proven.ask(VERDICT) == given_up
    proven.tell(anchor(trades(5)[-1], slot=SLOT + 15))
    assert proven.ask(VERDICT) == [("unproven", reason, TIME, TIME + 15, SLOT + 15, 0)], "a later proof counts"
    proven.tell(SpellStarted(kind="token", address=MINT, reason="asked", at_us=(TIME + 21) * US))
    assert proven.ask("SELECT completeness, reason FROM token_board") == [("complete", None)]


def test_what_is_not_watched_for_other_reasons_is_proven_for_its_time(proven: Record) -> None:
    proven.tell(SpellEnded(kind="token", address=MINT, reason="limit", at_us=(TIME + 20) * US))
    assert proven.ask(VERDICT) == [("spell", None, TIME, TIME + 9, SLOT + 9, 0)]


def test_a_pinned_token_of_which_nothing_is_delivered_for_lack_of_money_is_unproven_until_it_is(proven: Record) -> None:
    spent = GapOpened(cause="budget", feed="helius", mint=MINT, from_us=(TIME + 20) * US, detail="the budget is spent")
    proven.tell(spent)
    assert proven.ask(VERDICT) == [("unproven", "budget", TIME, TIME + 9, SLOT + 9, 0)]

    proven.tell(replace(spent, to_us=(TIME + 30) * US))
    assert proven.ask(VERDICT) == [("complete", None, TIME, TIME + 9, SLOT + 9, 0)], "the gap itself is closed by proof alone"
    assert proven.gaps() == [("budget", "open")]


def test_a_hole_stays_a_hole_when_its_token_is_given_up(record: Record) -> None:
    made = trades(5)
    record.tell(WATCHED, created(), *made[:2], *made[3:], anchor(made[-1], slot=SLOT + 9))
    record.look()
    record.tell(SpellEnded(kind="token", address=MINT, reason="budget", at_us=(TIME + 20) * US))

    assert record.verdict()[0] == "holes"


def test_a_token_that_was_asked_for_and_given_up_is_known_at_the_next_start(record: Record) -> None:
    def spell(mint: str, reason: str, at: int, end: str | None, end_at: int) -> None:
        record.tell(SpellStarted(kind="token", address=mint, reason=reason, at_us=at * US))
        if end is not None:
            record.tell(SpellEnded(kind="token", address=mint, reason=end, at_us=end_at * US))

    spell("asked and given up", "asked", 1, "budget", 2)
    spell("admitted and given up", "admitted", 1, "budget", 2)
    spell("brought back", "asked", 1, "budget", 2)
    spell("brought back", "asked", 3, None, 4)
    spell("removed", "asked", 1, "budget", 2)
    spell("removed", "asked", 3, "asked", 3)
    assert record.store.suspended() == ["asked and given up"]
