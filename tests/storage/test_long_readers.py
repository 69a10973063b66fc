"""Who reads for long reads in short transactions: the log can be emptied at any moment in between, whatever is done meanwhile."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from cli_samples import Maker
from storage_samples import delivery

from pumpwatch.audit import audit
from pumpwatch.events import Counted
from pumpwatch.export import export
from pumpwatch.storage import evidence, known, streams, stretches
from pumpwatch.storage.candle_streams import WantedCandles, candles
from pumpwatch.storage.chosen import Wanted
from pumpwatch.storage.evidence import open_evidence
from pumpwatch.storage.queries import open_reader
from pumpwatch.storage.recount import Recount
from pumpwatch.storage.store import Store

TOKENS, TRADES = 6, 300


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    make = Maker()
    wallet = make.address()
    for mint in [make.address() for _ in range(TOKENS)]:
        for number in range(TRADES):
            make.trade(mint, wallet, number)
    made = Store.open(tmp_path / "p.db", origin="simulator")
    made.apply(make.deliveries)
    yield made
    made.close()


@pytest.fixture
def path(store: Store, tmp_path: Path) -> Path:
    return tmp_path / "p.db"


@pytest.fixture
def empties(store: Store, path: Path) -> Callable[[], None]:
    """Write something, and make sure that the log can be emptied now: nobody is in a transaction."""

    def empty() -> None:
        store.apply([delivery("helius", Counted(kind="something"))])
        assert path.with_name("p.db-wal").stat().st_size > 0
        assert store.checkpoint(), "a reader keeps the log"
        assert path.with_name("p.db-wal").stat().st_size == 0

    return empty


@pytest.mark.parametrize("order", ["chain", "time"])
def test_during_a_long_export_the_log_can_be_emptied_after_each_page(
    path: Path, tmp_path: Path, order: str, empties: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "_PAGE_ROWS", 100)
    monkeypatch.setattr(stretches, "_TOGETHER", 500)
    pages = []

    def progress(done: int, _total: int) -> None:
        pages.append(done)
        empties()

    with open_reader(path) as reader:
        stream = streams.trades(reader, Wanted(), order="chain" if order == "chain" else "time")
        written = export(stream, tmp_path / "t.csv", "csv", about={}, progress=progress)

    assert len(pages) >= TOKENS * TRADES / 100
    assert written.rows.total() == TOKENS * TRADES


def test_between_candles_and_between_tokens_too(path: Path, empties: Callable[[], None]) -> None:
    with open_reader(path) as reader:
        wanted = WantedCandles(interval_seconds=60, mints=None, since=None, until=None, in_usd=False, gapless=False)
        for stream in (candles(reader, wanted), streams.tokens(reader)):
            for page in stream.pages:
                assert page.rows
                empties()


def test_an_audit_holds_no_transaction_while_it_works(path: Path, empties: Callable[[], None]) -> None:
    with open_evidence(path) as opened:
        seen = 0
        for record in opened.records():
            empties()
            seen += sum(1 for _ in record.trades)
            empties()
    assert seen == TOKENS * TRADES


@pytest.mark.parametrize(("seconds", "memory_bytes"), [(0.25, 4096), (-1.0, 4096), (-1.0, 1 << 22)])
def test_an_audit_comes_to_the_same_however_its_reading_is_cut(
    path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, memory_bytes: int
) -> None:
    with open_evidence(path) as opened:
        whole = list(audit(opened))
    monkeypatch.setattr(evidence, "_TRANSACTION_SECONDS", seconds)
    monkeypatch.setattr(evidence, "_MEMORY_BYTES", memory_bytes)
    monkeypatch.setattr(evidence, "_ROWS_AT_ONCE", 7)
    monkeypatch.setattr(evidence, "_TOKENS_AT_ONCE", 4)
    with open_evidence(path) as opened:
        assert list(audit(opened)) == whole
    assert [one.trades for one in whole] == [TRADES] * TOKENS


def test_counting_again_ends_its_transactions(path: Path, empties: Callable[[], None]) -> None:
    with closing(Recount(path)) as recount:
        steps = recount.steps(recount.tokens())
        assert sum(step.trades for _, step in steps) == TOKENS * TRADES
        empties()


def test_what_is_known_of_a_few_tokens_is_found_by_indexes_alone(store: Store, path: Path) -> None:
    """The writer asks this of every batch, the audit of all tokens: a look at all spells cost 4 s where there were 100,000."""
    questions = (known._SPELLS, known._SEAMS, known._LISTINGS, known._TOKENS)
    with closing(sqlite3.connect(path)) as connection:
        for question in questions:
            plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {question}", ("[1]",))]
            assert not [step for step in plan if step.startswith("SCAN") and "VIRTUAL TABLE" not in step], plan
            assert not [step for step in plan if "spells_identity (kind=?)" in step], plan
