"""Old trades go, and nothing else changes: numbers, candles, positions and verdicts are those of a twin that keeps everything."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from audit_samples import FIRST_SLOT, NOW, Token
from msgspec.structs import replace
from real_coin import real_trades
from storage_samples import message_trade

from pumpwatch.audit import audit
from pumpwatch.events import Delivery, Event, GapOpened, TokenCreated, Trade
from pumpwatch.storage import recount
from pumpwatch.storage.evidence import open_evidence
from pumpwatch.storage.pruning import GAP_PATIENCE_SECONDS, Pruned, prune_token
from pumpwatch.storage.recount import Recount
from pumpwatch.storage.store import Store

DAY = 86_400

#: What must be as it is without pruning.
SHOWN = (
    "SELECT * FROM tokens ORDER BY id",
    "SELECT * FROM positions ORDER BY token_id, wallet_id",
    "SELECT * FROM minutes ORDER BY token_id, minute",
    "SELECT token_id, venue, sum(trades), min(first_key), max(last_key) FROM segments GROUP BY token_id, venue ORDER BY 1, 2",
)


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pumpwatch.verdict.STALE_SECONDS", 10**9)


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[[str], Store]]:
    stores: list[Store] = []

    def opening(name: str) -> Store:
        stores.append(Store.open(tmp_path / name, origin="simulator", break_grace_seconds=0.0))
        return stores[-1]

    yield opening
    for store in stores:
        store.close()


def told_of(*events: Event) -> list[Delivery]:
    return [Delivery(source="helius", received_at_us=(NOW + 9) * 1_000_000, events=(event,)) for event in events]


def of_another_token() -> Trade:
    """The newest trade of the record: its row stays, so that no id is given twice."""
    return Token(99, trades=1).trades[0]


def ask(path: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def shown(path: Path) -> list[list[Any]]:
    return [ask(path, query) for query in SHOWN]


def prune(store: Store, *, before: int, rows: int = 50, token_id: int = 1) -> list[Pruned]:
    """As many steps as it takes."""
    steps: list[Pruned] = []
    while not steps or not steps[-1].is_done:
        with store._engine.begin() as connection:
            steps.append(prune_token(connection, token_id, before=before, rows=rows, now_us=(NOW + 10**6) * 1_000_000))
        assert len(steps) < 1000
    return steps


def differences(path: Path) -> list[Any]:
    counting = Recount(path)
    try:
        return [one for _, step in counting.steps(counting.tokens()) for one in step.differences]
    finally:
        counting.close()


def made_anew(path: Path) -> list[list[Any]]:
    """What is shown after everything that is made of trades was made anew."""
    copy = path.with_name("copy.db")
    copy.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as connection, closing(sqlite3.connect(copy)) as to:
        connection.backup(to)
    engine = sa.create_engine(f"sqlite:///{copy}")
    with engine.begin() as connection:
        for (token_id,) in connection.exec_driver_sql("SELECT id FROM tokens").all():
            recount.repair(connection, token_id)
    engine.dispose()
    return shown(copy)


def verdicts(path: Path) -> list[tuple[Any, ...]]:
    with open_evidence(path) as evidence:
        return [
            (
                one.mint,
                one.completeness,
                one.complete_from,
                one.complete_until,
                one.proven_to_slot,
                one.holes,
                one.reason,
                one.trades,
            )
            for one in audit(evidence)
        ]


def nearly_in_order(trades: list[Trade], chance: random.Random) -> list[Trade]:
    return sorted(trades, key=lambda trade: (trade.slot or 0) + chance.randrange(40))


def test_the_record_of_a_pruned_token_is_that_of_its_twin(opened: Callable[[str], Store], tmp_path: Path) -> None:
    token = Token(3, trades=120)
    events: list[Event] = [token.watched, token.created, *token.trades, token.anchor()]
    whole, pruned = opened("whole.db"), opened("pruned.db")
    for store in (whole, pruned):
        store.apply(told_of(*events))

    steps = prune(pruned, before=NOW + 300, rows=30)

    left = ask(tmp_path / "pruned.db", "SELECT min(block_time) FROM trades")[0][0]
    assert left == min(trade.block_time or 0 for trade in token.trades if (trade.block_time or 0) >= (NOW + 300) // 60 * 60)
    assert sum(step.rows for step in steps) == 120 - ask(tmp_path / "pruned.db", "SELECT count(*) FROM trades")[0][0]
    assert all(step.rows <= 30 + 15 for step in steps), "a step takes its rows, and the rest of a minute at most"
    assert shown(tmp_path / "pruned.db") == shown(tmp_path / "whole.db")
    assert differences(tmp_path / "pruned.db") == []
    assert verdicts(tmp_path / "pruned.db") == verdicts(tmp_path / "whole.db")
    assert verdicts(tmp_path / "pruned.db")[0][1] == "complete"


def test_a_token_of_which_all_trades_are_gone_is_still_what_it_was(opened: Callable[[str], Store], tmp_path: Path) -> None:
    token = Token(4, trades=40)
    events: list[Event] = [token.watched, token.created, *token.trades, token.anchor()]
    whole, pruned = opened("whole.db"), opened("pruned.db")
    for store in (whole, pruned):
        store.apply(told_of(*events))
        store.apply(told_of(of_another_token()))

    prune(pruned, before=NOW + 10_000)

    path = tmp_path / "pruned.db"
    assert ask(path, "SELECT count(*) FROM trades WHERE token_id = 1") == [(0,)]
    assert shown(path) == shown(tmp_path / "whole.db") == made_anew(path)
    assert differences(path) == []
    assert verdicts(path) == verdicts(tmp_path / "whole.db")
    # Later trades go on from there, and a newer look at its account agrees.
    later = [replace(trade, block_time=(trade.block_time or 0) + 60) for trade in (token.trade() for _ in range(10))]
    for store in (whole, pruned):
        store.apply(told_of(*later, token.anchor()))
    assert shown(path) == shown(tmp_path / "whole.db") == made_anew(path)
    assert verdicts(path) == verdicts(tmp_path / "whole.db")


@pytest.mark.parametrize("seed", range(8))
def test_any_story_pruned_anywhere_ends_as_it_would_have(
    opened: Callable[[str], Store], tmp_path: Path, corpus: Path, seed: int
) -> None:
    chance = random.Random(seed)
    trades = real_trades(corpus)[:600]
    told = nearly_in_order(trades, chance)
    told += [chance.choice(told[: place + 1]) for place in range(0, len(told), 7)]  # again, whenever
    if seed % 2:
        told.insert(0, told[0])
    whole, pruned = opened("whole.db"), opened("pruned.db")
    if seed % 4 == 3:
        somebody = trades[0].wallet
        created = TokenCreated(
            signature="c" * 88, mint=trades[0].mint, bonding_curve=somebody, developer=somebody, is_mayhem_mode=True
        )
        for store in (whole, pruned):
            store.apply([Delivery(source="helius", received_at_us=1, events=(created,))])
    at = 0
    while at < len(told):
        batch = told[at : at + chance.choice([1, 20, 90])]
        at += len(batch)
        deliveries = [
            Delivery(source=chance.choice(["helius", "backfill"]), received_at_us=1_000_000 + at, events=(trade,))
            for trade in batch
        ]
        for store in (whole, pruned):
            store.apply(deliveries)
        if chance.random() < 0.2:
            # Up to a minute behind what came last: nothing that is still to come the first time is older.
            newest = max(trade.block_time or 0 for trade in told[:at])
            prune(pruned, before=newest - 60, rows=chance.choice([5, 40, 500]))

    path = tmp_path / "pruned.db"
    assert ask(path, "SELECT count(*) FROM trades")[0][0] < len(trades)
    assert ask(path, "SELECT late FROM baselines")[0][0] > 0, "some were told again after they had gone"
    assert shown(path) == shown(tmp_path / "whole.db")
    assert differences(path) == []
    assert made_anew(path) == made_anew(tmp_path / "whole.db")


def test_what_comes_late_is_counted_and_settles_what_was_provisional(opened: Callable[[str], Store], tmp_path: Path) -> None:
    token = Token(5, trades=60)
    store, path = opened("pruned.db"), tmp_path / "pruned.db"
    old = token.trades[3]
    store.apply(told_of(token.created, *token.trades))
    prune(store, before=NOW + 200)
    again = message_trade(
        signature=old.signature,
        mint=old.mint,
        wallet=old.wallet,
        is_buy=old.is_buy,
        token_amount=old.token_amount,
        quote_amount=old.quote_amount,
        virtual_token_reserves=old.virtual_token_reserves,
        message_key=old.virtual_token_reserves,
    )
    before = ask(path, "SELECT count(*) FROM trade_log")
    store.apply([Delivery(source="pumpportal", received_at_us=2, events=(again,))])
    assert ask(path, "SELECT count(*) FROM trade_log WHERE NOT confirmed") == [(1,)]

    store.apply([Delivery(source="backfill", received_at_us=3, events=(old,))])

    assert ask(path, "SELECT count(*) FROM trade_log") == before
    assert ask(path, "SELECT count FROM counts WHERE kind = 'before the baseline'") == [(1,)]
    assert ask(path, "SELECT late FROM baselines") == [(1,)]
    assert differences(path) == []


def test_an_open_gap_holds_up_what_lies_behind_its_beginning_and_is_given_up_after_a_day(
    opened: Callable[[str], Store], tmp_path: Path
) -> None:
    token = Token(6, trades=60)
    store, path = opened("pruned.db"), tmp_path / "pruned.db"
    gap = GapOpened(cause="disconnected", from_us=(NOW + 90) * 1_000_000, to_us=(NOW + 95) * 1_000_000, feed="helius")
    store.apply(told_of(token.created, *token.trades, gap))
    store.apply(told_of(of_another_token()))

    def step(now: int) -> Pruned:
        with store._engine.begin() as connection:
            return prune_token(connection, 1, before=NOW + 10_000, rows=1000, now_us=now * 1_000_000)

    held_up = step(NOW + 3600)
    assert held_up.blocked == "an open gap"
    assert ask(path, "SELECT min(block_time) FROM trades WHERE token_id = 1")[0][0] // 60 == (NOW + 90) // 60
    step(NOW + 94 + GAP_PATIENCE_SECONDS)
    assert ask(path, "SELECT state FROM gaps") == [("open",)], "it ended less than a day ago"
    step(NOW + 96 + GAP_PATIENCE_SECONDS)
    assert ask(path, "SELECT count(*) FROM trades WHERE token_id = 1") == [(0,)]
    assert ask(path, "SELECT state, reason FROM gaps") == [("unfillable", "its time is no longer kept: [retention]")]


@pytest.mark.parametrize("ends_at", [NOW + 9 * DAY, None])
def test_a_long_gap_that_has_just_ended_or_lasts_is_still_filled_and_holds_up_nothing_older(
    opened: Callable[[str], Store], tmp_path: Path, ends_at: int | None
) -> None:
    token = Token(6, trades=60)
    store, path = opened("pruned.db"), tmp_path / "pruned.db"
    gap = GapOpened(cause="restart", from_us=(NOW + 90) * 1_000_000, to_us=None if ends_at is None else ends_at * 1_000_000)
    store.apply(told_of(token.created, *token.trades, gap))
    store.apply(told_of(of_another_token()))

    with store._engine.begin() as connection:
        now = NOW + 9 * DAY + 5
        done = prune_token(connection, 1, before=now - 7 * DAY, rows=1000, now_us=now * 1_000_000)

    assert (done.rows, done.blocked) == (60, None)
    assert ask(path, "SELECT state FROM gaps") == [("open",)]
    fetched = [replace(trade, block_time=now - DAY) for trade in Token(6, trades=80).trades[60:]]
    store.apply([Delivery(source="backfill", received_at_us=now * 1_000_000, events=tuple(fetched))])
    assert ask(path, "SELECT count(*) FROM trades WHERE token_id = 1") == [(20,)]
    assert differences(path) == []


def test_a_watched_token_waits_for_its_proof(opened: Callable[[str], Store], tmp_path: Path) -> None:
    token = Token(7, trades=60)
    store = opened("pruned.db")
    events: list[Event] = [token.watched, token.created, *token.trades, token.anchor(after=20)]
    store.apply(told_of(*events))
    store.apply(told_of(of_another_token()))

    first = prune(store, before=NOW + 10_000, rows=10)

    assert first[-1].blocked == "not proven yet"
    assert ask(tmp_path / "pruned.db", "SELECT max(slot) FROM baselines")[0][0] <= FIRST_SLOT + 205
    store.apply([Delivery(source="helius", received_at_us=2, events=(token.anchor(),))])
    assert prune(store, before=NOW + 10_000)[-1].blocked is None
    assert ask(tmp_path / "pruned.db", "SELECT count(*) FROM trades WHERE token_id = 1") == [(0,)]


def test_trades_whose_times_go_back_are_left_alone(opened: Callable[[str], Store]) -> None:
    token = Token(8, trades=30)
    store = opened("pruned.db")
    wrong = replace(token.trades[10], block_time=NOW - 5000)
    trades = [*token.trades[:10], wrong, *token.trades[11:]]
    store.apply([Delivery(source="helius", received_at_us=1, events=(trade,)) for trade in trades])

    assert prune(store, before=NOW + 10_000) == [Pruned(0, is_done=True, blocked="its trades are not in order")]


def test_no_id_of_a_trade_is_given_twice(opened: Callable[[str], Store], tmp_path: Path) -> None:
    """Who follows the record goes on behind the last id that was told: what comes after a pruning must come behind it."""
    token = Token(9, trades=30)
    store, path = opened("pruned.db"), tmp_path / "pruned.db"
    store.apply(told_of(token.created, *token.trades))
    [(last,)] = ask(path, "SELECT max(id) FROM trades")

    assert prune(store, before=NOW + 10_000)[-1].blocked == "the newest trade stays"

    assert 0 < ask(path, "SELECT count(*) FROM trades")[0][0] < 30, "its minute stays with it"
    store.apply(told_of(token.trade()))
    assert ask(path, "SELECT max(id) FROM trades") == [(last + 1,)]
    assert differences(path) == []
