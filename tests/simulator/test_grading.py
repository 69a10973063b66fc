"""A grade says exactly what is wrong with a record: each mistake is made once in a file that is otherwise right."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from pumpwatch.simulator.delivered import Delivered, Interest
from pumpwatch.simulator.grading import Grade, grade, recorded_count
from pumpwatch.simulator.market import Market
from pumpwatch.simulator.truth import TradeRow

_IDENTITY = ("signature", "event_index")
_VALUES = (
    *("slot", "block_time", "mint", "wallet", "side", "venue", "token_amount", "quote_amount", "trader_quote_amount"),
    *("quote_mint", "protocol_fee", "creator_fee", "lp_fee", "virtual_token_reserves", "virtual_quote_reserves"),
    *("real_token_reserves", "real_quote_reserves"),
)
_COLUMNS = (*_IDENTITY, *_VALUES, "sources", "confirmed")


class Record:
    """A file with a table in place of the view."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.connection = sqlite3.connect(path, isolation_level=None)
        self.connection.execute("PRAGMA synchronous=OFF")
        self.connection.execute("PRAGMA journal_mode=MEMORY")
        self.connection.execute(f"CREATE TABLE trade_log ({', '.join(_COLUMNS)})")
        self.connection.execute("CREATE TABLE gaps (cause, from_us, to_us)")
        self.connection.execute("CREATE TABLE tokens (id, mint)")
        self.connection.execute("CREATE TABLE baselines (token_id, slot, trades, buys, volume)")

    def confirmed(self, row: TradeRow, **changes: object) -> None:
        values = row._asdict() | {"side": "buy" if row.is_buy else "sell", "sources": "pumpportal,helius", "confirmed": 1}
        self._insert(values | changes)

    def provisional(self, row: TradeRow, **changes: object) -> None:
        names = ("signature", "mint", "wallet", "token_amount", "quote_amount", "virtual_token_reserves")
        values: dict[str, object] = dict.fromkeys(_COLUMNS) | {name: getattr(row, name) for name in names}
        self._insert(values | {"side": "buy" if row.is_buy else "sell", "sources": "pumpportal", "confirmed": 0} | changes)

    def _insert(self, values: dict[str, object]) -> None:
        marks = ", ".join("?" * len(_COLUMNS))
        self.connection.execute(f"INSERT INTO trade_log VALUES ({marks})", [values[name] for name in _COLUMNS])


@pytest.fixture(scope="module")
def trades() -> list[TradeRow]:
    market = Market(seed=9)
    for number in range(300):
        market.next(number / 10)
    return list(market.ledger)


@pytest.fixture
def record(tmp_path: Path) -> Record:
    return Record(tmp_path / "some file.db")


@pytest.fixture
def delivered(trades: list[TradeRow]) -> Delivered:
    delivered = Delivered()
    delivered.mark("helius", range(len(trades)))
    delivered.mark("pumpportal", range(0, len(trades), 2))
    return delivered


def graded(record: Record, trades: list[TradeRow], delivered: Delivered, **more: object) -> Grade:
    record.connection.close()
    return grade(record.path, trades=trades, delivered=delivered, **more)  # type: ignore[arg-type]


def test_a_right_record_passes(record: Record, trades: list[TradeRow], delivered: Delivered) -> None:
    for row in trades:
        record.confirmed(row)

    result = graded(record, trades, delivered)

    assert result.passed
    assert result.problems == []
    assert (result.recorded, result.confirmed, result.missing, result.wrong) == (len(trades), len(trades), 0, 0)
    assert result.delivered == {"helius": len(trades), "pumpportal": (len(trades) + 1) // 2}


def test_provisional_rows_and_unknown_values_pass(record: Record, trades: list[TradeRow], delivered: Delivered) -> None:
    for row in trades[:-40]:
        record.confirmed(row, lp_fee=None, real_quote_reserves=None)
    for row in trades[-40:]:
        record.provisional(row)

    result = graded(record, trades, delivered)

    assert result.passed, result.problems
    assert result.confirmed == len(trades) - 40


@pytest.mark.parametrize("column", _VALUES)
def test_each_wrong_value_is_found(record: Record, trades: list[TradeRow], delivered: Delivered, column: str) -> None:
    wrong = trades[7]
    value: object = "sell" if wrong.is_buy else "buy"
    if column != "side":
        true = getattr(wrong, column)
        value = true + 1 if isinstance(true, int) else true + "x"
    for row in trades:
        record.confirmed(row, **({column: value} if row is wrong else {}))

    result = graded(record, trades, delivered)

    assert (result.passed, result.wrong) == (False, 1)
    assert wrong.signature in result.problems[0]


def test_a_missing_trade_is_found_and_blamed_on_its_feed(record: Record, trades: list[TradeRow], delivered: Delivered) -> None:
    for row in trades:
        if row.number != 7:
            record.confirmed(row)

    result = graded(record, trades, delivered)

    assert (result.passed, result.missing) == (False, 1)
    assert result.missing_by_feed == {"helius": 1, "pumpportal": 0}


def test_a_trade_that_no_feed_delivered_is_not_missing(record: Record, trades: list[TradeRow], delivered: Delivered) -> None:
    delivered.unmark("helius", [7])
    for row in trades:
        if row.number != 7:
            record.confirmed(row)

    assert graded(record, trades, delivered).passed


@pytest.mark.parametrize(("cause", "passes"), [("spill full", True), ("restart", True), ("disconnected", False)])
def test_only_a_gap_that_admits_a_loss_excuses_one(
    record: Record, trades: list[TradeRow], delivered: Delivered, cause: str, passes: bool
) -> None:
    at = delivered.sent_at_us("helius", 7)
    assert at is not None
    for row in trades:
        if row.number != 7:
            record.confirmed(row)
    record.connection.execute("INSERT INTO gaps VALUES (?, ?, ?)", (cause, at - 10, at + 10))

    result = graded(record, trades, delivered)

    assert result.passed is passes
    assert (result.excused, result.missing) == ((1, 0) if passes else (0, 1))
    assert result.gaps == {cause: 1}


def test_a_gap_at_another_time_excuses_nothing(record: Record, trades: list[TradeRow], delivered: Delivered) -> None:
    record.connection.execute("INSERT INTO gaps VALUES ('spill full', 5, 10)")
    for row in trades[1:]:
        record.confirmed(row)

    assert graded(record, trades, delivered).missing == 1


def test_a_trade_recorded_twice_is_found(record: Record, trades: list[TradeRow], delivered: Delivered) -> None:
    for row in trades:
        record.confirmed(row)
    record.confirmed(trades[3])
    record.provisional(trades[5])

    result = graded(record, trades, delivered)

    assert (result.passed, result.duplicates) == (False, 2)


def test_alike_trades_of_one_transaction_are_told_apart(record: Record, trades: list[TradeRow], delivered: Delivered) -> None:
    first = trades[3]
    twin = first._replace(number=len(trades), event_index=9, virtual_token_reserves=first.virtual_token_reserves + 1)
    both = [*trades, twin]
    delivered.mark("helius", [twin.number])
    for row in trades:
        record.confirmed(row)
    record.provisional(twin)

    assert graded(record, both, delivered).passed


def test_an_invented_trade_is_found_and_a_phantom_forgiven(record: Record, trades: list[TradeRow], delivered: Delivered) -> None:
    for row in trades:
        record.confirmed(row)
    phantom = trades[3]._replace(signature="2" * 87)
    record.provisional(phantom)
    assert graded(record, trades, delivered, phantoms=[phantom]).phantoms == 1

    record.connection = sqlite3.connect(record.path, isolation_level=None)
    record.provisional(phantom._replace(signature="3" * 87))
    result = graded(record, trades, delivered, phantoms=[phantom])

    assert (result.passed, result.invented) == (False, 1)


def test_a_trade_that_one_feed_lost_and_the_other_saved_is_shown(
    record: Record, trades: list[TradeRow], delivered: Delivered
) -> None:
    for row in trades:
        record.confirmed(row, **({"sources": "helius"} if row.number == 4 else {}))

    result = graded(record, trades, delivered)

    assert result.passed
    assert result.uncredited == {"pumpportal": 1, "helius": 0}


def test_interest_tells_which_trades_were_watched(record: Record, trades: list[TradeRow], delivered: Delivered) -> None:
    interest = Interest()
    mint = trades[100].mint
    interest.begin("helius", mint, 90)
    interest.begin("helius", mint, 95)
    interest.end("helius", mint, 200)
    expected = [row for row in trades if row.mint == mint and 90 <= row.number < 200]
    for row in trades:
        record.confirmed(row)

    result = graded(record, trades, delivered, interest=interest)

    assert result.watched == result.watched_recorded == len(expected) > 0


def test_a_file_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    assert recorded_count(tmp_path / "none.db") == 0
    assert not (tmp_path / "none.db").exists()
