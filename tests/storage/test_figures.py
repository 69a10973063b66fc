"""Figures are what a fold over all trades gives, whatever the order in which the trades came."""

from __future__ import annotations

import itertools
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from msgspec.structs import replace
from real_coin import real_trades
from storage_samples import MINT, chain_trade, message_trade

from pumpwatch.events import Delivery, Event, TokenCreated, Trade, TradesDropped
from pumpwatch.storage.figures import rebuild
from pumpwatch.storage.store import Store

TABLES = {
    "positions": "SELECT * FROM positions ORDER BY token_id, wallet_id",
    "minutes": "SELECT * FROM minutes ORDER BY token_id, minute",
    "tokens": "SELECT id, wallets, price_high, price_low, first_trade_at, last_trade_at, hex(last_key), last_venue, "
    "last_virtual_token_reserves, last_virtual_quote_reserves, last_real_token_reserves FROM tokens ORDER BY id",
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "record.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    store = Store.open(path, origin="simulator")
    yield store
    store.close()


def figures(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    with closing(sqlite3.connect(path)) as connection:
        return {name: connection.execute(query).fetchall() for name, query in TABLES.items()}


def folded(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """The same after all was folded anew."""
    copy = path.with_name("copy.db")
    with closing(sqlite3.connect(path)) as connection, closing(sqlite3.connect(copy)) as to:
        connection.backup(to)
    engine = sa.create_engine(f"sqlite:///{copy}")
    with engine.begin() as connection:
        for (token_id,) in connection.exec_driver_sql("SELECT id FROM tokens").all():
            rebuild(connection, token_id)
    engine.dispose()
    return figures(copy)


def told_by_pumpportal(trade: Trade) -> Trade:
    return message_trade(
        signature=trade.signature,
        mint=trade.mint,
        wallet=trade.wallet,
        is_buy=trade.is_buy,
        token_amount=trade.token_amount,
        quote_amount=trade.quote_amount,
        virtual_token_reserves=trade.virtual_token_reserves,
        message_key=trade.virtual_token_reserves,
    )


def deliver(store: Store, told: list[tuple[str, Event]], *, batch: int) -> None:
    deliveries = [
        Delivery(source=source, received_at_us=1_000_000 + n, events=(event,)) for n, (source, event) in enumerate(told)
    ]
    for start in range(0, len(deliveries), batch):
        store.apply(deliveries[start : start + batch])


@pytest.mark.parametrize("seed", range(6))
def test_any_order_of_arrival_gives_the_figures_of_a_fold(store: Store, path: Path, corpus: Path, seed: int) -> None:
    chance = random.Random(seed)
    trades = real_trades(corpus)[:400]
    told: list[tuple[str, Event]] = [("helius", trade) for trade in trades if chance.random() < 0.8]
    told += [("backfill", trade) for trade in trades if chance.random() < 0.5]
    told += [("pumpportal", told_by_pumpportal(trade)) for trade in trades if chance.random() < 0.6]
    told += [("backfill", TradesDropped(signature=trade.signature, mint=trade.mint)) for trade in trades if chance.random() < 0.1]
    if seed % 2:
        # The trades of a slot have other places then, from this moment on.
        somebody = trades[0].wallet
        created = TokenCreated(
            signature="c" * 88, mint=trades[0].mint, bonding_curve=somebody, developer=somebody, is_mayhem_mode=True
        )
        told.append(("helius", created))
    if seed:
        chance.shuffle(told)
    deliver(store, told, batch=chance.choice([1, 7, 100]))

    found = figures(path)
    assert found == folded(path)
    assert len(found["positions"]) >= 30
    assert len(found["minutes"]) > 1


def test_a_trade_that_lands_again_in_another_block_moves_its_figures(store: Store, path: Path) -> None:
    first = chain_trade(slot=10, block_time=600)
    deliver(store, [("helius", first), ("backfill", replace(first, slot=500, block_time=780))], batch=1)
    assert [row[1] for row in figures(path)["minutes"]] == [13]
    assert figures(path) == folded(path)


def test_the_place_of_a_mayhem_trade_that_lands_again_does_not_hang_on_the_order_of_arrival(tmp_path: Path) -> None:
    def made(place: int, slot: int) -> Trade:
        tokens, quote = 10**15 - 10**12 * place, 30 * 10**9 + 10**6 * place
        amounts = {"token_amount": 10**12, "quote_amount": 10**6, "trader_quote_amount": 10**6}
        states = {"virtual_token_reserves": tokens, "virtual_quote_reserves": quote, "real_token_reserves": tokens - 2 * 10**14}
        return chain_trade(signature=f"{place}" * 88, slot=slot, block_time=slot, **amounts, **states)

    somebody = made(1, 1).wallet
    created = TokenCreated(signature="c" * 88, mint=MINT, bonding_curve=somebody, developer=somebody, is_mayhem_mode=True)
    told: list[tuple[str, Event]] = [
        ("helius", created), ("helius", made(1, 20)), ("helius", made(2, 20)), ("backfill", made(1, 30)), ("helius", made(3, 30)),
    ]  # fmt: skip
    found = set()
    for number, order in enumerate(itertools.permutations(told)):
        path = tmp_path / f"{number}.db"
        store = Store.open(path, origin="simulator")
        deliver(store, list(order), batch=1)
        store.close()
        with closing(sqlite3.connect(path)) as connection:
            found.add(tuple(connection.execute("SELECT signature, chain_key FROM trades ORDER BY signature").fetchall()))
        path.unlink()
    assert len(found) == 1


def test_profit_is_realised_at_average_cost_and_unknown_after_a_transfer(store: Store, path: Path) -> None:
    def trade(place: int, *, is_buy: bool, tokens: int, quote: int) -> tuple[str, Event]:
        reserves = {"virtual_token_reserves": 10**15 + place, "virtual_quote_reserves": 30 * 10**9 + place}
        amounts = {"token_amount": tokens, "quote_amount": quote, "trader_quote_amount": quote}
        made = chain_trade(signature=f"{place}" * 88, is_buy=is_buy, slot=place, block_time=place, **amounts, **reserves)
        return "helius", made

    told = [trade(1, is_buy=True, tokens=300, quote=100), trade(2, is_buy=False, tokens=100, quote=50)]
    deliver(store, told, batch=1)
    ask = "SELECT net_bought, spent, received, realised_profit, remark FROM position_board"
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute(ask).fetchall() == [(200, 100, 50, 50 - 33, None)]
        deliver(store, [trade(3, is_buy=False, tokens=201, quote=70)], batch=1)
        assert connection.execute(ask).fetchall() == [(-1, 100, 120, None, "received by transfer")]
        deliver(store, [("pumpportal", message_trade(mint=MINT, wallet=chain_trade().wallet, is_buy=True))], batch=1)
        assert connection.execute("SELECT spent, received, realised_profit FROM position_board").fetchone() == (None, 120, None)


@pytest.mark.parametrize("is_provisional", [False, True])
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("batch", [1, 3])
def test_of_trades_with_one_place_the_one_with_the_later_row_is_the_last(
    store: Store, path: Path, order: tuple[int, int], batch: int, *, is_provisional: bool
) -> None:
    """Reserves that change without a remainder leave their product as it was, and so the key."""
    bought = chain_trade(signature="1" * 88, virtual_token_reserves=200, virtual_quote_reserves=300)
    sold = replace(bought, signature="2" * 88, is_buy=False, virtual_token_reserves=300, virtual_quote_reserves=200)
    told: list[tuple[str, Event]] = [("helius", (bought, sold)[place]) for place in order]
    if is_provisional:  # the row that is the later one by its trade is there before the other
        told.insert(0, ("pumpportal", told_by_pumpportal((bought, sold)[order[1]])))
    deliver(store, told, batch=batch)
    found = figures(path)
    assert found == folded(path)
    last = (bought, sold)[order[0] if is_provisional else order[1]]
    assert found["tokens"][0][-3] == last.virtual_token_reserves


def test_a_neighbour_in_the_slot_of_a_mayhem_token_leaves_the_last_trade_in_the_pool_the_last(store: Store, path: Path) -> None:
    first, other = chain_trade(signature="1" * 88), chain_trade(signature="3" * 88, wallet="other")
    somebody = first.wallet
    created = TokenCreated(
        signature="c" * 88, mint=MINT, bonding_curve=somebody, developer=somebody, event_index=0, is_mayhem_mode=True
    )
    in_pool = replace(first, signature="2" * 88, venue="pool", lp_fee=0)
    deliver(store, [("helius", event) for event in (created, first, in_pool, other)], batch=1)
    assert figures(path) == folded(path)


def test_twins_in_two_slots_of_a_mayhem_token_are_two(store: Store, path: Path) -> None:
    first = chain_trade(signature="1" * 88, slot=1_000)
    somebody = first.wallet
    created = TokenCreated(
        signature="c" * 88, mint=MINT, bonding_curve=somebody, developer=somebody, event_index=0, is_mayhem_mode=True
    )
    twin = replace(first, signature="2" * 88, slot=1_001)
    other = replace(first, signature="3" * 88, wallet="other", virtual_token_reserves=5)
    deliver(store, [("helius", created), ("helius", first)], batch=2)
    deliver(store, [("helius", other), ("helius", twin)], batch=2)
    assert [row[2] for row in figures(path)["minutes"]] == [3]
    assert figures(path) == folded(path)


def test_sums_beyond_64_bits_stay_integers_in_the_views(store: Store, path: Path) -> None:
    for place in range(3):
        amounts = {"token_amount": 2**61, "quote_amount": 2**62}
        reserves = {"virtual_token_reserves": 10**15 + place, "virtual_quote_reserves": 2**62}
        told = chain_trade(signature=f"{place}" * 88, slot=place, trader_quote_amount=2**62, **amounts, **reserves)
        said = message_trade(signature="ABC"[place] * 88, message_key=place, **amounts)
        deliver(store, [("helius", told), ("pumpportal", said)], batch=1)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT typeof(volume), volume FROM token_board").fetchall() == [("integer", 2**63 - 1)]
        kinds = connection.execute("SELECT typeof(bought), typeof(sold), typeof(net_bought) FROM position_board").fetchall()
    assert kinds == [("integer",) * 3]
