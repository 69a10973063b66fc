"""The market's truth holds together, follows from its seed, and means the same to the recorder's decoder."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from itertools import pairwise

import pytest

from pumpwatch.decode.addresses import bonding_curve, canonical_pool
from pumpwatch.decode.solana import Notified, decode_message
from pumpwatch.events import CurveCompleted, PoolSeen, TokenCreated, TokenMigrated, Trade
from pumpwatch.simulator import solana
from pumpwatch.simulator.logs import truncated
from pumpwatch.simulator.market import Market, Plan
from pumpwatch.simulator.transaction import Transaction
from pumpwatch.simulator.truth import TradeRow


@pytest.fixture(scope="module")
def market() -> Market:
    market = Market(seed=11)
    for number in range(6_000):
        market.next(number / 100)
    return market


def _logs(transaction: Transaction) -> bytes:
    value = json.dumps({"signature": transaction.signature, "err": transaction.err, "logs": transaction.lines})
    return solana._logs_notification(2**60, transaction.slot, value).encode()


def _pools(market: Market) -> dict[str, PoolSeen]:
    return {
        coin.pool: PoolSeen(pool=coin.pool, mint=coin.mint, quote_mint=coin.quote_mint, quote_decimals=9 if coin.is_sol else 6)
        for coin in market.coins.values()
    }


def _trade_of(row: TradeRow) -> dict[str, object]:
    truth = row._asdict()
    del truth["number"]
    truth["by_mayhem_agent"] = truth.pop("by_agent")
    if row.venue == "curve":
        del truth["lp_fee"]
    return truth


def _assert_equal(row: TradeRow, trade: Trade) -> None:
    truth = _trade_of(row)
    told = {name: getattr(trade, name) for name in truth}
    # What a venue's event does not tell stays unknown: the liquidity fee of a curve, the vault of a pool that keeps its fees.
    unknown = {name for name in ("lp_fee", "real_quote_reserves") if told.get(name) is None and row.venue == "pool"}
    assert {name: value for name, value in truth.items() if name not in unknown} == {
        name: value for name, value in told.items() if name not in unknown
    }


def test_the_same_seed_gives_the_same_transactions_and_another_one_others() -> None:
    one, same, other = (Market(seed=seed, start_time=5) for seed in (7, 7, 8))
    made = [[market.next(number / 10) for number in range(400)] for market in (one, same, other)]

    assert [(item.signature, item.lines, item.rows) for item in made[0]] == [
        (item.signature, item.lines, item.rows) for item in made[1]
    ]
    assert made[0][0].signature != made[2][0].signature


def test_every_kind_of_event_happens(market: Market) -> None:
    kinds = Counter(notice.kind for item in market.history for notice in item.notices)
    rows = list(market.ledger)

    assert min(kinds[kind] for kind in ("create", "trade", "migrate")) > 0
    assert {row.venue for row in rows} == {"curve", "pool"}
    assert any(row.by_agent for row in rows)
    assert len({row.quote_mint for row in rows}) == 2
    assert any(row.quote_amount == 0 for row in rows), "dust"
    assert any(item.err is not None for item in market.history)
    assert max(Counter(row.signature for row in rows).values()) >= 3
    assert any(coin.virtual > 0 for coin in market.coins.values())
    assert {change.kind for _, change in market.changes} == {"mayhem params", "deposit", "withdraw"}
    assert {item.version for item in market.history} == {"legacy", 0}
    assert any("\u202e" in coin.name + coin.symbol for coin in market.coins.values())


def test_reserves_chain_from_trade_to_trade(market: Market) -> None:
    chains: dict[tuple[str, str], list[TradeRow]] = defaultdict(list)
    for row in market.ledger:
        chains[row.mint, row.venue].append(row)
    changed: dict[str, list[int]] = defaultdict(list)
    for number, change in market.changes:
        changed[change.mint].append(number)

    links = 0
    for (mint, venue), rows in chains.items():
        for before, after in pairwise(rows):
            moved = any(before.number < number <= after.number for number in changed[mint])
            if moved and venue == "pool":
                continue  # a deposit or withdrawal lies between
            sign = 1 if after.is_buy else -1
            assert after.real_token_reserves == before.real_token_reserves - sign * after.token_amount
            if moved:
                assert after.real_quote_reserves == before.real_quote_reserves + sign * after.quote_amount
                continue
            assert after.virtual_token_reserves == before.virtual_token_reserves - sign * after.token_amount
            if venue == "curve":
                assert after.real_quote_reserves == before.real_quote_reserves + sign * after.quote_amount
                if not after.by_agent:
                    assert after.virtual_quote_reserves == before.virtual_quote_reserves + sign * after.quote_amount
            links += 1
    assert links > 4_000


def test_a_sweep_moves_the_vault_and_not_the_price() -> None:
    market = Market(seed=5, plan=Plan(sweep=0.5, keeps_fees=1.0, runner=1.0))
    swept = 0
    for number in range(4_000):
        market.next(number / 100)
        coin = next((coin for coin in market.coins.values() if coin.pool_kept), None)
        if coin is not None:
            effective, vault, kept = coin.effective, coin.vault, coin.pool_kept
            assert coin.sweep() == kept > 0
            assert (coin.effective, coin.vault) == (effective, vault - kept)
            swept += 1
    assert swept


def test_a_pool_chains_on_its_effective_reserve() -> None:
    market = Market(seed=5)
    coin = market.opening["graduated"]
    for number in range(3_000):
        market.next(number / 100)
    rows = [row for row in market.ledger if row.mint == coin.mint and row.venue == "pool"]

    assert len(rows) > 50
    for before, after in pairwise(rows):
        moved = after.quote_amount + after.lp_fee if after.is_buy else after.lp_fee - after.quote_amount
        assert after.virtual_quote_reserves == before.virtual_quote_reserves + moved


def test_the_ledger_gives_back_what_was_put_in(market: Market) -> None:
    rows = [row for item in market.history for row in item.rows]

    assert rows == list(market.ledger)


def test_the_decoder_reads_every_log_as_it_happened(market: Market) -> None:
    pools = _pools(market)
    seen: Counter[str] = Counter()
    for item in market.history:
        told = decode_message(_logs(item), pools)
        assert isinstance(told, Notified)
        trades = [event for event in told.events if isinstance(event, Trade)]
        assert len(trades) == len(item.rows)
        for row, trade in zip(item.rows, trades, strict=True):
            _assert_equal(row, trade)
        seen.update(type(event).__name__ for event in told.events)

    assert seen["Trade"] == len(market.ledger)
    assert seen["TokenCreated"] == sum(notice.kind == "create" for item in market.history for notice in item.notices)
    assert seen["CurveCompleted"] >= seen["TokenMigrated"] > 0
    assert {TokenCreated.__name__, CurveCompleted.__name__, TokenMigrated.__name__} <= seen.keys()


@pytest.mark.parametrize("encoding", ["base64", "base58", "jsonParsed", "json"])
def test_the_decoder_reads_cut_logs_from_the_inner_instructions(market: Market, encoding: str) -> None:
    pools = _pools(market)
    wanted = solana._TransactionFilter(frozenset(), frozenset(), frozenset(), failed=True, encoding=encoding, details="full")
    compared = 0
    for item in [item for item in market.history if item.rows][:150]:
        cut = truncated(item.lines, 300)
        assert "Log truncated" in cut
        told = decode_message(solana._transaction_notification(7, item, wanted, cut).encode(), pools)
        assert isinstance(told, Notified)
        trades = [event for event in told.events if isinstance(event, Trade)]
        for row, trade in zip(item.rows, trades, strict=True):
            _assert_equal(row, trade)
            compared += 1
    assert compared > 150


def test_addresses_are_those_that_the_recorder_derives(market: Market) -> None:
    for coin in market.coins.values():
        assert coin.curve == bonding_curve(coin.mint)
        assert coin.pool == canonical_pool(coin.mint, coin.quote_mint)


def test_memory_of_the_past_is_bounded() -> None:
    market = Market(seed=1, plan=Plan(history=50, opening=False))
    for number in range(300):
        market.next(number / 10)

    assert len(market.history) == 50
    assert market.transaction(market.history[0].signature) is market.history[0]
