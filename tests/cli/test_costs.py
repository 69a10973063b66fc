"""What it costs, in `status`: of the worker that runs, or of the record; by token and by 1,000 trades."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from cli_samples import Record, Run
from storage_samples import MINT, chain_trade, delivery, message_trade

from pumpwatch.costs import ProviderCost, period_begins
from pumpwatch.events import Usage
from pumpwatch.status import FeedStatus, Status, StatusFile, path_of
from pumpwatch.storage.queries import open_reader
from pumpwatch.storage.spending import Busy, Period, recorded_since
from pumpwatch.storage.store import Store
from pumpwatch.tariff import BYTES_PER_CREDIT

OTHER = "9BB6NFEcjBCtnNLFko2FqVQBq8HHM13kCyYcdQbgpump"


def told(database: Path, *costs: ProviderCost) -> None:
    now = time.time()
    feed = FeedStatus(state="connected", since=now)
    StatusFile(path_of(database)).write(
        Status(pid=1, started_at=now, written_at=now, version="0", state="running", feeds={"helius": feed}, costs=costs)
    )


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """A database with 40 trades of last month, 100 of this one, 10 of today; every second one is another token's."""
    database = tmp_path / "filled.db"
    store = Store.open(database, origin="simulator")
    now = time.time()
    month, day = period_begins("month", now), period_begins("day", now)
    number = 0
    for begins, count in ((month - 86_400, 40), (month, 100), (day, 10)):
        for place in range(count):
            number += 1
            is_other = place % 5 == 0
            signature = "x" * 83 + f"{number:04d}"
            at_us = int((begins + 1) * 1_000_000) + place
            mint = OTHER if is_other else MINT
            trade = chain_trade(signature=signature, mint=mint) if number % 2 else message_trade(signature=signature, mint=mint)
            store.apply([delivery("helius" if number % 2 else "pumpportal", trade, at_us=at_us)])
    store.apply(
        [
            delivery(
                "pumpwatch",
                Usage(
                    provider="helius",
                    day=time.strftime("%Y-%m-01", time.gmtime(now)),
                    received_bytes=1000 * BYTES_PER_CREDIT,
                    connections=60,
                    calls=4,
                    call_credits=40,
                ),
                Usage(provider="pumpportal", day=time.strftime("%Y-%m-%d", time.gmtime(now)), messages=9, paid_messages=5),
            )
        ]
    )
    store.close()
    return database


def test_trades_of_a_period_are_counted_by_their_arrival(filled: Path) -> None:
    now = time.time()
    if period_begins("day", now) == period_begins("month", now):
        pytest.skip("the first of a month is a day and a month")
    with open_reader(filled) as reader:
        day = recorded_since(reader, "pumpportal", since_us=int(period_begins("day", now) * 1e6), limit=5)
        month = recorded_since(reader, "helius", since_us=int(period_begins("month", now) * 1e6), limit=1)
        never = recorded_since(reader, "helius", since_us=int(now * 1e6) + 10**12, limit=1)

    assert day == Period(10, [Busy(MINT, None, 4, 5), Busy(OTHER, None, 1, 5)])
    assert month == Period(110, [Busy(MINT, None, 44, 55)])
    assert never == Period(0, [])


def test_status_shows_the_costs_of_the_running_worker_beside_its_limits(run: Run, record: Record) -> None:
    told(
        record.database,
        ProviderCost(provider="pumpportal", unit="SOL", period="day", spent=0.0123, limit=0.02, projected=0.031),
        ProviderCost(
            provider="helius",
            unit="credits",
            period="month",
            spent=123_456.0,
            limit=1_000_000.0,
            projected=None,
            parts={"streaming": 123_400.0, "connections": 6.0, "calls": 50.0},
        ),
    )
    outcome = run("status")

    lines = [" ".join(line.split()) for line in outcome.lines()]
    assert "COST UNIT PERIOD SPENT LIMIT PROJECTED 1,000 TRADES" in lines
    assert any(line.startswith("pumpportal SOL day 0.0123 0.02 0.031 ") for line in lines)
    assert any(line.startswith("helius credits month 123,456 1,000,000 - ") for line in lines)
    assert max(len(line) for line in outcome.lines() if line.startswith(("COST", "helius  ", "pumpportal  "))) <= 80
    helius = run("status", "--json").json()["costs"][1]
    assert helius["share"] == pytest.approx(0.123456)
    assert helius["cost"]["parts"]["calls"] == 50


def test_what_is_given_up_for_lack_of_disk_is_a_problem(run: Run, record: Record) -> None:
    now = time.time()
    feed = FeedStatus(state="connected", since=now)
    StatusFile(path_of(record.database)).write(
        Status(
            pid=1, started_at=now, written_at=now, version="0", state="running", feeds={"helius": feed}, shed=("raw", "metadata")
        )
    )
    outcome = run("status")

    assert outcome.status == 1
    assert outcome.lines()[0] == "NOT healthy: the disk is nearly full, given up: raw, metadata"


def test_without_a_worker_the_record_tells_what_was_spent_and_which_tokens_cost_most(
    filled: Path, record: Record, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    record.database.write_bytes(filled.read_bytes())
    monkeypatch.setattr("pumpwatch.overview.provider_of", lambda *_args, **_named: type("Metered", (), {"metered": True}))

    portal, helius = run("status", "--json").json()["costs"]

    assert (helius["cost"]["spent"], helius["cost"]["projected"]) == (1100, None), "nothing runs, nothing is projected"
    assert helius["cost"]["parts"] == {"streaming": 1000, "connections": 60, "calls": 40}
    assert helius["trades"] >= 110 or helius["trades"] == 110
    assert helius["per_1000_trades"] == pytest.approx(1100 * 1000 / helius["trades"])
    assert sum(token["spent_estimate"] for token in helius["dearest"]) == pytest.approx(1100)
    assert helius["dearest"][0]["mint"] == MINT
    assert portal["cost"]["spent"] == pytest.approx(0.000005)
    words = " ".join(run("status").out.split())
    assert "helius: the dearest tokens, about (credits by their trades): 5ygJ27k1" in words
