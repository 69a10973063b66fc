"""Who goes first, how much at a time, and how the file gets smaller."""

from __future__ import annotations

import itertools
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from audit_samples import NOW, Token
from msgspec.structs import replace

from pumpwatch.events import Delivery, Trade
from pumpwatch.storage import pruner as pruner_module
from pumpwatch.storage import pruning
from pumpwatch.storage.pruner import Pruner
from pumpwatch.storage.recount import Recount
from pumpwatch.storage.store import Store

HOUR = 3600
DAY = 24 * HOUR


def made_at(token: Token, at: int) -> list[Trade]:
    """Its trades, the first made then, one every four seconds."""
    return [replace(trade, block_time=at + (trade.block_time or 0) - NOW) for trade in token.trades]


def record(store: Store, *tokens: list[Trade]) -> None:
    for trades in tokens:
        store.apply([Delivery(source="helius", received_at_us=1, events=(trade,)) for trade in trades])


def work(pruner: Pruner, now: int = NOW) -> list[str]:
    """Until there is nothing to do."""
    did: list[str] = []
    while not did or did[-1] != "nothing":
        did.append(pruner.step(now_us=now * 1_000_000))
        assert len(did) < 2000
    return did


def ask(path: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def differences(path: Path) -> list[Any]:
    counting = Recount(path)
    try:
        return [one for _, step in counting.steps(counting.tokens()) for one in step.differences]
    finally:
        counting.close()


def left(path: Path) -> dict[str, int]:
    return dict(ask(path, "SELECT mint, count(*) FROM trades JOIN tokens ON tokens.id = token_id GROUP BY 1"))


def test_what_is_older_than_the_setting_goes_and_the_file_gets_smaller(store: Store, path: Path) -> None:
    old, young = Token(1, trades=3000), Token(2, trades=20)
    record(store, made_at(old, NOW - 9 * 24 * HOUR), made_at(young, NOW - HOUR))
    store.checkpoint()
    size = path.stat().st_size

    pruner = store.pruner(trade_days=7, max_bytes=0)
    did = work(pruner)

    assert left(path) == {young.mint: 20}
    store.checkpoint()
    assert path.stat().st_size < 0.7 * size
    assert ask(path, "PRAGMA freelist_count") == [(0,)]
    assert {"pruned", "flushed", "shrunk"} <= set(did)
    assert (pruner.tally.rows, pruner.is_due()) == (3000, False)
    assert differences(path) == []


def test_a_clock_that_is_a_year_ahead_takes_nothing_that_is_young_by_the_chains(store: Store, path: Path) -> None:
    record(store, made_at(Token(1, trades=20), NOW - 40 * DAY), made_at(Token(2, trades=20), NOW - 9 * DAY))

    work(store.pruner(trade_days=30, max_bytes=0), now=NOW + 400 * DAY)

    assert left(path) == {Token(2).mint: 20}


def test_a_step_never_exceeds_its_rows_but_to_end_a_minute(store: Store, monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    monkeypatch.setattr(pruner_module, "_MOST_ROWS", 50)
    record(store, *(made_at(Token(number, trades=200), NOW - 9 * 24 * HOUR) for number in range(4)))
    record(store, made_at(Token(9, trades=1), NOW))
    pruner = store.pruner(trade_days=7, max_bytes=0)
    rows = [0]
    while pruner.step(now_us=NOW * 1_000_000) != "nothing":
        rows.append(pruner.tally.rows)

    steps = [after - before for before, after in itertools.pairwise(rows)]
    assert max(steps) <= 50 + 15
    assert rows[-1] == 800
    assert differences(path) == []


def test_above_the_size_the_oldest_of_all_tokens_go_first_and_those_of_the_last_hour_never(
    store: Store, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tokens = [Token(number, trades=300) for number in range(4)]
    for token, hours in zip(tokens, (30, 20, 10, 0), strict=True):
        record(store, made_at(token, NOW - hours * HOUR - 1300))
    used = ask(path, "SELECT page_count * 4096 FROM pragma_page_count")[0][0]

    work(store.pruner(trade_days=0, max_bytes=int(used * 0.8)))
    some = left(path)
    assert tokens[0].mint not in some
    assert some[tokens[2].mint] == 300
    assert some[tokens[3].mint] == 300

    work(store.pruner(trade_days=0, max_bytes=4096))
    assert left(path) == {tokens[3].mint: 300}, "younger than an hour"
    assert differences(path) == []


def test_a_token_that_must_stay_holds_up_no_other(store: Store, path: Path) -> None:
    stuck, other, newest = Token(1, trades=60), Token(2, trades=60), Token(3, trades=1)
    trades = made_at(stuck, NOW - 50 * HOUR)
    trades[10] = replace(trades[10], block_time=NOW - 90 * HOUR)
    record(store, trades, made_at(other, NOW - 20 * HOUR), made_at(newest, NOW))
    for pruner in (store.pruner(trade_days=0.5, max_bytes=0), store.pruner(trade_days=0, max_bytes=4096)):
        work(pruner)
        assert left(path) == {stuck.mint: 60, newest.mint: 1}
        assert pruner.stayed["its trades are not in order"] == 1


def test_a_step_that_is_interrupted_leaves_everything_as_it_was(
    store: Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(store, made_at(Token(1, trades=300), NOW - 9 * 24 * HOUR), made_at(Token(2, trades=1), NOW))
    pruner = store.pruner(trade_days=7, max_bytes=0)
    pruner.step(now_us=NOW * 1_000_000)
    tables = ("trades", "baselines", "baseline_segments", "baseline_positions", "meta")
    before = [ask(path, f"SELECT * FROM {table}") for table in tables]

    class Killed(BaseException):
        pass

    def die(*_: object) -> None:
        raise Killed

    for place in ("_write_segments", "_fold"):
        with monkeypatch.context() as patch:
            patch.setattr(pruning, place, die)
            with pytest.raises(Killed):
                work(pruner)
        assert [ask(path, f"SELECT * FROM {table}") for table in tables] == before
        assert differences(path) == []

    work(pruner)
    assert sum(left(path).values()) == 1
    assert differences(path) == []


def test_what_is_asked_for_once_is_done_once(store: Store, path: Path) -> None:
    record(store, made_at(Token(1, trades=30), NOW - 9 * 24 * HOUR), made_at(Token(2, trades=1), NOW))
    pruner = store.pruner(trade_days=0, max_bytes=0)
    assert not pruner.is_due()
    pruner.ask(5)
    assert pruner.is_due()
    work(pruner)
    assert not pruner.is_on
    assert sum(left(path).values()) == 1
