"""The views say in SQL what ``market.py`` says in Python, of everything that was captured and of a pool against USDC."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from storage_samples import chain_trade, delivery

from pumpwatch.decode import solana
from pumpwatch.decode.addresses import USDC
from pumpwatch.events import Delivery, TokenCreated
from pumpwatch.market import Reserves, bonding_progress, impact_of_trade, market_cap, spot_price
from pumpwatch.simulator.player import read_session
from pumpwatch.storage.store import Store

POOL_MINT = "FCuk4XWLR6fAJFTcQoMrm3KeywSt2X6wK4Ufh4Xjpump"


@pytest.fixture(scope="module")
def connection(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    path = tmp_path_factory.mktemp("views") / "record.db"
    store = Store.open(path, origin="replay")
    for message in read_session(corpus / "helius/logs_subscribe_2026-07-04.jsonl"):
        found = solana.decode_message(message.text.encode(), {})
        if isinstance(found, solana.Notified):
            store.apply([Delivery(source="helius", received_at_us=1_783_100_000_000_000, events=found.events)])
    in_pool: dict[str, Any] = {
        "venue": "pool",
        "mint": POOL_MINT,
        "quote_mint": USDC,
        "token_amount": 7_399_890_271,
        "quote_amount": 806_976_961,
        "lp_fee": 1_613_954,
        "virtual_token_reserves": 12_792_519_718_224,
        "virtual_quote_reserves": 1_395_865_585_984,
        "real_token_reserves": None,
    }
    created = TokenCreated(
        signature="5" * 88,
        event_index=0,
        slot=1,
        block_time=1_757_800_000,
        mint=POOL_MINT,
        bonding_curve="curve",
        developer="developer",
        creator="developer",
        quote_mint=USDC,
        real_token_reserves=793_100_000_000_000,
        token_total_supply=2 * 10**15,
    )
    store.apply([delivery("helius", created, chain_trade(**in_pool))])
    store.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        yield connection


def test_prices_and_impacts_of_trades(connection: sqlite3.Connection) -> None:
    rows = connection.execute(
        "SELECT trade_log.*, quotes.decimals, trades.by_mayhem_agent FROM trade_log "
        "JOIN quotes ON quotes.mint = trade_log.quote_mint "
        "JOIN trades ON trades.signature = trade_log.signature AND trades.event_index = trade_log.event_index"
    ).fetchall()
    assert len(rows) == 94
    assert sum(row["by_mayhem_agent"] for row in rows) == 3
    for row in rows:
        after = Reserves(row["virtual_quote_reserves"], row["virtual_token_reserves"])
        assert row["price"] == pytest.approx(spot_price(*after, quote_decimals=row["decimals"]), rel=1e-12)
        impact = impact_of_trade(
            after,
            is_buy=row["side"] == "buy",
            token_amount=row["token_amount"],
            quote_amount=row["quote_amount"],
            lp_fee=row["lp_fee"] or 0,
        )
        assert row["price_impact"] == (None if row["by_mayhem_agent"] else pytest.approx(impact, abs=1e-12))


def test_market_cap_and_progress_of_tokens(connection: sqlite3.Connection) -> None:
    rows = connection.execute(
        "SELECT tokens.*, board.market_cap, board.progress, board.status, quotes.decimals "
        "FROM token_board AS board JOIN tokens ON tokens.mint = board.mint JOIN quotes ON quotes.id = tokens.quote_id "
        "WHERE tokens.trades > 0"
    ).fetchall()
    for row in rows:
        last = Reserves(row["last_virtual_quote_reserves"], row["last_virtual_token_reserves"])
        cap = market_cap(*last, supply=row["token_total_supply"], quote_decimals=row["decimals"])
        assert row["market_cap"] == (None if cap is None else pytest.approx(cap, rel=1e-12))
        if row["status"] == "curve":
            progress = bonding_progress(row["start_real_token_reserves"], row["last_real_token_reserves"])
            assert row["progress"] == (None if progress is None else pytest.approx(progress, abs=1e-9))
        else:
            assert row["progress"] == 100
    unknown = [row for row in rows if row["token_total_supply"] is None]
    assert (len(rows), len(unknown)) == (38, 24)
    assert {row["market_cap"] for row in unknown} == {None}, "without the creation nothing is made up"


def test_a_pool_against_usdc_with_twice_the_supply(connection: sqlite3.Connection) -> None:
    row = connection.execute("SELECT price, market_cap, progress FROM token_board WHERE mint = ?", (POOL_MINT,)).fetchone()
    assert row["price"] == pytest.approx(1_395_865_585_984 / 12_792_519_718_224)
    assert row["market_cap"] == pytest.approx(1_395_865_585_984 / 12_792_519_718_224 * 2e9)
    assert row["progress"] == 100
