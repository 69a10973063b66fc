"""Promises of the stable interface: what is read from Python is what the views say, from any thread, for any length of time."""

from __future__ import annotations

import inspect
import re
import sqlite3
import textwrap
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import pytest
from cli_samples import NOW, USDC, Maker

from pumpwatch import read
from pumpwatch.candles import INTERVALS
from pumpwatch.errors import DatabaseError
from pumpwatch.events import WRAPPED_SOL, SpellStarted, TokenMigrated
from pumpwatch.storage.store import Store

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "docs" / "read.md"


class Sample:
    """A record: *mints* 0: SOL; 1: USDC, graduated; 2: provisional only. Two wallets."""

    def __init__(self, path: Path) -> None:
        make = Maker()
        self.path = path
        self.mints = [make.address() for _ in range(3)]
        self.wallets = [make.address() for _ in range(2)]
        first, second, third = self.mints
        make.create(first, self.wallets[0], symbol="CAT", name="A cat")
        make.create(second, self.wallets[1], symbol="DOG", quote_mint=USDC)
        for number in range(60):
            make.trade(first, self.wallets[number % 2], number * 7)
        make.trade(second, self.wallets[0], 3, quote_mint=USDC)
        make.provisional(third, self.wallets[0], 1)
        make.provisional(first, self.wallets[0], 2)
        make.put("helius", TokenMigrated(signature=make.signature(), mint=second, event_index=3, slot=99, block_time=NOW + 9))
        make.put("pumpwatch", SpellStarted(kind="token", address=first, reason="pinned", at_us=NOW * 1_000_000))
        store = Store.open(path, origin="simulator")
        for delivery in make.deliveries:
            store.apply([delivery])
        store.checkpoint()
        store.close()

    def view(self, statement: str, *values: object) -> list[dict[str, Any]]:
        with closing(sqlite3.connect(self.path)) as connection:
            found = connection.execute(statement, values)
            return [dict(zip([name for name, *_ in found.description], row, strict=True)) for row in found]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return Sample(tmp_path_factory.mktemp("read") / "pumpwatch.db")


@pytest.fixture
def record(sample: Sample) -> Iterator[read.Record]:
    with read.open(sample.path) as opened:
        yield opened


def as_rows(found: Iterator[Any]) -> list[dict[str, Any]]:
    return [{name: getattr(row, name) for name in row.__struct_fields__} for row in found]


# What is read


def test_tokens_and_a_token_are_rows_of_the_board(record: read.Record, sample: Sample) -> None:
    board = {row["mint"]: row for row in sample.view("SELECT * FROM token_board")}

    found = as_rows(record.tokens())

    assert [row["mint"] for row in found] == sample.mints
    for row in found:
        watched = row.pop("watched")
        assert row == board[row["mint"]]
        assert watched == ("pinned" if row["mint"] == sample.mints[0] else None)
    one = record.token(sample.mints[1])
    assert one is not None
    assert (one.symbol, one.status, one.completeness) == ("DOG", "graduated", "unproven")
    assert record.token(sample.mints[0][:8]) is None


def test_tokens_can_be_chosen(record: read.Record, sample: Sample) -> None:
    def symbols(**chosen: Any) -> list[str | None]:
        return [token.symbol for token in record.tokens(**chosen)]

    assert symbols(status="graduated") == ["DOG"]
    assert symbols(symbol="ca") == ["CAT"]
    assert symbols(completeness="complete") == []
    assert symbols(watched_only=True) == ["CAT"]
    assert symbols(quote_mint=USDC) == ["DOG"]
    assert symbols(minimum_volume=1) == ["CAT", "DOG"]
    assert symbols(created_after=datetime(2300, 1, 1, tzinfo=UTC)) == []


def test_trades_are_rows_of_the_log_with_the_completeness_of_their_record(record: read.Record, sample: Sample) -> None:
    log = {row["signature"]: row for row in sample.view("SELECT * FROM trade_log")}

    found = as_rows(record.trades())

    assert len(found) == len(log) == 63
    for row in found:
        assert row.pop("completeness") == "unproven"
        row["chain_key"] = None if row["chain_key"] is None else bytes.fromhex(row["chain_key"])
        assert row == log[row["signature"]]


def test_trades_can_be_chosen_and_ordered(record: read.Record, sample: Sample) -> None:
    first, second, _ = sample.mints

    assert Counter(trade.side for trade in record.trades(mint=first)) == {"buy": 41, "sell": 20}
    assert {trade.side for trade in record.trades(side="sell")} == {"sell"}
    assert [trade.mint for trade in record.trades(wallet=sample.wallets[0], since=NOW, until=NOW + 5)] == [first, second]
    assert [trade.quote_mint for trade in record.trades(mint=second)] == [USDC]
    assert sum(1 for _ in record.trades(confirmed_only=True)) == 61
    times = [trade.block_time for trade in record.trades(order="time")]
    assert times == [*sorted(time for time in times if time is not None), None, None]
    moment = datetime.fromtimestamp(NOW + 7, tz=UTC)
    assert [trade.block_time for trade in record.trades(mint=first, since=moment, until=moment)] == [NOW + 7]
    assert list(record.trades(mint=first[::-1])) == []


def test_candles_have_their_unit_and_add_up(record: read.Record, sample: Sample) -> None:
    found = list(record.candles(sample.mints[0], interval="1m"))

    assert sum(candle.trades for candle in found) == 60
    assert {(candle.unit, candle.completeness) for candle in found} == {(WRAPPED_SOL, "unproven")}
    assert sum(candle.trades for candle in record.candles()) == 61
    gapless = list(record.candles(sample.mints[0], interval="1s", gapless=True))
    assert [candle.opens_at for candle in gapless] == list(range(NOW, NOW + 59 * 7 + 1))
    assert all(candle.open is None for candle in record.candles(sample.mints[0], usd=True)), "no rate is known"


def test_positions_are_rows_of_the_board(record: read.Record, sample: Sample) -> None:
    wallet = sample.wallets[0]

    assert as_rows(record.positions(wallet=wallet)) == sample.view(
        "SELECT * FROM position_board WHERE wallet = ? ORDER BY mint = ?, mint = ?", wallet, *reversed(sample.mints[1:])
    )
    assert {position.wallet for position in record.positions(mint=sample.mints[0])} == set(sample.wallets)
    [one] = record.positions(wallet=wallet, mint=sample.mints[1])
    assert (one.buys, one.sells) == tuple(sample.view("SELECT buys, sells FROM token_board WHERE symbol = 'DOG'")[0].values())


def test_columns_are_what_data_frames_are_made_of(record: read.Record) -> None:
    found = read.columns(record.tokens())

    assert list(found) == [*read.Token.__struct_fields__]
    assert found["symbol"] == ["CAT", "DOG", None]
    assert read.columns(record.tokens(symbol="nothing")) == {}


def test_the_origin_is_told(record: read.Record) -> None:
    assert record.origin == "simulator"


# How it is used


def test_a_record_may_be_used_from_several_threads(record: read.Record) -> None:
    counts: list[int] = []

    def work() -> None:
        counts.extend(sum(1 for _ in record.trades()) for _ in range(5))

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert counts == [63] * 30


def test_an_iteration_that_was_begun_in_one_thread_goes_on_in_another(record: read.Record) -> None:
    trades = record.trades()
    next(trades)
    rest: list[read.Trade] = []

    thread = threading.Thread(target=lambda: rest.extend(trades))
    thread.start()
    thread.join()

    assert len(rest) == 62


def test_a_slow_reader_does_not_hold_up_the_writer(sample: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pumpwatch.storage.streams._PAGE_ROWS", 10)
    copy = tmp_path / "pumpwatch.db"
    copy.write_bytes(sample.path.read_bytes())
    make = Maker()
    make.trade(sample.mints[0], sample.wallets[0], 9_000)
    with read.open(copy) as record:
        trades = record.trades()
        next(trades)
        store = Store.open(copy, origin="simulator")
        store.apply(make.deliveries)
        with closing(sqlite3.connect(copy)) as connection:
            busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        store.close()

        assert not busy
        assert sum(1 for _ in trades) == 62, "what came meanwhile is in the next iteration"
        assert sum(1 for _ in record.trades()) == 64


@pytest.mark.parametrize(
    "ask",
    [
        lambda record: record.origin,
        lambda record: record.token("x"),
        lambda record: record.tokens(),
        lambda record: record.trades(),
        lambda record: record.candles("x"),
        lambda record: record.positions(wallet="x"),
    ],
)
def test_a_closed_record_says_that_it_is(sample: Sample, ask: Callable[[read.Record], object]) -> None:
    record = read.open(sample.path)
    left = record.trades()
    record.close()
    record.close()

    with pytest.raises(DatabaseError, match=r"is closed: iterate inside of `with`"):
        ask(record)
    with pytest.raises(DatabaseError, match=r"is closed"):
        next(left)
    assert repr(record).endswith("pumpwatch.db, closed>")


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda record: record.trades(side="both"), "side is one of buy, sell, not 'both'"),
        (lambda record: record.trades(venue="dex"), "venue is one of curve, pool"),
        (lambda record: record.trades(order="random"), "order is one of chain, time"),
        (lambda record: record.trades(since="yesterday"), "since is in unix seconds, or a datetime"),
        (lambda record: record.trades(until=datetime(2026, 7, 4)), "until has no time zone"),  # noqa: DTZ001
        (lambda record: record.candles("x", interval="2m"), "interval is one of 1s, 15s, 1m"),
        (lambda record: record.tokens(status="dead"), "status is one of curve, completed, graduated"),
        (lambda record: record.tokens(completeness="full"), "completeness is one of complete, since"),
        (lambda record: record.positions(), "positions of whom"),
    ],
)
def test_an_argument_that_makes_no_sense_is_refused_at_once(
    record: read.Record, ask: Callable[[read.Record], object], said: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        ask(record)


def test_what_is_no_record_is_refused_when_it_is_opened(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="there is no database"):
        read.open(tmp_path / "missing.db")
    (tmp_path / "text.db").write_text("no database, but text of some length " * 100)
    with pytest.raises(DatabaseError, match="is damaged"):
        read.open(str(tmp_path / "text.db"))


def test_a_reader_changes_nothing_in_the_file(sample: Sample) -> None:
    before = sample.path.read_bytes()
    with read.open(sample.path) as record:
        read.columns(record.trades())

    assert sample.path.read_bytes() == before


def test_every_interval_of_candles_is_offered() -> None:
    assert get_args(read.Interval) == tuple(INTERVALS)


# The documents


def examples() -> Iterator[str]:
    [shown] = re.findall(r"\n\n((?: {4}.*\n|\n)+)", (inspect.getdoc(read) or "") + "\n")[:1]
    yield textwrap.dedent(shown).strip()
    yield from (block.strip() for block in re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.S))


@pytest.mark.parametrize("program", list(examples()), ids=lambda program: program.splitlines()[-1][:30])
def test_an_example_runs(
    program: str, sample: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if "pandas" in program.split("#")[0] or "import polars" in program:
        pytest.skip("needs a library that the tests do not")
    (tmp_path / "pumpwatch.db").write_bytes(sample.path.read_bytes())
    monkeypatch.chdir(tmp_path)

    exec(compile(program, "example", "exec"), {})

    assert capsys.readouterr().out


def test_the_document_begins_with_the_example_of_the_module() -> None:
    of_module, of_document, *_ = examples()

    assert of_module == of_document
    assert 9 <= len(of_module.splitlines()) <= 14


@pytest.mark.parametrize("kind", [read.Token, read.Trade, read.Candle, read.Position])
def test_every_field_is_in_the_documents(kind: type[Any]) -> None:
    text = DOCUMENT.read_text(encoding="utf-8") + (ROOT / "docs" / "data.md").read_text(encoding="utf-8")

    assert [name for name in kind.__struct_fields__ if f"`{name}`" not in text] == []


def test_every_name_of_the_interface_has_a_docstring_and_types() -> None:
    for name in read.__all__:
        assert inspect.getdoc(getattr(read, name)), name
    for name, method in inspect.getmembers(read.Record, inspect.isfunction):
        if not name.startswith("_"):
            assert inspect.getdoc(method), name
            assert method.__annotations__["return"], name
