"""US dollars, from a server to trade_log: of now, and of the minute of a trade that lies in the past."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from real_worker import EVERYTHING, QUICK, RealWorker, endpoints, opening_coins, subscribed, until

from pumpwatch.simulator import simulator as simulating
from pumpwatch.simulator.exchange import PRODUCTS
from pumpwatch.simulator.simulator import Simulator

PRICED = "SELECT block_time, price, price_usd, quote_mint FROM trade_log WHERE price IS NOT NULL"
SOL = "So11111111111111111111111111111111111111112"

#: Trades whose minute has no rate of its own: until it has, they are shown at that of a minute before.
UNPRICED = """
    SELECT count(*) FROM trade_log JOIN quotes ON quotes.mint = quote_mint
    WHERE block_time IS NOT NULL AND NOT EXISTS (SELECT 1 FROM rates WHERE quote_id = quotes.id AND minute = block_time / 60)
"""


def start(worker: RealWorker, simulator: Simulator) -> None:
    worker.settings.update({**EVERYTHING, "PUMPWATCH_PRICES_URL": simulator.rpc_url, "PUMPWATCH_PRICES_REFRESH_SECONDS": "1"})
    worker.start()
    until(lambda: subscribed(simulator), what="the subscriptions")
    simulator.open_market()
    until(lambda: worker.count() > 300, what="trades")


def rate(row: tuple[int, float, float, str], second: float) -> float:
    """What one of the row's quote cost at *second* of its minute."""
    product = "SOL-USD" if row[3] == SOL else "USDC-USD"
    return PRODUCTS[product](row[0] // 60 * 60 + second)


def test_trades_of_now_are_shown_in_dollars_and_status_tells_the_rate(worker: RealWorker, simulator: Simulator) -> None:
    start(worker, simulator)
    until(lambda: len(worker.ask("SELECT * FROM rates")) >= 2, what="rates of SOL and USDC")

    rows = [row for row in worker.ask(PRICED) if row[2] is not None]
    assert len({row[3] for row in rows}) == 2
    for row in rows:
        assert row[2] / row[1] == pytest.approx(rate(row, 30), rel=0.01)
    out = worker.command("status").out
    assert any(line.startswith("SOL 1") and " USD (127.0.0.1, " in line for line in out.splitlines()), out
    assert worker.stop() == 0, worker.log


def test_trades_of_the_past_get_the_close_of_their_minute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    past = SimpleNamespace(time=lambda: time.time() - 3 * 3600, monotonic=time.monotonic)
    with monkeypatch.context() as patched:
        patched.setattr(simulating, "time", past)  # the market's clock begins three hours ago
        simulator = Simulator(seed=7, rate=200, database=tmp_path / "pumpwatch.db")
    worker = RealWorker(tmp_path)
    with simulator:
        worker.settings.update({**QUICK, **endpoints(simulator), **opening_coins(simulator)})
        try:
            start(worker, simulator)
            simulator.close_market()
            until(lambda: worker.ask(UNPRICED) == [(0,)], what="a rate for every minute")

            rows = worker.ask(PRICED)
            assert min(row[0] for row in rows) < time.time() - 3 * 3600
            for row in rows:
                assert row[2] / row[1] == pytest.approx(rate(row, 59), rel=1e-9)
            assert worker.stop() == 0, worker.log
        finally:
            worker.end_all()
