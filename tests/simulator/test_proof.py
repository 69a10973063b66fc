"""What a record says of its completeness is held against the truth: each false claim is made once."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from pumpwatch.simulator.market import SLOT_SECONDS, Market, Plan
from pumpwatch.simulator.proof import Proof, examine
from pumpwatch.simulator.truth import TradeRow

_TABLES = """
CREATE TABLE trade_log (signature, event_index, sources, confirmed);
CREATE TABLE tokens (id, mint, completeness, complete_from, proven_to_slot, reason, start_real_token_reserves, created_slot);
CREATE TABLE baselines (token_id, slot, trades, buys, volume);
CREATE TABLE spells (kind, address, started_at_us, ended_at_us);
CREATE TABLE gaps (cause, state, mint, net_token_amount, net_quote_amount, from_slot, to_slot, reason);
"""
START_SLOT = 454_000_000


def slot_us(slot: int) -> int:
    return int((slot - START_SLOT) * SLOT_SECONDS * 1e6) + 10**15


@pytest.fixture(scope="module")
def market() -> Market:
    market = Market(seed=3, plan=Plan(mayhem_params=0, liquidity=0))
    for number in range(1_500):
        market.next(number / 20)
    return market


class Record:
    """A record in which all is right until something is spoiled: one coin, watched from before its creation until now."""

    def __init__(self, path: Path, market: Market, coin: str = "plain") -> None:
        self.path = path
        self.market = market
        self.mint = market.opening[coin].mint
        self.rows = [row for row in market.ledger if row.mint == self.mint]
        self.db = sqlite3.connect(path, isolation_level=None)
        self.db.executescript(_TABLES)
        self.db.execute("INSERT INTO spells VALUES ('token', ?, ?, NULL)", (self.mint, slot_us(START_SLOT - 1000)))

    def record(self, *, without: tuple[TradeRow, ...] = (), sources: str = "helius") -> None:
        left_out = {row.number for row in without}
        for row in self.rows:
            if row.number not in left_out:
                self.db.execute("INSERT INTO trade_log VALUES (?, ?, ?, 1)", (row.signature, row.event_index, sources))

    def verdict(self, completeness: str, *, since: int | None = None, to_slot: int | None = None) -> None:
        values = (self.mint, completeness, since, to_slot or self.rows[-1].slot, "why", 1, self.rows[0].slot)
        self.db.execute("INSERT INTO tokens VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)", values)

    def gap(self, cause: str, state: str, *row: int) -> None:
        tokens, quote, first, last = row or (None, None, None, None)
        self.db.execute(
            "INSERT INTO gaps VALUES (?, ?, ?, ?, ?, ?, ?, NULL)", (cause, state, self.mint, tokens, quote, first, last)
        )

    def examine(self) -> Proof:
        return examine(self.path, market=self.market, slot_us=slot_us)


@pytest.fixture
def record(tmp_path: Path, market: Market) -> Record:
    return Record(tmp_path / "some.db", market)


def moved(rows: list[TradeRow]) -> tuple[int, int]:
    """By how much the reserves moved over *rows*, read off the states."""
    signs = [1 if row.is_buy else -1 for row in rows]
    tokens = sum(-sign * row.token_amount for sign, row in zip(signs, rows, strict=True))
    return tokens, sum(sign * row.quote_amount for sign, row in zip(signs, rows, strict=True))


def test_a_whole_record_is_whole_and_true(record: Record) -> None:
    record.record(sources="backfill")
    record.verdict("complete")
    record.gap("restart", "closed")

    found = record.examine()

    assert (found.is_whole, found.is_true) == (True, True), found
    assert (found.watched, found.missing, found.repaired) == (len(record.rows), 0, len(record.rows))
    assert found.verdicts == {"complete": 1}
    assert len(record.rows) > 20


@pytest.mark.parametrize("verdict", ["complete", "since", "spell"])
def test_a_token_called_complete_that_lacks_a_trade_is_found(record: Record, verdict: str) -> None:
    record.record(without=(record.rows[9],))
    record.verdict(verdict, since=record.rows[9].block_time - 1)

    found = record.examine()

    assert (found.false_complete, found.missing) == (1, 1)
    assert not found.is_true
    assert "FALSE COMPLETE" in str(found.problems)


@pytest.mark.parametrize(
    ("verdict", "missing", "claims"),
    [("since", 3, {"since": 5}), ("complete", -1, {"to_slot": -2}), ("holes", 5, {}), ("unproven", 5, {})],
)
def test_what_is_not_claimed_is_not_false(record: Record, verdict: str, missing: int, claims: dict[str, int]) -> None:
    record.record(without=(record.rows[missing],))
    since = record.rows[claims["since"]].block_time if "since" in claims else None
    to_slot = record.rows[-1].slot - 1 if "to_slot" in claims else None
    record.verdict(verdict, since=since, to_slot=to_slot)

    found = record.examine()

    assert (found.false_complete, found.missing) == (0, 1)
    assert not found.is_whole


def test_a_provisional_trade_proves_nothing(record: Record) -> None:
    record.record()
    record.verdict("complete")
    record.db.execute("UPDATE trade_log SET confirmed = 0 WHERE signature = ?", (record.rows[4].signature,))

    assert record.examine().false_complete == 1


def test_what_is_proven_no_further_than_before_the_last_trade_is_behind(record: Record) -> None:
    record.record()
    record.verdict("complete", to_slot=record.rows[-1].slot - 1)

    found = record.examine()

    assert (found.behind, found.is_whole, found.is_true) == (1, False, True)


def test_a_token_that_nobody_trades_needs_no_proof_and_one_whose_trades_are_all_missing_does(record: Record) -> None:
    record.verdict("unproven")
    assert (record.examine().untraded, record.examine().is_whole) == (0, False)

    record.db.execute("UPDATE spells SET started_at_us = ?", (slot_us(record.rows[-1].slot + 1),))

    found = record.examine()
    assert (found.untraded, found.proven, found.is_whole) == (1, 0, True)


@pytest.mark.parametrize("state", ["open", "filling", "unfillable"])
def test_a_gap_that_is_left_is_not_whole(record: Record, state: str) -> None:
    record.record()
    record.verdict("complete")
    record.gap("disconnected", state)

    assert not record.examine().is_whole


def test_trades_outside_of_a_spell_are_nobodys(record: Record) -> None:
    begun, ended = record.rows[5], record.rows[-5]
    record.record(without=(*record.rows[:5], *record.rows[-4:]))
    record.verdict("spell", since=begun.block_time - 1, to_slot=ended.slot)
    record.db.execute("UPDATE spells SET started_at_us = ?, ended_at_us = ?", (slot_us(begun.slot), slot_us(ended.slot + 1)))

    found = record.examine()

    assert (found.missing, found.false_complete) == (0, 0), found.problems
    assert begun.slot > record.rows[4].slot
    assert found.watched == len([row for row in record.rows if begun.slot <= row.slot <= ended.slot])


def test_unreadable_trades_are_counted_apart(record: Record) -> None:
    record.record(without=(record.rows[9],))
    record.verdict("unproven")
    record.market.upgrade.unreadable.add(record.rows[9].number)
    try:
        found = record.examine()
    finally:
        record.market.upgrade.unreadable.clear()

    assert (found.missing, found.unreadable) == (0, 1)


@pytest.mark.parametrize("run", [slice(0, 1), slice(0, 3), slice(6, 7), slice(6, 15)])
@pytest.mark.parametrize("coin", ["plain", "usdc", "mayhem"])
def test_each_missing_run_is_one_hole_of_its_size(tmp_path: Path, market: Market, run: slice, coin: str) -> None:
    record = Record(tmp_path / "some.db", market, coin)
    lost = record.rows[run]
    record.record(without=tuple(lost))
    record.verdict("holes")
    before = record.rows[run.start - 1] if run.start else lost[0]
    after = record.rows[run.stop]
    assert (record.examine().unseen_holes, record.examine().is_true) == (1, False)

    record.gap("break", "open", *moved(lost), before.slot, after.slot)
    found = record.examine()
    assert (found.holes, found.unseen_holes, found.false_holes, found.is_true) == (1, 0, 0, True), found.problems

    for wrong in ("net_token_amount = net_token_amount + 1", "net_quote_amount = net_quote_amount - 1", "state = 'closed'"):
        record.db.execute(f"UPDATE gaps SET {wrong}")
        assert record.examine().unseen_holes == 1, wrong
        record.db.execute("DELETE FROM gaps")
        record.gap("break", "open", *moved(lost), before.slot, after.slot)


def test_two_breaks_for_one_run_are_one_too_many(record: Record) -> None:
    lost = record.rows[4:6]
    record.record(without=tuple(lost))
    record.verdict("holes")
    for _ in range(2):
        record.gap("break", "open", *moved(lost), record.rows[3].slot, record.rows[6].slot)

    found = record.examine()

    assert (found.holes, found.unseen_holes, found.false_holes) == (1, 0, 1)


def test_what_is_missing_at_the_end_is_no_hole(record: Record) -> None:
    record.record(without=tuple(record.rows[-4:]))
    record.verdict("unproven")

    assert (record.examine().holes, record.examine().missing) == (0, 4)


def test_a_pools_hole_counts_the_fee_that_stays_in_it(tmp_path: Path, market: Market) -> None:
    record = Record(tmp_path / "some.db", market, "graduated")
    pool = [row for row in record.rows if row.venue == "pool"]
    before, lost, after = pool[10], pool[11:14], pool[14]
    record.record(without=tuple(lost))
    record.verdict("holes")
    tokens = lost[-1].virtual_token_reserves - before.virtual_token_reserves
    quote = lost[-1].virtual_quote_reserves - before.virtual_quote_reserves
    record.gap("break", "unfillable", tokens, quote, before.slot, after.slot)

    found = record.examine()

    assert (found.holes, found.unseen_holes, found.false_holes) == (1, 0, 0), found.problems
