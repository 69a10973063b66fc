"""One trade, one row, whatever came in which order."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from storage_samples import MINT, SIGNATURE, chain_trade, delivery, message_trade

from pumpwatch.events import Delivery, Rejected, Trade
from pumpwatch.storage.store import Store

ARRIVAL_COLUMNS = {"id", "token_id", "wallet_id", "quote_id", "pumpportal_at_us", "helius_at_us", "backfill_at_us"}


def rows(store: Store) -> list[dict[str, Any]]:
    """All of trades, ids spelled out, without arrival times and ids, but with who told us."""
    query = """
        SELECT trades.*, tokens.mint, wallets.address, quotes.mint AS quote,
            pumpportal_at_us IS NOT NULL AS p, helius_at_us IS NOT NULL AS h, backfill_at_us IS NOT NULL AS b
        FROM trades JOIN tokens ON tokens.id = token_id JOIN wallets ON wallets.id = wallet_id
        LEFT JOIN quotes ON quotes.id = trades.quote_id
    """
    with store._engine.connect() as connection:
        found = [dict(row._mapping) for row in connection.execute(sa.text(query))]
    kept = [{name: value for name, value in row.items() if name not in ARRIVAL_COLUMNS} for row in found]
    return sorted(kept, key=repr)


def totals(store: Store) -> list[tuple[Any, ...]]:
    """The tokens' stored totals, and the same computed from the rows."""
    query = """
        SELECT mint, trades, buys, volume, provisional_volume, unknown_amounts,
            (SELECT count(*) FROM trades t WHERE t.token_id = tokens.id AND state <= 2),
            (SELECT ifnull(sum(is_buy), 0) FROM trades t WHERE t.token_id = tokens.id AND state <= 2),
            (SELECT ifnull(sum(quote_amount), 0) FROM trades t WHERE t.token_id = tokens.id AND state IN (1, 2)),
            (SELECT ifnull(sum(quote_amount), 0) FROM trades t WHERE t.token_id = tokens.id AND state = 0),
            (SELECT count(*) FROM trades t WHERE t.token_id = tokens.id AND state <= 2 AND quote_amount IS NULL)
        FROM tokens ORDER BY mint
    """
    with store._engine.connect() as connection:
        return [tuple(row) for row in connection.execute(sa.text(query))]


def test_a_message_of_pumpportal_is_stored_at_once_as_provisional(store: Store) -> None:
    store.apply([delivery("pumpportal", message_trade())])

    (row,) = rows(store)
    assert (row["state"], row["event_index"], row["chain_key"]) == (0, None, None)


def test_the_trade_of_the_chain_takes_over_the_row_of_its_message(store: Store) -> None:
    store.apply([delivery("pumpportal", message_trade(quote_amount=987_654_319))])
    store.apply([delivery("helius", chain_trade())])

    (row,) = rows(store)
    assert (row["state"], row["event_index"], row["quote_amount"], row["p"], row["h"]) == (1, 0, 987_654_320, 1, 1)


@pytest.mark.parametrize("told_before", [(1,), (1, 2), (2, 1)])
def test_each_trade_takes_over_the_row_of_its_own_message(store: Store, told_before: tuple[int, ...]) -> None:
    """A row stays that of one wallet: who follows the record by wallet would never hear of the other's trade again."""
    of_chain = [
        chain_trade(place, wallet=f"wallet {place}", token_amount=place, virtual_token_reserves=10 + place) for place in range(3)
    ]
    messages = [
        message_trade(wallet=f"wallet {n}", token_amount=n, virtual_token_reserves=10 + n, message_key=10 + n)
        for n in told_before
    ]
    store.apply([delivery("pumpportal", *messages)])
    before = wallets_by_row(store)
    store.apply([delivery("helius", *of_chain)])

    after = wallets_by_row(store)
    assert sorted(after.values()) == ["wallet 0", "wallet 1", "wallet 2"]
    assert {number: after[number] for number in before} == before


def wallets_by_row(store: Store) -> dict[int, str]:
    """Of all trades, by the id of their row."""
    with store._engine.connect() as connection:
        found = connection.execute(sa.text("SELECT trades.id, address FROM trades JOIN wallets ON wallets.id = wallet_id"))
        return {row.id: row.address for row in found}


def test_a_late_message_only_adds_itself_to_the_sources(store: Store) -> None:
    store.apply([delivery("helius", chain_trade())])
    before = rows(store)
    store.apply([delivery("pumpportal", message_trade())])

    (row,) = rows(store)
    assert (row["p"], row["message_key"]) == (1, 1_038_800_796_845_859)
    assert {**row, "p": 0, "message_key": None} == before[0]


def test_two_trades_alike_in_one_transaction_stay_two(store: Store) -> None:
    first = chain_trade(0)
    second = chain_trade(2, virtual_token_reserves=1_004_601_593_691_718, virtual_quote_reserves=32_000_000_000)
    store.apply([delivery("helius", first, second), delivery("helius", first, second)])

    assert sorted(row["event_index"] for row in rows(store)) == [0, 2]


def test_alike_messages_are_paired_by_the_token_reserve(store: Store) -> None:
    second = chain_trade(2, virtual_token_reserves=1_004_601_593_691_718)
    late = message_trade(virtual_token_reserves=1_004_601_593_691_718, message_key=1_004_601_593_691_718)
    store.apply([delivery("pumpportal", late)])
    store.apply([delivery("helius", chain_trade(0), second)])

    assert {row["event_index"]: row["p"] for row in rows(store)} == {0: 0, 2: 1}


def test_a_message_the_chain_does_not_know_is_superseded_and_not_counted(store: Store) -> None:
    store.apply([delivery("pumpportal", message_trade(token_amount=1))])
    store.apply([delivery("helius", chain_trade())])

    assert sorted((row["state"], row["token_amount"]) for row in rows(store)) == [(1, 34_199_203_154_141), (4, 1)]
    assert store.trades == 1


@pytest.mark.parametrize("order", [0, 1])
def test_a_message_about_a_token_that_the_transaction_did_not_trade_is_superseded(path: Path, order: int) -> None:
    reports = [delivery("pumpportal", message_trade(mint="another mint")), delivery("helius", chain_trade())]
    for report in (reports[order], reports[1 - order]):
        store = Store.open(path, origin="simulator")
        store.apply([report])
        store.close()

    store = Store.open(path, origin="simulator")
    assert {("another mint", 4), (MINT, 1)} == {(row["mint"], row["state"]) for row in rows(store)}
    assert store.trades == 1
    store.close()


@pytest.mark.parametrize("order", [0, 1])
def test_nothing_is_superseded_while_a_part_of_the_transaction_is_unread(store: Store, order: int) -> None:
    unread = Rejected(kind="unknown event", reason="new", raw=b"?", ours=True, signature=SIGNATURE)
    reports = [delivery("pumpportal", message_trade(token_amount=1)), delivery("helius", chain_trade(), unread)]
    for report in (reports[order], reports[1 - order]):
        store.apply([report])

    assert {(1, 0), (34_199_203_154_141, 1)} == {(row["token_amount"], row["state"]) for row in rows(store)}


@pytest.mark.parametrize("order", [0, 1])
def test_history_wins_over_what_came_live(store: Store, order: int) -> None:
    """The same transaction may have run differently on a fork that died."""
    reports = [delivery("backfill", chain_trade()), delivery("helius", chain_trade(quote_amount=5, slot=366_647_529))]
    for report in (reports[order], reports[1 - order]):
        store.apply([report])

    (row,) = rows(store)
    assert (row["quote_amount"], row["slot"], row["h"], row["b"]) == (987_654_320, 366_647_528, 1, 1)


@pytest.mark.parametrize("order", [0, 1])
def test_of_two_live_reports_the_later_slot_wins(store: Store, order: int) -> None:
    reports = [delivery("helius", chain_trade(quote_amount=5, slot=1)), delivery("helius", chain_trade(quote_amount=6, slot=2))]
    for report in (reports[order], reports[1 - order]):
        store.apply([report])

    (row,) = rows(store)
    assert (row["quote_amount"], row["slot"]) == (6, 2)


def test_signatures_with_the_same_end_are_not_mixed_up(store: Store) -> None:
    other = "1" + chain_trade().signature[1:]
    store.apply([delivery("helius", chain_trade())])
    store.apply([delivery("pumpportal", message_trade(signature=other))])

    assert sorted(row["state"] for row in rows(store)) == [0, 1]


# Few values, so that trades and messages collide in every way: alike ones, exact and inexact reserves, none at all.
_amounts = st.sampled_from([100, 200])
_reserves = st.sampled_from([5_000, 6_000, 7_000])


@st.composite
def _transactions(draw: st.DrawFn) -> list[Delivery]:
    """What both sources tell about one transaction: whole from the chain, piece by piece from PumpPortal."""
    signature = draw(st.sampled_from(["1" * 64 + "a" * 24, "1" * 64 + "b" * 24]))
    trades = [
        chain_trade(
            event_index,
            signature=signature,
            mint=draw(st.sampled_from([MINT, "So1mint"])),
            wallet=draw(st.sampled_from(["w1", "w2"])),
            is_buy=draw(st.booleans()),
            token_amount=draw(_amounts),
            virtual_token_reserves=draw(_reserves),
        )
        for event_index in draw(st.lists(st.integers(0, 5), unique=True, max_size=4))
    ]
    messages: list[Trade] = []
    for _ in range(draw(st.integers(0, 5))):
        key = draw(st.one_of(_reserves, st.integers(-3, -1)))
        messages.append(
            message_trade(
                signature=signature,
                mint=MINT,
                wallet=draw(st.sampled_from(["w1", "w2"])),
                is_buy=draw(st.booleans()),
                token_amount=draw(_amounts),
                quote_amount=77 + key if key < 0 else key,
                virtual_token_reserves=key if key > 0 else None,
                message_key=key,
            )
        )
    deliveries = [delivery("pumpportal", message) for message in messages]
    unread = (
        [Rejected(kind="unknown event", reason="new", raw=b"?", ours=True, signature=signature)] if draw(st.booleans()) else []
    )
    sources = draw(st.lists(st.sampled_from(["helius", "backfill"]), max_size=2)) if trades else []
    return deliveries + [delivery(source, *trades, *unread) for source in sources]


@pytest.mark.timeout(240)
@settings(max_examples=100, deadline=None)
@given(
    facts=st.lists(_transactions(), min_size=1, max_size=2, unique_by=lambda ds: ds[0].events[0].signature if ds else ""),  # type: ignore[union-attr]
    data=st.data(),
)
def test_any_order_any_duplication_any_restart_ends_in_the_same_table(facts: list[list[Delivery]], data: st.DataObject) -> None:
    deliveries = [one for transaction in facts for one in transaction]
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for run in range(2):
            path = Path(folder) / f"{run}.db"
            order = list(deliveries)
            if run:
                repeated = data.draw(st.lists(st.sampled_from(deliveries), max_size=4)) if deliveries else []
                order = data.draw(st.permutations(order + repeated))
            store = Store.open(path, origin="simulator")
            while order:
                size = data.draw(st.integers(1, len(order)))
                store.apply(order[:size])
                order = order[size:]
                if data.draw(st.booleans()):
                    store.close()
                    store = Store.open(path, origin="simulator")
            results.append(rows(store))
            for mint, trades, buys, volume, provisional, unknown, *computed in totals(store):
                assert [trades, buys, volume, provisional, unknown] == computed, mint
            assert store.trades == sum(row["state"] <= 2 for row in results[-1])
            store.close()
    assert results[0] == results[1]
