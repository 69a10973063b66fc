"""Batches in: all or nothing, poison set aside, the views right."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest
from storage_samples import MINT, SIGNATURE, WALLET, chain_trade, delivery, message_trade

from pumpwatch.errors import DatabaseBusy, DatabaseError
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
from pumpwatch.storage import database
from pumpwatch.storage import store as store_module
from pumpwatch.storage.schema import SCHEMA_VERSION
from pumpwatch.storage.store import Store

NOW_US = 1_790_000_000_000_000
USDC = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"


def ask(path: Path, query: str) -> list[dict[str, Any]]:
    """What another program sees in the file."""
    connection = sqlite3.connect(path)
    connection.row_factory = sqlite3.Row
    try:
        return [dict(row) for row in connection.execute(query)]
    finally:
        connection.close()


def created(**changes: Any) -> TokenCreated:
    values: dict[str, Any] = {"signature": SIGNATURE, "mint": MINT, "bonding_curve": "curve", "developer": WALLET}
    return TokenCreated(**{**values, **changes})


def of_chain(**changes: Any) -> TokenCreated:
    values: dict[str, Any] = {
        "event_index": 0,
        "slot": 5,
        "block_time": 1_757_806_310,
        "name": "Name",
        "symbol": "SYM",
        "uri": "https://example.invalid",
        "creator": "creator",
        "virtual_token_reserves": 1_073_000_000_000_000,
        "virtual_quote_reserves": 30_000_000_000,
        "token_total_supply": 1_000_000_000_000_000,
        "quote_mint": "So11111111111111111111111111111111111111112",
    }
    return created(**{**values, **changes})


def test_a_trade_reads_in_the_documented_units(store: Store, path: Path) -> None:
    store.apply([delivery("helius", of_chain(), chain_trade(1))])

    (row,) = ask(path, "SELECT * FROM trade_log")
    assert row["price"] == pytest.approx(2.98302e-8, rel=1e-5)  # facts/onchain_events.md, worked example, trade 1
    before = 30_000_000_000 / 1_073_000_000_000_000
    assert row["price_impact"] == pytest.approx(30_987_654_320 / 1_038_800_796_845_859 / before - 1)
    assert tuple(row[name] for name in ("side", "venue", "sources", "confirmed", "symbol")) == (
        "buy",
        "curve",
        "helius",
        1,
        "SYM",
    )
    assert len(row["chain_key"]) == 25
    (token,) = ask(path, "SELECT * FROM token_board")
    assert token["market_cap"] == pytest.approx(29.830, rel=1e-4)
    assert tuple(token[name] for name in ("trades", "buys", "sells", "volume", "status")) == (1, 1, 0, 987_654_320, "curve")
    assert tuple(token[name] for name in ("created_at", "developer", "creator", "completeness")) == (
        1_757_806_310,
        WALLET,
        "creator",
        "unproven",
    )


def test_the_impact_of_a_pool_trade_knows_the_fee_that_stays(store: Store, path: Path) -> None:
    # facts/onchain_events.md section 6.1, worked example
    before, after = (12_799_919_608_495, 1_395_056_995_069), (12_792_519_718_224, 1_395_865_585_984)
    trade = chain_trade(
        venue="pool",
        token_amount=7_399_890_271,
        quote_amount=806_976_961,
        lp_fee=1_613_954,
        virtual_token_reserves=after[0],
        virtual_quote_reserves=after[1],
    )
    store.apply([delivery("helius", trade)])

    (row,) = ask(path, "SELECT price, price_impact FROM trade_log")
    assert row["price_impact"] == pytest.approx((after[1] / after[0]) / (before[1] / before[0]) - 1)
    assert row["price"] == pytest.approx(1.091158e-4, rel=1e-6)


def test_unknown_is_null_never_zero(store: Store, path: Path) -> None:
    store.apply([delivery("pumpportal", created(symbol="X"), message_trade())])

    (row,) = ask(path, "SELECT * FROM trade_log")
    unknown = (
        "event_index",
        "slot",
        "block_time",
        "quote_mint",
        "price",
        "price_impact",
        "price_usd",
        "chain_key",
        "protocol_fee",
    )
    assert [None] * len(unknown) == [row[name] for name in unknown]
    (token,) = ask(path, "SELECT * FROM token_board")
    assert tuple(token[name] for name in ("volume", "price", "market_cap", "created_at")) == (None, None, None, None)


def test_amounts_of_another_quote_are_not_taken_from_pumpportal(store: Store, path: Path) -> None:
    """Its amounts are SOL-shaped even for tokens that trade against USDC."""
    store.apply([delivery("helius", of_chain(quote_mint=USDC)), delivery("pumpportal", message_trade())])

    assert ask(path, "SELECT quote_amount, quote_mint FROM trade_log") == [{"quote_amount": None, "quote_mint": USDC}]
    assert ask(path, "SELECT volume FROM token_board") == [{"volume": None}]


def test_what_the_chain_says_of_a_creation_wins_in_any_order(tmp_path: Path) -> None:
    told = created(symbol="PP", name="PumpPortal", is_mayhem_mode=False)
    seen = of_chain(name=None)
    found = []
    for number, order in enumerate(([told, seen], [seen, told])):
        path = tmp_path / f"{number}.db"
        store = Store.open(path, origin="simulator")
        for event in order:
            store.apply([delivery("pumpportal" if event is told else "helius", event)])
        store.close()
        found += ask(path, "SELECT symbol, name, created_at, created_slot, is_mayhem_mode, quote_id FROM tokens")
    assert found[0] == found[1]
    assert (found[0]["symbol"], found[0]["name"], found[0]["created_slot"]) == ("SYM", "PumpPortal", 5)


def test_the_life_of_a_token_shows_in_its_status(store: Store, path: Path) -> None:
    statuses = []
    for event in (
        of_chain(),
        CurveCompleted(signature="s2", mint=MINT, event_index=0, slot=9),
        TokenMigrated(signature="s3", mint=MINT),
        TokenMigrated(signature="s3", mint=MINT, event_index=0, slot=10, block_time=11, pool="pool", quote_mint=None),
        PoolSeen(pool="pool", mint=MINT, quote_mint=USDC, quote_decimals=6),
    ):
        store.apply([delivery("helius", event)])
        statuses += [row["status"] for row in ask(path, "SELECT status FROM token_board")]
    assert statuses == ["curve", "completed", "graduated", "graduated", "graduated"]
    assert [PoolSeen(pool="pool", mint=MINT, quote_mint=USDC, quote_decimals=6)] == store.pools(most=10)


def test_one_poisonous_delivery_costs_itself_only(store: Store, path: Path) -> None:
    too_large = chain_trade(signature="x" * 88, token_amount=2**63)
    surrogate = chain_trade(signature="y" * 88, wallet="\ud800")
    store.apply([delivery("helius", chain_trade()), delivery("helius", too_large), delivery("helius", surrogate)])
    store.apply([delivery("helius", chain_trade(signature="z" * 88))])

    assert len(ask(path, "SELECT * FROM trade_log")) == 2
    assert store.trades == 2
    rejected = ask(path, "SELECT kind, raw, reason FROM rejected")
    assert [(row["kind"], row["raw"]) for row in rejected] == [("not storable", b"raw message")] * 2
    assert ask(path, "SELECT * FROM counts") == [{"kind": "not storable", "count": 2}]


def test_a_volume_beyond_all_bounds_saturates_and_costs_no_trade(store: Store, path: Path) -> None:
    huge = 2**63 - 1
    store.apply([delivery("helius", chain_trade(signature=letter * 88, quote_amount=huge)) for letter in "abc"])
    store.apply([delivery("helius", chain_trade(signature="d" * 88, quote_amount=huge))])
    assert [{"volume": huge, "trades": 4}] == ask(path, "SELECT volume, trades FROM tokens")


def test_one_delivery_beyond_all_bounds_saturates_too(store: Store, path: Path) -> None:
    huge = 2**63 - 1
    store.apply([delivery("helius", *(chain_trade(index, quote_amount=huge) for index in range(3)))])
    assert ask(path, "SELECT volume, trades FROM tokens") == [{"volume": huge, "trades": 3}]


def test_what_a_feed_has_covered_is_known_after_a_restart(store: Store) -> None:
    assert store.covered_us(["helius"]) is None
    store.apply([delivery("pumpwatch", Covered(feed="helius", until_us=7), Covered(feed="pumpportal", until_us=5))])
    store.apply([delivery("pumpwatch", Covered(feed="helius", until_us=9))])
    assert (store.covered_us(["helius"]), store.covered_us(["helius", "pumpportal"]), store.covered_us([])) == (9, 5, None)


def test_a_transaction_leaves_one_gap_however_often_it_is_told(store: Store, path: Path) -> None:
    told = [GapOpened(cause="log truncated", feed="helius", signature="s", from_us=at, to_us=at) for at in (1, 2, 3)]
    store.apply([delivery("helius", gap) for gap in told])
    assert ask(path, "SELECT signature FROM gaps") == [{"signature": "s"}]


def test_pruning_gives_room_back_to_the_disk(store: Store, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "REJECTED_BYTES", 100_000)
    for _ in range(20):
        store.apply([delivery("helius", Rejected(kind="not json", reason="?", raw=bytes(200_000)))])
    assert store.is_crowded
    store.checkpoint()
    before = path.stat().st_size
    store.prune(now_us=NOW_US)
    store.checkpoint()
    assert path.stat().st_size < before / 4


def test_the_same_again_changes_nothing(store: Store, path: Path) -> None:
    batch = [delivery("helius", of_chain(), chain_trade(1)), delivery("pumpportal", message_trade(signature="m" * 88))]
    store.apply(batch)
    before = [ask(path, f"SELECT * FROM {table}") for table in ("trades", "tokens", "wallets")]
    store.apply(batch)
    assert before == [ask(path, f"SELECT * FROM {table}") for table in ("trades", "tokens", "wallets")]


def test_rejected_messages_stay_within_their_bounds_oldest_out(store: Store, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "REJECTED_ROWS", 10)
    monkeypatch.setattr(store_module, "UNREAD_BYTES", 3_000)
    for number in range(30):
        ours = Rejected(kind="unknown event", reason="new", raw=b"%d" % number + bytes(500), ours=True)
        store.apply([delivery("helius", Rejected(kind="not json", reason=f"{number}", raw=b"?"), ours, at_us=NOW_US)])
    store.prune(now_us=NOW_US)

    assert [str(number) for number in range(20, 30)] == [
        row["reason"] for row in ask(path, "SELECT reason FROM rejected ORDER BY id")
    ]
    kept = [int(row["raw"].split(b"\0")[0]) for row in ask(path, "SELECT raw FROM unread ORDER BY id")]
    assert kept == [26, 27, 28, 29]
    store.prune(now_us=NOW_US + 31 * 24 * 3600 * 1_000_000)
    assert ask(path, "SELECT * FROM unread") == []
    assert {row["kind"]: row["count"] for row in ask(path, "SELECT * FROM counts")} == {"not json": 30, "unknown event": 30}


def test_a_flood_of_rejected_messages_asks_to_be_pruned_at_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "REJECTED_ROWS", 8)
    crowded = []
    for _ in range(2):
        store.apply([delivery("helius", Rejected(kind="not json", reason="?", raw=b"?"))])
        crowded.append(store.is_crowded)
    store.prune(now_us=NOW_US)
    assert [*crowded, store.is_crowded] == [False, True, False]


def test_a_huge_rejected_message_is_cut_and_says_so(store: Store, path: Path) -> None:
    store.apply([delivery("helius", Rejected(kind="too large", reason="why", raw=bytes(1_000_000)))])
    (row,) = ask(path, "SELECT length(raw) AS size, reason FROM rejected")
    assert (row["size"], row["reason"]) == (262_144, "why (kept: the first 262144 of 1000000 bytes)")


def test_spells_and_usage_survive_a_restart(path: Path) -> None:
    store = Store.open(path, origin="simulator")
    start = SpellStarted(kind="token", address=MINT, reason="asked", at_us=5)
    other = SpellStarted(kind="wallet", address=WALLET, reason="pinned", at_us=6)
    today = ask(path, "SELECT date('now') AS day")[0]["day"]
    usage = Usage(provider="helius", day=today, messages=2, received_bytes=10, connections=1)
    store.apply([delivery("pumpwatch", start, start, other, usage)])
    store.apply([delivery("pumpwatch", SpellEnded(kind="wallet", address=WALLET, reason="asked", at_us=9), usage)])
    store.close()

    again = Store.open(path, origin="simulator")
    assert [start] == again.open_spells()
    assert [Usage(provider="helius", day=today, messages=4, received_bytes=20, connections=2)] == again.usage()
    assert again.last_commit_us() is not None
    again.close()
    assert [row["ended_at_us"] for row in ask(path, "SELECT ended_at_us FROM spells ORDER BY started_at_us")] == [None, 9]


def test_what_a_token_trades_against_is_known_after_a_restart(store: Store) -> None:
    store.apply([delivery("helius", of_chain(quote_mint=USDC)), delivery("pumpportal", created(mint="unknown quote"))])
    assert store.quote_mints([MINT, "unknown quote", "never seen"]) == {MINT: USDC}


def test_a_gap_is_one_row_and_learns_its_end(store: Store, path: Path) -> None:
    opened = GapOpened(cause="disconnected", feed="helius", from_us=1)
    ended = GapOpened(cause="disconnected", feed="helius", from_us=1, to_us=9)
    assert store.gaps_open == 0
    store.apply([delivery("pumpwatch", opened), delivery("pumpwatch", ended), delivery("pumpwatch", opened)])
    assert store.gaps_open == 1
    assert ask(path, "SELECT from_us, to_us, state FROM gaps") == [{"from_us": 1, "to_us": 9, "state": "open"}]


def test_a_locked_database_is_busy_and_the_same_call_works_later(path: Path) -> None:
    store = Store.open(path, origin="simulator", busy_timeout_seconds=0.05)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(DatabaseBusy, match="locked by another program"):
        store.apply([delivery("helius", chain_trade())])
    other.execute("ROLLBACK")
    other.close()
    store.apply([delivery("helius", chain_trade())])
    assert 1 == store.trades == len(ask(path, "SELECT * FROM trade_log"))
    store.close()


def test_a_full_disk_is_busy_and_nothing_of_the_batch_stays(store: Store, path: Path) -> None:
    with store._engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        pages = driver.execute("PRAGMA page_count").fetchone()[0]
        driver.execute(f"PRAGMA max_page_count={pages}")
        batch = [delivery("helius", chain_trade(signature=f"{number:088}")) for number in range(2000)]
    with pytest.raises(DatabaseBusy, match="the disk is full"):
        store.apply(batch)
    assert ask(path, "SELECT * FROM trades") == []
    with store._engine.connect() as connection:
        driver = connection.connection.driver_connection
        driver.execute("PRAGMA max_page_count=1000000")
    store.apply(batch)
    assert 2000 == store.trades == len(ask(path, "SELECT * FROM trade_log"))


def test_a_defect_in_a_statement_is_not_blamed_on_the_messages(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pumpwatch.storage.statements.SET_META", "INSERT INTO nowhere VALUES (?, ?)")
    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        store.apply([delivery("helius", chain_trade())])


def test_an_event_without_a_row_is_a_defect_set_aside(store: Store, path: Path) -> None:
    store.apply([Delivery(source="helius", received_at_us=1, events=("no event",), raw=b"raw")])  # type: ignore[arg-type]
    assert ask(path, "SELECT kind FROM rejected") == [{"kind": "not storable"}]


def test_a_deleted_file_is_noticed(store: Store, path: Path) -> None:
    store.check_file()
    path.unlink()
    with pytest.raises(DatabaseError, match="deleted or replaced"):
        store.check_file()


def test_a_checkpoint_empties_the_log_unless_a_reader_holds_it(store: Store, path: Path) -> None:
    store.apply([delivery("helius", chain_trade())])
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM trades").fetchone()
    store.apply([delivery("helius", chain_trade(signature="q" * 88))])
    assert not store.checkpoint()
    reader.close()
    assert store.checkpoint()
    assert path.with_name(f"{path.name}-wal").stat().st_size == 0


def test_readers_never_wait_for_the_writer(store: Store, path: Path) -> None:
    store.apply([delivery("helius", chain_trade())])
    engine = database.reading_engine(path)
    seen = []
    with store._engine.begin():
        thread = threading.Thread(target=lambda: seen.append(engine.connect().exec_driver_sql("SELECT 1 FROM trade_log").all()))
        thread.start()
        thread.join(10)
    assert seen == [[(1,)]]
    engine.dispose()


def test_every_trade_of_a_large_batch_keeps_its_wallet(store: Store, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids that were forgotten to save memory are looked up again."""
    monkeypatch.setattr("pumpwatch.storage.ids._REMEMBERED", 10)
    trades: list[Trade] = [
        chain_trade(signature=f"{n:088}", wallet=f"wallet {n % 37}", mint=f"mint {n % 29}") for n in range(400)
    ]
    for start in range(0, 400, 50):
        store.apply([delivery("helius", trade) for trade in trades[start : start + 50]])
    rows = ask(path, "SELECT signature, wallet, mint FROM trade_log ORDER BY signature")
    assert [(t.signature, t.wallet, t.mint) for t in trades] == [(r["signature"], r["wallet"], r["mint"]) for r in rows]
    assert (len(ask(path, "SELECT * FROM wallets")), len(ask(path, "SELECT * FROM tokens"))) == (37, 29)


def test_counted_things_are_counted(store: Store, path: Path) -> None:
    store.apply([delivery("pumpportal", Counted(kind="other launchpad: bonk"))] * 3)
    assert ask(path, "SELECT * FROM counts") == [{"kind": "other launchpad: bonk", "count": 3}]


class TestOpening:
    def test_a_new_file_has_our_schema_and_settings(self, store: Store, path: Path) -> None:
        assert ask(path, "PRAGMA user_version") == [{"user_version": SCHEMA_VERSION}]
        assert ask(path, "PRAGMA journal_mode") == [{"journal_mode": "wal"}]
        assert ask(path, "PRAGMA auto_vacuum") == [{"auto_vacuum": 2}]
        with store._engine.connect() as connection:
            values = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("foreign_keys", "synchronous")}
        assert values == {"foreign_keys": 1, "synchronous": 1}

    def test_a_file_of_another_origin_is_refused(self, path: Path) -> None:
        Store.open(path, origin="simulator").close()
        with pytest.raises(DatabaseError, match=r"holds simulator data, and this run is mainnet"):
            Store.open(path, origin="mainnet")

    def test_a_newer_schema_is_refused_by_writer_and_reader(self, path: Path) -> None:
        Store.open(path, origin="simulator").close()
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA user_version=99")
        connection.close()
        for opening in (lambda: Store.open(path, origin="simulator"), lambda: database.reading_engine(path)):
            with pytest.raises(DatabaseError, match="newer pumpwatch"):
                opening()

    def test_a_database_of_another_program_is_not_touched(self, path: Path) -> None:
        connection = sqlite3.connect(path)
        connection.execute("CREATE TABLE theirs (a)")
        connection.close()
        with pytest.raises(DatabaseError, match="another program"):
            Store.open(path, origin="simulator")
        assert ask(path, "SELECT name FROM sqlite_schema") == [{"name": "theirs"}]

    @pytest.mark.parametrize("content", [b"this is no database at all, but a text of some length" * 100])
    def test_garbage_is_refused_with_the_way_out(self, path: Path, content: bytes) -> None:
        path.write_bytes(content)
        with pytest.raises(DatabaseError, match=r"damaged.*move it away"):
            Store.open(path, origin="simulator")
        assert content == path.read_bytes()

    def test_a_damaged_page_is_found_before_the_first_insert(self, path: Path) -> None:
        store = Store.open(path, origin="simulator")
        store.apply([delivery("helius", chain_trade(signature=f"{number:088}")) for number in range(2000)])
        store.checkpoint()
        store.close()
        content = bytearray(path.read_bytes())
        content[4096 * 40 : 4096 * 41] = b"\xff" * 4096
        path.write_bytes(content)
        with pytest.raises(DatabaseError, match="damaged"):
            Store.open(path, origin="simulator")

    def test_a_migration_that_fails_leaves_nothing_behind(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(database, "MIGRATIONS", (("CREATE TABLE half (a)", "CREATE NONSENSE"),))
        with pytest.raises(sqlite3.OperationalError):
            Store.open(path, origin="simulator")
        assert ask(path, "SELECT name FROM sqlite_schema") == []

    def test_a_missing_file_is_an_error_for_a_reader(self, path: Path) -> None:
        with pytest.raises(DatabaseError, match="there is no database"):
            database.reading_engine(path)

    def test_a_reader_cannot_write(self, store: Store, path: Path) -> None:
        engine = database.reading_engine(path)
        with engine.connect() as connection, pytest.raises(Exception, match="readonly"):
            connection.exec_driver_sql("DELETE FROM trades")
        engine.dispose()

    def test_an_old_sqlite_is_named(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 31, 1))
        with pytest.raises(DatabaseError, match=r"needs 3\.37\.0 or newer"):
            Store.open(path, origin="simulator")

    def test_a_file_that_cannot_be_opened_is_no_reason_to_wait(self, path: Path) -> None:
        path.mkdir()
        with pytest.raises(DatabaseError, match=r"trades\.db cannot be opened .* change its permissions, or choose another"):
            Store.open(path, origin="simulator")

    def test_a_file_that_cannot_be_written_is_an_error_at_the_start_and_waited_for_later(self, path: Path) -> None:
        engine = database.writing_engine(path, busy_timeout_seconds=0.05, synchronous="normal")
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA query_only=ON")  # the same error as of a file without permission
        with pytest.raises(DatabaseError, match="change its permissions"):
            database.prepare(engine, path, origin="simulator", version="0")
        engine.dispose()

        store = Store.open(path, origin="simulator")
        with store._engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA query_only=ON")
        with pytest.raises(DatabaseBusy, match="cannot be written"):
            store.apply([delivery("helius", chain_trade())])
        store.close()

    def test_a_folder_that_cannot_be_made_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("in the way", encoding="utf-8")
        with pytest.raises(DatabaseError, match="cannot be made"):
            Store.open(tmp_path / "file" / "trades.db", origin="simulator")
