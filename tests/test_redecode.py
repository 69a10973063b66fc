"""What an older version kept becomes what it would have been, had this version been there."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from kept_samples import POOL, PUMP_AMM, init_boost_payload, kept, kept_transaction, trade_payload
from solders.signature import Signature
from storage_samples import MINT, SIGNATURE, message_trade

from pumpwatch.errors import TransientError
from pumpwatch.events import WRAPPED_SOL, Delivery, Event, PoolSeen
from pumpwatch.redecode import Page, redecode_page, through_intake
from pumpwatch.storage.intake import Intake
from pumpwatch.storage.store import Store
from pumpwatch.storage.unread import Unread

TRADES = """
    SELECT signature, event_index, confirmed, sources, received_at_us, quote_amount FROM trade_log ORDER BY signature, event_index
"""
RECEIVED_US = 1_790_000_000_000_000


class Base:
    """A database in which *put* things have come, and the rows of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.store = Store.open(path, origin="simulator")

    def came(self, source: str, *events: Event) -> None:
        self.store.apply([Delivery(source=source, received_at_us=RECEIVED_US, events=events)])

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(self.path)
        try:
            return list(connection.execute(query))
        finally:
            connection.close()

    def redecode(self, put: Callable[[Sequence[Delivery]], None] | None = None, **arguments: Any) -> Page:
        with Unread(self.path) as unread:
            return redecode_page(unread, put or self.store.apply, **arguments)


@pytest.fixture
def base(tmp_path: Path) -> Any:
    made = Base(tmp_path / "trades.db")
    yield made
    made.store.close()


def test_a_kept_payload_becomes_its_trade_with_source_and_time_of_its_arrival(base: Base) -> None:
    base.came("helius", kept(trade_payload()))
    page = base.redecode()
    assert (page.rows, page.became, page.trades) == (1, 1, 1)
    assert base.rows(TRADES) == [(SIGNATURE, 0, 1, "helius", RECEIVED_US, 987_654_320)]
    assert base.rows("SELECT count(*) FROM unread") == [(0,)]
    assert base.rows("SELECT mint, trades FROM tokens") == [(MINT, 1)]


def test_provisional_trades_are_judged_once_nothing_is_unread(base: Base) -> None:
    """Two alike messages came for what the chain has once: one takes over, the other is superseded."""
    base.came("pumpportal", message_trade(message_key=1_038_800_796_845_859))
    base.came("pumpportal", message_trade(message_key=-5, token_amount=3))
    base.came("helius", kept(trade_payload()))
    assert base.rows("SELECT state FROM trades ORDER BY id") == [(0,), (0,)]
    base.redecode()
    assert base.rows("SELECT sources FROM trade_log") == [("pumpportal,helius",)]
    assert base.rows("SELECT state FROM trades ORDER BY state") == [(1,), (4,)]


def test_what_still_cannot_be_read_stays(base: Base) -> None:
    base.came("helius", kept(b"a newer one still"), kept(trade_payload()[:50], index=1), kept(trade_payload(), index=2))
    page = base.redecode()
    assert (page.rows, page.became, page.trades) == (3, 1, 1)
    assert base.rows("SELECT count(*) FROM unread") == [(2,)]
    with Unread(base.path) as unread:
        assert unread.remaining() == {"unknown event": 2}


def test_twice_changes_nothing(base: Base) -> None:
    base.came("helius", kept(trade_payload()), kept(trade_payload(), index=1), kept(b"a newer one still", index=2))
    base.redecode()
    before = [base.rows(TRADES), base.rows("SELECT * FROM tokens"), base.rows("SELECT * FROM unread")]
    assert base.redecode().became == 0
    assert [base.rows(TRADES), base.rows("SELECT * FROM tokens"), base.rows("SELECT * FROM unread")] == before


@pytest.mark.parametrize("fails_at", [1, 2])
def test_a_kill_at_any_moment_costs_nothing(base: Base, fails_at: int) -> None:
    """Before the rows are gone, and before the provisional trades are judged."""
    base.came("helius", kept(trade_payload()))
    calls = 0

    def put(deliveries: Sequence[Delivery]) -> None:
        nonlocal calls
        calls += 1
        base.store.apply(deliveries)
        if calls == fails_at:
            raise TransientError("killed")

    with pytest.raises(TransientError):
        base.redecode(put)
    assert base.rows("SELECT count(*) FROM unread") == [(1 if fails_at == 1 else 0,)]
    base.redecode()
    assert base.rows("SELECT count(*) FROM unread") == [(0,)]
    assert base.rows("SELECT trades FROM tokens") == [(1,)]
    assert len(base.rows(TRADES)) == 1


def test_what_came_several_times_is_kept_once_and_is_one_trade(base: Base) -> None:
    for source in ("helius", "backfill", "backfill"):
        base.came(source, kept(trade_payload()))
    assert base.redecode().became == 1
    assert [row[3] for row in base.rows(TRADES)] == ["helius"]


def test_an_event_of_a_pool_known_since_is_read(base: Base) -> None:
    base.came("helius", kept(init_boost_payload(), program=PUMP_AMM, kind="unknown pool"), kept(trade_payload(), index=1))
    assert base.redecode(kind="unknown pool").became == 0
    base.came("backfill", PoolSeen(pool=POOL, mint=MINT, quote_mint=WRAPPED_SOL))
    page = base.redecode(kind="unknown pool")
    assert (page.rows, page.became, page.trades) == (1, 1, 0)
    assert base.rows("SELECT kind, real_quote_reserves FROM reserve_changes") == [("init boost", 5)]
    assert base.rows("SELECT kind FROM unread") == [("unknown event",)]


def test_a_pool_that_is_found_now_needs_not_be_stored_first(base: Base) -> None:
    base.came("helius", kept(init_boost_payload(), program=PUMP_AMM, kind="unknown pool"))
    found = [PoolSeen(pool=POOL, mint=MINT, quote_mint=WRAPPED_SOL)]
    assert base.redecode(kind="unknown pool", found=found).became == 1
    assert base.rows("SELECT kind FROM unread") == []


def test_a_whole_transaction_that_is_understood_now_brings_all_its_trades(base: Base) -> None:
    base.came("backfill", kept_transaction(trade_payload(), trade_payload(number=1), b"a newer one still"))
    page = base.redecode()
    assert (page.became, page.trades) == (1, 2)
    assert [row[:4] for row in base.rows(TRADES)] == [(SIGNATURE, 0, 1, "backfill"), (SIGNATURE, 1, 1, "backfill")]
    assert base.rows("SELECT kind, signature FROM unread") == [("unknown event", SIGNATURE)]
    assert base.redecode().became == 0


@pytest.mark.parametrize("changes", [{"meta": None}, {"slot": None}, {"transaction": ["AAAA", "base64"]}])
def test_a_transaction_that_is_not_understood_stays(base: Base, changes: dict[str, Any]) -> None:
    base.came("backfill", kept_transaction(trade_payload(), **changes))
    assert base.redecode().became == 0
    assert base.rows("SELECT count(*) FROM unread") == [(1,)]


def test_the_whole_table_is_read_in_bounded_pages(base: Base) -> None:
    base.came("helius", *(kept(b"a newer one still", index=index) for index in range(700)))
    base.came("helius", *(kept(trade_payload(), index=index, signature=str(Signature.new_unique())) for index in range(700)))
    pages, after_id = [], 0
    while (page := base.redecode(after_id=after_id)).rows:
        after_id = page.after_id
        pages.append(page)
    assert [page.rows for page in pages] == [500, 500, 400]
    assert sum(page.trades for page in pages) == 700 == len(base.rows(TRADES))
    assert base.rows("SELECT count(*) FROM unread") == [(700,)]


def test_a_page_of_large_rows_is_bounded_by_bytes(base: Base) -> None:
    base.came("helius", *(kept(bytes(60_000), index=index) for index in range(5)))
    with Unread(base.path) as unread:
        assert [row.id for row in unread.page(0, most_rows=500, most_bytes=200_000)] == [1, 2]
        assert [row.id for row in unread.page(2, most_rows=500, most_bytes=1)] == [3]


def test_rows_that_name_nothing_are_left_alone(base: Base) -> None:
    broken = kept(trade_payload())
    for raw in (b"", b"\xff", b"{", b"a b c", b"a 1"):
        base.came("helius", type(broken)(kind="unknown event", reason="", raw=raw, ours=True, signature=SIGNATURE, slot=1))
    base.came("helius", type(broken)(kind="unknown event", reason="", raw=broken.raw, ours=True))
    assert base.redecode().became == 0


def test_nothing_is_taken_out_that_the_writer_has_not_committed(base: Base, tmp_path: Path) -> None:
    """The worker's way, with a writer that does not come to it."""
    base.came("helius", kept(trade_payload()))
    intake = Intake(tmp_path / "spill", queue_size=10, spill_bytes=1_000_000, now_us=0)
    with Unread(base.path) as unread, pytest.raises(TransientError, match="did not store it in time"):
        redecode_page(unread, through_intake(intake, unread, within_seconds=0.05))
    assert base.rows("SELECT count(*) FROM unread") == [(1,)]
    base.store.apply(intake.take(10, timeout_seconds=0))
    assert base.redecode().became == 1
    assert len(base.rows(TRADES)) == 1
    intake.close()
    with Unread(base.path) as unread, pytest.raises(TransientError, match="no room"):
        through_intake(intake, unread, within_seconds=0.05)([Delivery(source="helius", received_at_us=1, events=())])
