"""
A demo of ten minutes with everything that can go wrong; then every number of every token is judged.

    python scripts/ten_minutes.py [--seconds 600] [--rate 50] [--kill-every 20] [--faults drop,mute,...] [--database FILE]

While the worker records (and is killed, restarted, lied to), ``db check`` runs beside it again and again and may find nothing. At
the end ``tests/oracle.py``, plain Python that shares no code with the recorder, computes from the raw rows what the views show,
and ``db check`` counts once more. Exit status 0 only if nothing differs and the demo itself is whole.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import oracle
import psutil

from pumpwatch.cli.demo import run_demo
from pumpwatch.simulator.faults import FAULTS

ROOT = Path(__file__).resolve().parents[1]

_EVERY_SECONDS = 15.0
_CHECK_SECONDS = 300.0
_SHOWN_LINES = 30

_STATES = ("provisional", "confirmed", "finalized", "dropped", "superseded")


class Checks(threading.Thread):
    """``db check`` beside the running worker, again and again."""

    def __init__(self, database: Path) -> None:
        super().__init__(name="checks", daemon=True)
        self._database = database
        self._over = threading.Event()
        self.runs = 0
        self.wrong: list[Any] = []

    def run(self) -> None:
        """Until :meth:`end`."""
        while not self._over.wait(_EVERY_SECONDS):
            if self._database.exists():
                status, found = check(self._database)
                self.runs += 1
                if status:
                    self.wrong.append(found)

    def end(self) -> None:
        """No more; the present one is waited for."""
        self._over.set()
        self.join(_CHECK_SECONDS)


def check(database: Path) -> tuple[int, Any]:
    """``db check --json``: its status and what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "pumpwatch", "db", "check", "--json"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PUMPWATCH_PUMPWATCH_DATABASE": str(database)},
        cwd=database.parent,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=_CHECK_SECONDS,
    )
    return done.returncode, json.loads(done.stdout) if done.stdout else done.stderr


def judge(database: Path) -> bool:
    """Print what the oracle and ``db check`` say of the record; whether it is right."""
    began = time.monotonic()
    raw = oracle.read(database)
    found = oracle.differences(database)
    trades = [trade for of_token in raw.trades.values() for trade in of_token]
    states = [sum(trade["state"] == state for trade in trades) for state in range(5)]
    positions = len({(trade["token_id"], trade["wallet_id"]) for trade in trades if trade["state"] <= 2})
    buckets = sum(len(oracle.minutes(raw, token_id)) for token_id in raw.tokens)
    told = ", ".join(f"{count} {state}" for count, state in zip(states, _STATES, strict=True))
    print(f"oracle: {len(raw.tokens)} tokens, {positions} positions, {buckets} minutes, {len(raw.rates)} quotes with rates")
    print(f"oracle: {len(trades)} rows of trades: {told}")
    print(f"oracle: {len(found)} differences in {time.monotonic() - began:.1f} s")
    for line in found[:_SHOWN_LINES]:
        print(f"    {line}")
    status, counted = check(database)
    print(f"db check: status {status}, {json.dumps(counted)[:2000]}")
    return not found and status == 0


def main() -> int:
    """Run it; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--rate", type=float, default=50.0, help="trades per second")
    parser.add_argument("--kill-every", type=float, default=20.0, metavar="SECONDS", help="0 = never")
    parser.add_argument("--faults", default=",".join(name for name in FAULTS if name != "kill"), metavar="NAME,...")
    parser.add_argument("--database", type=Path, help="a new file to keep (default: a temporary one)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pumpwatch-ten-", ignore_cleanup_errors=True) as folder:
        database = (arguments.database or Path(folder) / "record.db").resolve()
        checks = Checks(database)
        checks.start()
        status = run_demo(
            seconds=arguments.seconds,
            rate=arguments.rate,
            faults=tuple(name for name in arguments.faults.split(",") if name),
            provider=None,
            database=database,
            kill_every_seconds=arguments.kill_every or None,
        )
        checks.end()
        print(f"beside the worker: {checks.runs} checks, {len(checks.wrong)} of them found something")
        for found in checks.wrong[:3]:
            print(f"    {json.dumps(found)[:2000]}")
        is_right = judge(database)
    memory_mb = psutil.Process().memory_info().rss / 2**20
    print(f"ten minutes: demo {status}, record {'right' if is_right else 'WRONG'}; simulator and judge took {memory_mb:.0f} MB")
    return status or (0 if is_right and not checks.wrong else 1)


if __name__ == "__main__":
    raise SystemExit(main())
