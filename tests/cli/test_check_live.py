"""``check --live`` against the simulator, whose truth is known."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pumpwatch.budget import Budget
from pumpwatch.cli import check_live
from pumpwatch.cli.check_live import live_findings
from pumpwatch.cli.finding import Finding
from pumpwatch.config import Settings, load
from pumpwatch.simulator.simulator import Simulator


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator(rate=150) as running:
        running.open_market()
        yield running


def settings_for(simulator: Simulator, directory: Path, **environ: str) -> Settings:
    urls = {
        "PUMPWATCH_PUMPPORTAL_URL": simulator.pumpportal_url,
        "PUMPWATCH_HELIUS_WS_URL": simulator.ws_url,
        "PUMPWATCH_HELIUS_RPC_URL": simulator.rpc_url,
    }
    return load(config=None, environ={**urls, **environ}, directory=directory)


def findings(settings: Settings) -> list[Finding]:
    budget = Budget(pumpportal_sol_per_day=0.02, helius_credits_per_month=0, metered=False)
    return list(live_findings(settings, 1.0, budget))


def test_a_busy_token_is_found_recorded_and_complete(simulator: Simulator, tmp_path: Path) -> None:
    recording, received, compared, portal = findings(settings_for(simulator, tmp_path))

    assert recording.text.startswith("recording ")
    assert received.level == "ok"
    assert ", not understood: nothing" in received.text
    assert compared.level == "ok"
    assert compared.text.endswith(": all were received, 0 missing")
    assert portal.text.startswith("PumpPortal: received ")
    assert list(tmp_path.iterdir()) == []


def test_what_the_feed_does_not_bring_is_missing(simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = check_live._Trial._listed
    monkeypatch.setattr(check_live, "_GRACE_SECONDS", 0.5)
    monkeypatch.setattr(
        check_live._Trial, "_listed", lambda self, mint, first, last: listed(self, mint, first, last) | {"unseen"}
    )

    compared = findings(settings_for(simulator, tmp_path, PUMPWATCH_PUMPPORTAL_ENABLED="no"))[2]

    assert (compared.level, compared.status) == ("wrong", 1)
    assert compared.text.endswith(": 1 missing: unseen")


def test_without_the_chains_feed_there_is_nothing_to_compare(simulator: Simulator, tmp_path: Path) -> None:
    [finding] = findings(settings_for(simulator, tmp_path, PUMPWATCH_HELIUS_ENABLED="no"))

    assert (finding.level, finding.text) == ("wrong", "the comparison needs the chain's feed: set [helius] enabled = yes")


def test_a_market_without_trades_is_told(simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    simulator.close_market()
    monkeypatch.setattr(check_live, "_LOOK_SECONDS", 0.5)

    [finding] = findings(settings_for(simulator, tmp_path))

    assert finding.text.startswith("not finished: no busy token was found")


def test_servers_that_cannot_be_reached_are_told(tmp_path: Path) -> None:
    with Simulator() as simulator:
        settings = settings_for(simulator, tmp_path)

    [finding] = findings(settings)

    assert (finding.level, finding.status) == ("wrong", 1)
    assert finding.text == "not finished: it cannot be reached (name, network or port)"
