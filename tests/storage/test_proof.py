"""What the proof shows is what was left out: judged by the trades themselves, one of which the store was never given."""

from __future__ import annotations

import json
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from audit_samples import Token, record
from msgspec.structs import replace
from real_coin import real_trades

from pumpwatch.decode.solana import Notified, decode_message
from pumpwatch.events import Delivery, Event, GapOpened, PoolSeen, SpellEnded, SpellStarted, Trade
from pumpwatch.simulator import solana
from pumpwatch.simulator.market import Market, Plan
from pumpwatch.simulator.truth import TradeRow
from pumpwatch.storage.beads import Bead
from pumpwatch.storage.proof import Proof, proof_of
from pumpwatch.storage.queries import Moment, open_reader
from pumpwatch.storage.store import Store

#: The rows of the file that are of one unbroken run: two later ones lie apart.
UNBROKEN = 497
US = 1_000_000


@pytest.fixture(scope="module")
def coin(corpus: Path) -> list[Trade]:
    """A real coin from its first trade on, in the chain's order."""
    return real_trades(corpus)[:UNBROKEN]


class Kept:
    """A store that judges at once, and the proof that a reader sees."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.store = Store.open(path, origin="simulator", break_grace_seconds=0.0)

    def tell(self, events: Iterable[Event], source: str = "helius") -> None:
        at_us = time.time_ns() // 1000
        self.store.apply([Delivery(source=source, received_at_us=at_us, events=(event,)) for event in events])
        self.store.look(now_us=time.time_ns() // 1000)

    def watch(self, mint: str, *, at: int = 0) -> None:
        """From before all that is told of it: only in such a time something can be missed."""
        self.tell([SpellStarted(kind="token", address=mint, reason="asked", at_us=at * US)], source="pumpwatch")

    def proof(self, mint: str, *, limit: int = 500) -> Proof:
        with open_reader(self.path) as reader:
            found = proof_of(reader, mint, limit=limit)
        assert found is not None
        return found

    def gaps(self, mint: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.path)) as connection:
            columns = "id, cause, state, net_token_amount, net_quote_amount, found, closed_by"
            return connection.execute(f"SELECT {columns} FROM gaps WHERE mint = ? ORDER BY id", (mint,)).fetchall()


@pytest.fixture
def kept(path: Path) -> Iterable[Kept]:
    kept = Kept(path)
    yield kept
    kept.store.close()


def place(bead: Bead) -> tuple[str, int | None]:
    return bead.trade.signature, bead.trade.event_index


def net(trades: Sequence[Trade]) -> tuple[int, int]:
    """By how much they moved the reserves: read off the amounts."""
    tokens = sum(-trade.token_amount if trade.is_buy else trade.token_amount for trade in trades)
    return tokens, sum((trade.quote_amount or 0) * (1 if trade.is_buy else -1) for trade in trades)


def test_a_real_coin_is_one_chain_from_its_first_trade_to_its_last(kept: Kept, coin: list[Trade]) -> None:
    kept.tell(reversed(coin))

    proof = kept.proof(coin[0].mint)
    assert [place(bead) for bead in proof.chain] == [(trade.signature, trade.event_index) for trade in coin]
    assert [bead.link for bead in proof.chain] == ["first"] + ["chained"] * (UNBROKEN - 1)
    assert [(one.trades, one.venue, one.from_slot, one.to_slot) for one in proof.segments] == [
        (UNBROKEN, "curve", coin[0].slot, coin[-1].slot)
    ]
    assert (proof.missing, proof.gaps, proof.is_cut) == ([], [], False)
    assert not any(bead.fetched or bead.moved_by for bead in proof.chain)


@pytest.mark.parametrize(("first", "length"), [(1, 1), (2, 1), (57, 1), (200, 2), (300, 7), (301, 120), (UNBROKEN - 2, 1)])
def test_what_was_left_out_is_the_hole_at_its_place_and_of_its_size_until_it_is_fetched(
    kept: Kept, coin: list[Trade], first: int, length: int
) -> None:
    left_out = coin[first : first + length]
    mint = coin[0].mint
    kept.watch(mint)
    kept.tell(trade for trade in coin if trade not in left_out)

    before = kept.proof(mint)
    links = [bead.link for bead in before.chain]
    assert links == ["first"] + ["chained"] * (first - 1) + ["hole"] + ["chained"] * (UNBROKEN - first - length - 1)
    bead = before.chain[first]
    assert place(bead) == (coin[first + length].signature, coin[first + length].event_index)
    [missing] = before.missing
    assert bead.missing == missing
    assert (missing.token_amount, missing.quote_amount) == net(left_out)
    assert (missing.from_slot, missing.to_slot) == (coin[first - 1].slot, coin[first + length].slot)
    assert missing.reason is None
    assert missing.fits_one_trade or length > 1
    [gap] = before.gaps
    assert (gap.id, gap.cause, gap.state, gap.mint) == (bead.gap, "break", "open", mint)
    assert (gap.net_token_amount, gap.net_quote_amount) == net(left_out)
    assert [one.trades for one in before.segments] == [first, UNBROKEN - first - length]

    kept.tell(left_out, source="backfill")
    after = kept.proof(mint)
    assert [bead.link for bead in after.chain] == ["first"] + ["chained"] * (UNBROKEN - 1)
    fetched = [place(bead) for bead in after.chain if bead.fetched]
    assert fetched == [(trade.signature, trade.event_index) for trade in left_out]
    assert {tuple(bead.sources) for bead in after.chain} == {("helius",), ("backfill",)}
    assert after.missing == []
    assert [(one.id, one.state, one.closed_by, one.found) for one in after.gaps] == [(gap.id, "closed", "chain", length)]


def test_what_passed_while_it_was_not_watched_is_told_so(kept: Kept, coin: list[Trade]) -> None:
    mint, begin, pause = coin[0].mint, coin[0].block_time or 0, coin[299].block_time or 0
    kept.tell(
        [
            SpellStarted(kind="token", address=mint, reason="asked", at_us=begin * US - US),
            SpellEnded(kind="token", address=mint, reason="asked", at_us=(pause + 200) * US),
            SpellStarted(kind="token", address=mint, reason="asked", at_us=(pause + 800) * US),
        ],
        source="pumpwatch",
    )
    later = [replace(trade, block_time=(trade.block_time or 0) + 1000) for trade in coin[300:]]
    kept.tell(trade for number, trade in enumerate([*coin[:300], *later]) if number not in (10, 300))

    proof = kept.proof(mint)
    assert [(bead.link, bead.missing and bead.missing.is_unwatched) for bead in proof.chain if bead.link == "hole"] == [
        ("hole", False),
        ("hole", True),
    ]
    assert [one.gap is None for one in proof.missing] == [False, True]


def test_a_hole_just_before_the_shown_trades_is_shown_and_what_lies_further_back_is_told(kept: Kept, coin: list[Trade]) -> None:
    kept.watch(coin[0].mint)
    kept.tell(trade for number, trade in enumerate(coin) if number not in (100, 400))

    proof = kept.proof(coin[0].mint, limit=UNBROKEN - 401)
    assert [bead.link for bead in proof.chain] == ["hole"] + ["chained"] * (UNBROKEN - 402)
    assert [(one.token_amount, one.quote_amount) for one in proof.missing] == [net(coin[100:101]), net(coin[400:401])]
    assert sorted(gap.id for gap in proof.gaps) == [one.gap for one in proof.missing]
    inside = kept.proof(coin[0].mint, limit=20)
    assert {bead.link for bead in inside.chain} == {"chained"}
    assert inside.missing == proof.missing


def test_two_holes_at_one_transaction_have_a_row_each(kept: Kept, coin: list[Trade]) -> None:
    at = next(n for n in range(20, 400) if coin[n].is_buy and coin[n + 1].is_buy and coin[n + 2].is_buy)
    one, inside = coin[at], {at + 1: 1, at + 2: 2}  # as if one transaction had made three trades in a row
    chain = [
        replace(trade, signature=one.signature, event_index=inside[number], slot=one.slot) if number in inside else trade
        for number, trade in enumerate(coin)
    ]
    kept.watch(one.mint)
    kept.tell(trade for number, trade in enumerate(chain) if number not in (at - 1, at + 1))

    holes = [bead for bead in kept.proof(coin[0].mint).chain if bead.link == "hole"]
    assert [place(bead)[0] for bead in holes] == [one.signature] * 2
    sizes = {number: (tokens, quote) for number, _, _, tokens, quote, *_ in kept.gaps(coin[0].mint)}
    assert [sizes[bead.gap or 0] for bead in holes] == [net([coin[at - 1]]), net([coin[at + 1]])]


def test_what_only_pumpportal_told_has_no_place_yet(kept: Kept, coin: list[Trade]) -> None:
    kept.tell(coin[:20])
    told = next(trade for trade in coin[20:] if trade.signature != coin[19].signature)
    kept.tell(
        [Trade(signature=told.signature, mint=told.mint, wallet=told.wallet, is_buy=True, venue="curve", token_amount=5)],
        source="pumpportal",
    )

    proof = kept.proof(coin[0].mint)
    assert [bead.link for bead in proof.chain] == ["first"] + ["chained"] * 19 + ["unordered"]
    assert (proof.chain[-1].trade.state, proof.chain[-1].gap, proof.chain[-1].fetched) == ("provisional", None, False)
    assert proof.missing == []


def test_a_trade_that_comes_while_the_proof_is_read_is_in_all_of_it_or_in_none(
    kept: Kept, coin: list[Trade], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.tell(trade for trade in coin if trade is not coin[200])
    ask = Moment.rows
    asked: list[str] = []

    def meanwhile(self: Moment, statement: str, **parameters: object) -> list[Any]:
        found = ask(self, statement, **parameters)
        if "FROM gaps" in statement and not asked:  # the trades were read, the segments were not
            kept.tell(coin[200:201], source="backfill")
            asked.append(statement)
        return found

    monkeypatch.setattr(Moment, "rows", meanwhile)
    proof = kept.proof(coin[0].mint)
    assert asked
    assert [bead.link for bead in proof.chain].count("hole") == 1
    assert len(proof.chain) == UNBROKEN - 1
    monkeypatch.undo()
    assert {bead.link for bead in kept.proof(coin[0].mint).chain} == {"first", "chained"}


def test_gaps_of_all_tokens_are_told_of_those_that_were_watched_then(kept: Kept, coin: list[Trade]) -> None:
    mint, at = coin[0].mint, 1_000 * US
    kept.tell([coin[0]])
    kept.tell(
        [
            SpellStarted(kind="token", address=mint, reason="asked", at_us=at),
            SpellEnded(kind="token", address=mint, reason="asked", at_us=at + 100 * US),
            GapOpened(cause="disconnected", feed="helius", from_us=at - 20 * US, to_us=at - 10 * US),
            GapOpened(cause="silent", feed="helius", from_us=at - 20 * US, to_us=at + 10 * US),
            GapOpened(cause="restart", from_us=at + 99 * US, to_us=at + 200 * US),
            GapOpened(cause="disconnected", feed="pumpportal", from_us=at + 101 * US),
            GapOpened(cause="watched", feed="helius", mint=mint, from_us=at, to_us=at + US),
            GapOpened(cause="watched", feed="helius", mint="another", from_us=at, to_us=at + US),
            GapOpened(cause="limit", from_us=at, to_us=at + US),
        ],
        source="pumpwatch",
    )

    gaps = kept.proof(mint).gaps
    assert [(gap.cause, gap.mint) for gap in gaps] == [("watched", mint), ("restart", None), ("silent", None)]


def test_what_is_still_open_is_not_pushed_out_by_what_is_closed(kept: Kept, coin: list[Trade]) -> None:
    mint = coin[0].mint
    kept.watch(mint)
    kept.tell(trade for trade in coin[:20] if trade is not coin[10])
    with closing(sqlite3.connect(kept.path)) as connection, connection:
        connection.executemany(
            "INSERT INTO gaps (cause, mint, from_us, to_us, state) VALUES ('watched', ?, ?, ?, 'closed')",
            [(mint, number, number) for number in range(300)],
        )

    proof = kept.proof(mint)
    assert len(proof.gaps) == 200
    assert [gap.id for gap in proof.gaps] == sorted((gap.id for gap in proof.gaps), reverse=True)
    assert proof.gaps[-1].id == proof.chain[10].gap


def test_an_account_that_agrees_is_told_and_one_that_is_ahead(path: Path) -> None:
    token = Token(3, trades=8)
    record(path, token.created, token.watched, *token.trades[:6], token.anchor(after=6), token.anchor(after=8))

    with open_reader(path) as reader:
        proof = proof_of(reader, token.mint, limit=10)
    assert proof is not None
    assert [(one.venue, one.slot, one.exists, one.agrees) for one in proof.anchors] == [
        ("curve", (token.trades[7].slot or 0) + 5, True, False),
        ("curve", (token.trades[5].slot or 0) + 5, True, True),
    ]
    assert [(gap.cause, gap.state) for gap in proof.gaps] == [("tail", "open")]
    assert [bead.link for bead in proof.chain] == ["first"] + ["chained"] * 5


def test_a_trade_missing_behind_the_creation_is_a_hole_before_the_first(path: Path) -> None:
    token = Token(5, trades=4)
    record(path, token.created, token.watched, *token.trades[1:])

    with open_reader(path) as reader:
        proof = proof_of(reader, token.mint, limit=10)
    assert proof is not None
    assert [bead.link for bead in proof.chain] == ["hole", "chained", "chained"]
    assert [(one.token_amount, one.quote_amount) for one in proof.missing] == [net(token.trades[:1])]


def test_a_token_that_is_not_there_has_no_proof(kept: Kept, coin: list[Trade]) -> None:
    with open_reader(kept.path) as reader:
        assert proof_of(reader, coin[0].mint, limit=5) is None


@pytest.fixture(scope="module")
def market() -> Market:
    """Curves, pools, a curve that completes, mayhem coins whose reserves move without a trade."""
    market = Market(seed=5, plan=Plan(liquidity=0.0, active_coins=10))
    for number in range(2_500):
        market.next(number / 30)
    return market


def told_by(market: Market) -> list[Event]:
    """All that happened, as the recorder's decoder reads it."""
    pools = {
        coin.pool: PoolSeen(pool=coin.pool, mint=coin.mint, quote_mint=coin.quote_mint, quote_decimals=9 if coin.is_sol else 6)
        for coin in market.coins.values()
    }
    events: list[Event] = []
    for item in market.history:
        value = json.dumps({"signature": item.signature, "err": item.err, "logs": item.lines})
        told = decode_message(solana._logs_notification(2**60, item.slot, value).encode(), pools)
        assert isinstance(told, Notified)
        events += told.events
    return events


def meets(earlier: TradeRow, later: TradeRow) -> bool:
    """Whether one begins where the other ended, by its own amounts."""
    sign = 1 if later.is_buy else -1
    tokens = later.virtual_token_reserves + sign * later.token_amount
    if later.venue == "curve":
        return (tokens, later.real_quote_reserves - sign * later.quote_amount) == (
            earlier.virtual_token_reserves,
            earlier.real_quote_reserves,
        )
    quote = later.virtual_quote_reserves - sign * later.quote_amount - later.lp_fee
    return (tokens, quote) == (earlier.virtual_token_reserves, earlier.virtual_quote_reserves)


@pytest.mark.parametrize("which", [1, 2, 5])
def test_of_each_coin_of_a_market_the_one_trade_that_was_left_out_is_the_hole(kept: Kept, market: Market, which: int) -> None:
    """Every *which*-th trade of the middle of each coin's truth is left out; the order is the market's own."""
    truth: dict[str, list[TradeRow]] = {}
    for row in market.ledger:
        truth.setdefault(row.mint, []).append(row)
    lost: dict[str, TradeRow] = {}
    for mint, rows in truth.items():
        if 20 <= len(rows) <= 500:
            lost[mint] = rows[len(rows) // 2 + which]
    gone = {(row.signature, row.event_index) for row in lost.values()}
    all_told = told_by(market)
    kept.tell(event for event in all_told if not isinstance(event, Trade) or (event.signature, event.event_index) not in gone)

    kinds: Counter[str] = Counter()
    for mint, row in lost.items():
        proof = kept.proof(mint)
        rest = [(one.signature, one.event_index) for one in truth[mint] if one is not row]
        assert [place(bead) for bead in proof.chain] == rest, market.coins[mint]
        behind = truth[mint][truth[mint].index(row) + 1]
        holes = [place(bead) for bead in proof.chain if bead.link == "hole"]
        assert holes == [(behind.signature, behind.event_index)]
        for (earlier, later), bead in zip(pairwise(one for one in truth[mint] if one is not row), proof.chain[1:], strict=True):
            if earlier.venue == later.venue and not later.by_agent:
                assert meets(earlier, later) == (bead.link == "chained" and bead.moved_by is None)
        kinds["moved" if any(bead.moved_by for bead in proof.chain) else row.venue] += 1
    assert kinds["curve"] > 5
    assert kinds["pool"] > 0
    assert kinds["moved"] > 0


def test_a_hole_at_the_end_of_a_curve_is_shown_before_the_first_trade_of_its_pool(kept: Kept, market: Market) -> None:
    rows: dict[str, list[TradeRow]] = {}
    for row in market.ledger:
        rows.setdefault(row.mint, []).append(row)
    last = {
        mint: max(number for number, row in enumerate(of_coin) if row.venue == "curve")
        for mint, of_coin in rows.items()
        if {row.venue for row in of_coin} == {"curve", "pool"}
    }
    gone = {(rows[mint][number].signature, rows[mint][number].event_index) for mint, number in last.items()}
    all_told = told_by(market)
    kept.tell(event for event in all_told if not isinstance(event, Trade) or (event.signature, event.event_index) not in gone)

    assert last
    for mint, number in last.items():
        proof = kept.proof(mint)
        [hole] = [bead for bead in proof.chain if bead.link == "hole"]
        assert place(hole) == (rows[mint][number + 1].signature, rows[mint][number + 1].event_index)
        assert hole.trade.venue == "pool"
        assert hole.missing is not None
        assert (hole.missing.venue, hole.missing.token_amount) == ("curve", -rows[mint][number].token_amount)
