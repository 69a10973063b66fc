"""A watched wallet: all it trades is recorded, and brings the token onto the watch list, where everybody's trades are."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from real_worker import QUICK, RealWorker, endpoints, until

from pumpwatch.simulator.proof import Proof, examine
from pumpwatch.simulator.simulator import Simulator
from pumpwatch.simulator.truth import TradeRow

pytestmark = pytest.mark.timeout(120)

#: Nothing is watched but what the wallets bring, and proof comes in seconds.
SETTINGS = {
    **QUICK,
    "PUMPWATCH_WATCH_ADMIT": "none",
    "PUMPWATCH_WATCH_MAX_TOKENS": "100",
    "PUMPWATCH_BACKFILL_ANCHOR_ACTIVE_SECONDS": "1",
    "PUMPWATCH_BACKFILL_ANCHOR_IDLE_SECONDS": "2",
    "PUMPWATCH_BACKFILL_BREAK_GRACE_SECONDS": "1",
}
WITH_MONEY = {"PUMPPORTAL_API_KEY": "test-key-1", "PUMPWATCH_PUMPPORTAL_TRADES": "pinned"}
HOW_MANY = 10


@pytest.fixture
def running(tmp_path: Path) -> Iterator[RealWorker]:
    real = RealWorker(tmp_path, dict(SETTINGS))
    try:
        yield real
    finally:
        real.end_all()


def asked_for_wallets(simulator: Simulator, wallets: list[str], *, paid: bool) -> bool:
    """The chain's feed has subscribed to each, and PumpPortal's if it is paid."""
    with simulator.solana.world.lock:
        chain = any(held.logs.keys() >= set(wallets) for held in simulator.solana._subscriptions.values())
        portal = any(held.wallets >= set(wallets) for held in simulator.pumpportal._subscriptions.values())
    return chain and portal == paid


def known(worker: RealWorker) -> set[tuple[str, int]]:
    return set(worker.ask("SELECT signature, event_index FROM trade_log WHERE confirmed = 1"))


def of_wallets(simulator: Simulator, wallets: list[str]) -> list[TradeRow]:
    return [row for row in simulator.traded() if row.wallet in wallets]


def brought(worker: RealWorker) -> set[str]:
    """The tokens that wallets brought onto the list."""
    return {mint for (mint,) in worker.ask("SELECT address FROM spells WHERE reason = 'wallet' AND ended_at_us IS NULL")}


def whole(worker: RealWorker, simulator: Simulator, told: list[TradeRow]) -> Proof:
    """Wait until these trades are recorded, their tokens watched and proven: unknown pools are looked up twice a minute."""
    ends = time.monotonic() + 75
    while True:
        found = examine(worker.database, market=simulator.market, slot_us=simulator.slot_us)
        recorded = {(row.signature, row.event_index) for row in told} <= known(worker)
        if recorded and {row.mint for row in told} <= brought(worker) and found.is_whole:
            return found
        assert time.monotonic() < ends, (recorded, found)
        time.sleep(0.25)


@pytest.mark.parametrize("paid", [True, False], ids=["with PumpPortal", "from the chain alone"])
def test_what_a_watched_wallet_trades_is_recorded_and_its_tokens_are_watched(
    tmp_path: Path, running: RealWorker, paid: bool
) -> None:
    with Simulator(seed=21, rate=60, database=tmp_path / "pumpwatch.db", finality_seconds=4) as simulator:
        wallets = simulator.market.wallets[:HOW_MANY]
        running.settings |= {**endpoints(simulator), **(WITH_MONEY if paid else {})}
        running.settings["PUMPWATCH_WATCH_WALLETS"] = ",".join(wallets[1:])
        running.start()
        until(lambda: running.count("spells") == HOW_MANY - 1, what="the pinned wallets")
        assert running.command("watch", "add", "--wallet", wallets[0]).status == 0
        until(lambda: asked_for_wallets(simulator, wallets, paid=paid), what="the subscriptions")
        simulator.open_market()
        until(lambda: len(of_wallets(simulator, wallets)) > 30, what="trades of the wallets")
        simulator.close_market()
        told = of_wallets(simulator, wallets)
        found = whole(running, simulator, told)
        assert running.stop() == 0

    spells = running.ask("SELECT address, reason, started_at_us FROM spells WHERE kind = 'token' AND ended_at_us IS NULL")
    assert {mint for mint, _, _ in spells} == {row.mint for row in told}
    assert {reason for _, reason, _ in spells} == {"wallet"}
    assert found.is_true, found
    assert found.watched > len(told) * 2, "trades of others in these tokens too"
    states = dict(running.ask("SELECT mint, completeness FROM token_board WHERE mint IN (SELECT address FROM spells)"))
    assert set(states.values()) <= {"since", "complete"}, "from the wallet's first trade on; from the creation if it was new"
    assert "since" in states.values()
    first = dict(running.ask("SELECT mint, min(received_at_us) FROM trade_log GROUP BY mint"))
    for mint, _, started_at_us in spells:
        assert started_at_us >= first[mint], "no spell before there was a reason"


def test_a_wallet_s_tokens_survive_a_kill_of_the_worker(tmp_path: Path, running: RealWorker) -> None:
    with Simulator(seed=22, rate=60, database=tmp_path / "pumpwatch.db", finality_seconds=4) as simulator:
        wallets = simulator.market.wallets[:HOW_MANY]
        running.settings |= {**endpoints(simulator), "PUMPWATCH_WATCH_WALLETS": "\n".join(wallets)}
        running.start()
        until(lambda: asked_for_wallets(simulator, wallets, paid=False), what="the subscriptions")
        simulator.open_market()
        until(lambda: running.ask("SELECT 1 FROM spells WHERE reason = 'wallet' LIMIT 1"), what="a token of a wallet")
        running.kill()
        before = brought(running)
        running.start()
        until(lambda: asked_for_wallets(simulator, wallets, paid=False), what="the subscriptions again")
        simulator.close_market()
        whole(running, simulator, [])
        assert running.stop() == 0

    assert before
    assert before <= brought(running)
