"""Promises of lists of trades: just what fits, in order, whatever the way there; and no more work than is bounded."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cli_samples import NOW, USDC, Maker

from pumpwatch.events import WRAPPED_SOL
from pumpwatch.storage import backwards, tape
from pumpwatch.storage.chosen import TradeRow, Wanted, completeness_of, rows
from pumpwatch.storage.queries import Reader, open_reader
from pumpwatch.storage.store import Store
from pumpwatch.storage.tape import addresses_beginning_with, trades

SECONDS = 400


class Market:
    """A record of a few tokens and wallets; the trades as the view has them, read whole."""

    def __init__(self, reader: Reader, rows: Sequence[TradeRow], mints: list[str], wallets: list[str]) -> None:
        self.reader = reader
        self.rows = rows
        self.mints = mints
        self.wallets = wallets


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    path = tmp_path_factory.mktemp("tape") / "trades.db"
    store = Store.open(path, origin="simulator")
    make = Maker()
    mints, wallets = [make.address() for _ in range(25)], [make.address() for _ in range(6)]
    order = list(range(900))
    for number in order:
        mint = mints[min(int(make.random.expovariate(0.2)), 24)]
        wallet = wallets[min(int(make.random.expovariate(1)), 5)]
        second = number * SECONDS // len(order)
        if make.random.random() < 0.1:
            make.provisional(mint, wallet, number)
            continue
        make.trade(
            *(mint, wallet, number),
            slot=1000 + second * 2 + number % 2,
            block_time=NOW + second,
            venue="curve" if second < SECONDS // 2 else "pool",
            quote_amount=make.random.randrange(10**6, 10**9),
            token_amount=make.random.randrange(1, 10**9),
            quote_mint=USDC if mint == mints[0] else WRAPPED_SOL,
        )
    make.random.shuffle(make.deliveries)  # backfilled in any order: ids say nothing of the chain's
    arrived = [
        msgspec.structs.replace(delivery, received_at_us=(NOW + number // 2) * 1_000_000)
        for number, delivery in enumerate(make.deliveries)
    ]
    for start in range(0, len(arrived), 100):
        store.apply(arrived[start : start + 100])
    store.checkpoint()
    store.close()
    with open_reader(path) as reader, closing(sqlite3.connect(path)) as connection:
        ids = [id_ for (id_,) in connection.execute("SELECT id FROM trades WHERE state <= 2")]
        yield Market(reader, rows(reader, ids), mints, wallets)


def at(row: TradeRow) -> int:
    return row.received_at_us // 1_000_000 if row.block_time is None else row.block_time


def fits(row: TradeRow, wanted: Wanted) -> bool:
    units = 1e6 if row.quote_mint == USDC else 1e9
    return (
        (wanted.mint in (None, row.mint))
        and (wanted.wallet in (None, row.wallet))
        and (wanted.side in (None, row.side))
        and (wanted.venue in (None, row.venue))
        and (wanted.minimum_quote is None or (row.quote_amount is not None and row.quote_amount / units >= wanted.minimum_quote))
        and (wanted.minimum_tokens is None or row.token_amount / 1e6 >= wanted.minimum_tokens)
        and (wanted.since is None or at(row) >= wanted.since)
        and (wanted.until is None or at(row) <= wanted.until)
        and (not wanted.confirmed_only or bool(row.confirmed))
    )


def questions(market: Market, number: int) -> Iterator[Wanted]:
    chance = random.Random(number)

    def maybe(value: Any, share: float = 0.3) -> Any:
        return value if chance.random() < share else None

    for _ in range(number):
        yield Wanted(
            mint=maybe(chance.choice(market.mints[:8]), 0.4),
            wallet=maybe(chance.choice(market.wallets), 0.5),
            side=maybe(chance.choice(("buy", "sell"))),
            venue=maybe(chance.choice(("curve", "pool"))),
            minimum_quote=maybe(chance.choice((0.1, 0.9))),
            minimum_tokens=maybe(chance.choice((10, 900))),
            since=maybe(NOW + chance.randrange(SECONDS)),
            until=maybe(NOW + chance.randrange(SECONDS)),
            confirmed_only=chance.random() < 0.3,
        )


@pytest.mark.parametrize("oldest_first", [False, True])
@pytest.mark.parametrize("few", [3, 20_000])
@pytest.mark.parametrize("is_busy", [False, True])
def test_an_answer_is_the_first_of_all_that_fits(
    market: Market, oldest_first: bool, few: int, is_busy: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tape, "_FIRST_POSITIONS", 2)
    monkeypatch.setattr(tape, "_SLACK_SECONDS", 5)
    if is_busy:  # every wallet is: its newest trades are looked for among the newest of all
        monkeypatch.setattr(backwards, "_MANY_POSITIONS", 1)
        monkeypatch.setattr(backwards, "_STEPS", (3, 30, 300))
    if few == 3:
        monkeypatch.setattr(tape, "_FEW_TRADES", few)
    for wanted in questions(market, 150):
        if few == 3 and wanted.wallet and not wanted.confirmed_only:
            continue  # more provisional trades than it reads at once: see below
        every = [row for row in market.rows if fits(row, wanted)]
        for limit in (1, 7, 5000):
            listing = trades(market.reader, wanted, limit=limit, oldest_first=oldest_first)
            assert not listing.is_cut
            assert len(listing.trades) == min(limit, len(every))
            assert len(set(listing.trades)) == len(listing.trades)
            assert all(fits(row, wanted) for row in listing.trades)
            if wanted.mint is None:
                times = sorted((at(row) for row in every), reverse=not oldest_first)
                assert [at(row) for row in listing.trades] == times[:limit]
            else:
                keys = sorted((row.chain_key or "ff" for row in every), reverse=not oldest_first)
                assert [row.chain_key or "ff" for row in listing.trades] == keys[:limit]


def test_the_newest_trades_of_a_busy_wallet_are_found_without_a_look_at_its_positions(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backwards, "_MANY_POSITIONS", 10)
    monkeypatch.setattr(backwards, "_STEPS", (20, 100))
    asked: list[str] = []
    ask_rows = market.reader.rows

    def noted(statement: str, **parameters: object) -> list[Any]:
        asked.append(statement)
        return ask_rows(statement, **parameters)

    monkeypatch.setattr(market.reader, "rows", noted)
    busiest = market.wallets[0]
    assert len(trades(market.reader, Wanted(wallet=busiest), limit=10).trades) == 10
    assert not any("ORDER BY last_trade_at" in statement or "provisional_buys" in statement for statement in asked)

    asked.clear()
    everything = trades(market.reader, Wanted(wallet=busiest), limit=1000).trades  # more than there are so near
    assert len(everything) == sum(row.wallet == busiest for row in market.rows)
    assert any("provisional_buys" in statement for statement in asked)


@pytest.mark.parametrize("oldest_first", [False, True])
def test_what_was_cut_says_up_to_where_it_is_whole(market: Market, oldest_first: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tape, "MOST_ROWS", 40)
    monkeypatch.setattr(tape, "_FIRST_POSITIONS", 2)
    monkeypatch.setattr(tape, "_FEW_TRADES", 30)
    cut = 0
    for wanted in questions(market, 200):
        listing = trades(market.reader, wanted, limit=5000, oldest_first=oldest_first)
        every = {row for row in market.rows if fits(row, wanted)}
        assert set(listing.trades) <= every
        if not listing.is_cut:
            assert set(listing.trades) == every
        elif listing.looked_to is not None and wanted.mint is None:
            cut += 1
            edge = listing.looked_to
            assert all((at(row) <= edge if oldest_first else at(row) >= edge) or not row.confirmed for row in listing.trades)
            near = {row for row in every if (at(row) < edge if oldest_first else at(row) > edge)}
            missing = {row for row in near - set(listing.trades) if row.confirmed or wanted.wallet is None}
            assert not missing
    assert cut > 20


def test_no_question_looks_at_more_rows_than_it_may(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every way goes down an index of trades, and each query that tests rows has a bound."""
    asked: list[tuple[str, list[str]]] = []
    ask_rows = market.reader.rows

    def explained(statement: str, **parameters: object) -> list[Any]:
        plan = [str(row[3]) for row in ask_rows(f"EXPLAIN QUERY PLAN {statement}", **parameters)]
        asked.append((statement, plan))
        return ask_rows(statement, **parameters)

    monkeypatch.setattr(market.reader, "rows", explained)
    for wanted in questions(market, 100):
        trades(market.reader, wanted, limit=5)

    steps = {step for _, plan in asked for step in plan}
    assert {"SEARCH trades USING INDEX trades_chain (token_id=? AND chain_key>? AND chain_key<?)"} <= steps
    # A scan is of what is in the statement, or down an index in order with a limit; never with a sort of trades.
    scanned = {step for step in steps if step.startswith("SCAN")}
    assert all(
        step.startswith(("SCAN CONSTANT ROW", "SCAN place VIRTUAL TABLE", "SCAN few VIRTUAL TABLE", "SCAN trades"))
        for step in scanned
    )
    for statement, plan in asked:
        sorts = [step for step in plan if "TEMP B-TREE" in step]
        assert not sorts or "FROM positions" in statement or "json_each(:ids)" in statement
        if "SCAN trades USING INDEX" in " ".join(plan):
            assert "LIMIT :most_rows" in statement


def test_rows_come_in_the_order_of_their_ids_as_asked(market: Market) -> None:
    ids = [5, 1, 3, 10**12]

    assert [row.signature for row in rows(market.reader, ids)] == [rows(market.reader, [one])[0].signature for one in ids[:3]]


def test_completeness_is_told_of_many_tokens_at_once(market: Market) -> None:
    found = completeness_of(market.reader, [*market.mints[:3], "unknown"])

    assert list(found) == market.mints[:3]
    assert {completeness for completeness, _ in found.values()} == {"unproven"}


def test_wallets_are_found_by_their_beginning(market: Market, tmp_path: Path) -> None:
    del tmp_path
    for wallet in market.wallets:
        assert addresses_beginning_with(market.reader, wallet[:8], limit=3) == [wallet]
    assert len(addresses_beginning_with(market.reader, "", limit=3)) == 3
