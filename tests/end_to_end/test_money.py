"""Money runs out while it runs: it is noticed, from a message or from what does not come, and the least useful goes first."""

from __future__ import annotations

import time

import pytest
from real_worker import EVERYTHING, RealWorker, until

from pumpwatch import status as status_file
from pumpwatch.simulator.simulator import Simulator
from pumpwatch.status import FeedStatus

pytestmark = pytest.mark.timeout(120)


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
