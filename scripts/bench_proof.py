"""
How long it takes until a trade is proven, and what that costs in calls: calm, and with connections dropped.

    python scripts/bench_proof.py [--seconds 120] [--rate 20] [--drop-every 30]

The real worker against the simulator, with backfill's own defaults (the demo's are quicker). Time to proof: from a trade's
block time until ``proven_to_slot`` of its token has reached its slot, looked at twice a second. ``drop`` cuts a connection of
either feed.
"""

from __future__ import annotations

import argparse
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pumpwatch.cli.demo_worker import Worker, worker_environment
from pumpwatch.simulator.simulator import Simulator

_LOOK_SECONDS = 0.5
_START_SECONDS = 30.0
_SETTLE_SECONDS = 60.0
_DEFAULTS = ("PUMPWATCH_BACKFILL_", "PUMPWATCH_CONNECTION_")


def main() -> None:
    """Measure the calm run, then the one with drops, and print both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--rate", type=float, default=20.0, help="trades per second")
    parser.add_argument("--drop-every", type=float, default=30.0, metavar="SECONDS")
    arguments = parser.parse_args()
    for name, every in (("calm", None), (f"a drop every {arguments.drop_every:g} s", arguments.drop_every)):
        print(f"{name}: {measure(seconds=arguments.seconds, rate=arguments.rate, drop_every_seconds=every)}", flush=True)


def measure(*, seconds: float, rate: float, drop_every_seconds: float | None) -> str:
    """One run; the result in words."""
    with tempfile.TemporaryDirectory(prefix="pumpwatch-proof-", ignore_cleanup_errors=True) as scratch:
        folder = Path(scratch)
        database = folder / "proof.db"
        with Simulator(seed=7, rate=rate, chain_delay_seconds=1.0, database=database) as simulator:
            environment = {
                name: value
                for name, value in worker_environment(simulator, database, None).items()
                if not name.startswith(_DEFAULTS)
            }
            worker = Worker(environment, folder, folder / "worker.log")
            worker.start()
            try:
                _until(lambda: simulator.pumpportal.subscribed_new() and bool(simulator.solana.open_clients()), _START_SECONDS)
                if drop_every_seconds is not None:
                    simulator.fault("drop", at_second=simulator.seconds + 5, every_seconds=drop_every_seconds)
                return _watched(simulator, database, seconds)
            finally:
                worker.stop()


def _watched(simulator: Simulator, database: Path, seconds: float) -> str:
    calls_before = simulator.rpc.endpoint.calls.total()
    proven_at: dict[str, list[tuple[float, int]]] = {}
    simulator.open_market()
    closes = time.monotonic() + seconds
    is_open = True
    while time.monotonic() < closes + _SETTLE_SECONDS:
        time.sleep(_LOOK_SECONDS)
        if is_open and time.monotonic() > closes:
            simulator.close_market()
            simulator.no_more_faults()
            is_open = False
        now = time.time()
        for mint, slot in _proven(database):
            steps = proven_at.setdefault(mint, [])
            if not steps or steps[-1][1] < slot:
                steps.append((now, slot))
    waits, unproven = [], 0
    mints = set()
    for row in simulator.traded():
        if not simulator.interest.covers(row.mint, row.number):
            continue
        mints.add(row.mint)
        at = next((seen_at for seen_at, slot in proven_at.get(row.mint, ()) if slot >= row.slot), None)
        if at is None:
            unproven += 1
        else:
            waits.append(max(0.0, at - row.block_time))
    calls = simulator.rpc.endpoint.calls.total() - calls_before
    trades = len(waits) + unproven
    if not waits:
        return f"none of {trades} trades was proven"
    twentieths = statistics.quantiles(waits, n=20)
    return (
        f"{trades} trades of {len(mints)} tokens, time to proof median {statistics.median(waits):.1f} s, 95 % within "
        f"{twentieths[18]:.1f} s, longest {max(waits):.1f} s, never {unproven}; {calls} RPC calls: "
        f"{1000 * calls / trades:.0f} per 1,000 trades, {calls / len(mints):.1f} per token"
    )


def _proven(database: Path) -> list[tuple[str, int]]:
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, timeout=5)) as connection:
            return connection.execute("SELECT mint, proven_to_slot FROM tokens WHERE proven_to_slot IS NOT NULL").fetchall()
    except sqlite3.OperationalError:
        return []


def _until(condition: Callable[[], bool], seconds: float) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > ends:
            raise SystemExit("the worker did not start")
        time.sleep(0.1)


if __name__ == "__main__":
    main()
