"""Money runs out while it runs: it is noticed, from a message or from what does not come, and the least useful goes first."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from real_worker import EVERYTHING, QUICK, RealWorker, endpoints, opening_coins, until

from pumpwatch import status as status_file
from pumpwatch.simulator.simulator import Simulator
from pumpwatch.status import FeedStatus

pytestmark = pytest.mark.timeout(120)

POOR = {
    **EVERYTHING,
    "PUMPWATCH_WATCH_MAX_TOKENS": "50",
    "PUMPWATCH_BUDGET_HELIUS_CREDITS_PER_MONTH": "400",
    "PUMPWATCH_BACKFILL_ANCHOR_ACTIVE_SECONDS": "1",
    "PUMPWATCH_BACKFILL_ANCHOR_IDLE_SECONDS": "2",
    "PUMPWATCH_BACKFILL_BREAK_GRACE_SECONDS": "1",
}


def portal(worker: RealWorker) -> FeedStatus:
    """PumpPortal's feed, as the status file has it."""
    status = status_file.read(status_file.path_of(worker.database))
    return (
        FeedStatus(state="none", since=0) if status is None else status.feeds.get("pumpportal", FeedStatus(state="none", since=0))
    )


def heard_trades(worker: RealWorker) -> int:
    return worker.ask("SELECT count(*) FROM trade_log WHERE sources LIKE '%pumpportal%'")[0][0] if worker.ask("SELECT 1") else 0


@pytest.mark.parametrize("says_so", [True, False])
def test_an_empty_wallet_is_a_state_within_the_minute_whether_the_server_says_so_or_falls_silent(
    simulator: Simulator, worker: RealWorker, says_so: bool
) -> None:
    worker.settings.update(EVERYTHING)
    worker.start()
    simulator.open_market()
    until(lambda: portal(worker).state == "connected" and heard_trades(worker) > 20, what="paid trades")
    assert not portal(worker).reason

    simulator.pumpportal.run_dry(says_so=says_so)
    began = time.monotonic()
    until(lambda: portal(worker).state == "exhausted", what="the state")
    assert time.monotonic() - began < (10 if says_so else 30)
    assert ("0.02 SOL" if says_so else "its wallet may be empty") in (portal(worker).reason or "")
    before = portal(worker).messages
    until(lambda: portal(worker).messages > before, what="free messages")
    told = worker.command("status", settings={})
    assert told.status == 1
    assert "pumpportal is exhausted" in told.out

    simulator.pumpportal.fund()
    until(lambda: portal(worker).state == "connected" and not portal(worker).reason, what="paid trades again")
    assert worker.stop() == 0


def test_at_the_month_s_end_of_credits_admitted_tokens_go_pins_stay_and_both_are_unproven_for_the_budget(tmp_path: Path) -> None:
    """Provider ``helius-free``, 400 credits: 320 for watching are gone in seconds."""
    with Simulator(seed=7, rate=60, provider="helius-free", database=tmp_path / "pumpwatch.db") as simulator:
        pinned = [coin.mint for coin in simulator.market.opening.values()]
        worker = RealWorker(tmp_path, {**QUICK, **endpoints(simulator), **opening_coins(simulator), **POOR})
        try:
            worker.start("--provider", "helius-free")
            until(lambda: portal(worker).state == "connected", what="a connection")
            simulator.open_market()
            ended = "SELECT count(*) FROM spells WHERE end_reason = 'budget' AND reason = 'admitted'"
            until(lambda: worker.ask(ended) and worker.ask(ended)[0][0] >= 3, what="admitted tokens given up")
            given_up = (
                "SELECT completeness, token_board.reason, proven_to_slot, complete_until FROM token_board "
                "JOIN spells ON address = mint WHERE end_reason = 'budget' AND trades > 0"
            )
            until(lambda: any(row[2] is not None for row in worker.ask(given_up)), what="what is proven of them")
            starved = "SELECT mint FROM gaps WHERE cause = 'budget' AND state = 'open' AND to_us IS NULL AND mint IS NOT NULL"
            until(lambda: {mint for (mint,) in worker.ask(starved)} >= set(pinned), what="gaps of pinned tokens")
            until(
                lambda: all(
                    completeness == "holes" or (reason or "").startswith("budget")
                    for mint, completeness, reason in worker.ask("SELECT mint, completeness, reason FROM token_board")
                    if mint in pinned
                ),
                what="verdicts of pinned tokens",
            )
            shown = json.loads(worker.command("status", "--json").out)
            assert worker.stop() == 0
        finally:
            worker.end_all()

    for completeness, reason, _, _ in worker.ask(given_up):
        assert completeness in ("unproven", "holes")
        assert completeness == "holes" or reason.startswith("budget")
    open_spells = {mint for (mint,) in worker.ask("SELECT address FROM spells WHERE kind = 'token' AND ended_at_us IS NULL")}
    assert open_spells == set(pinned), "pinned last: they stay on the list"
    last_end = worker.ask("SELECT max(ended_at_us) FROM spells")[0][0]
    assert worker.ask("SELECT count(*) FROM spells WHERE started_at_us > ?", last_end) == [(0,)], "none comes for another"
    assert worker.log.count("Helius' share for watching") == 1
    (helius,) = (row for row in shown["costs"] if row["cost"]["provider"] == "helius")
    assert helius["share"] >= 0.8
    assert set(helius["cost"]["parts"]) == {"streaming", "connections", "calls"}
    assert helius["per_1000_trades"] > 0
    assert helius["dearest"]
