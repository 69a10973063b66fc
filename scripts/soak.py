"""
All faults at once, for minutes, with a kill -9 every few seconds: is the record whole in the end, and does it prove so?

    python scripts/soak.py [--seconds 300] [--rate 50] [--kill-every 20] [--faults NAME,...] [--database FILE]

Runs the real worker against the simulator as ``demo`` does, then ``audit`` and ``audit --chain`` while the simulated chain is
still there. Exit status 0 only if nothing is missing, no gap is left, and both audits say so.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import psutil

from pumpwatch.cli.demo import run_demo
from pumpwatch.simulator.faults import FAULTS

_AUDIT_SECONDS = 300.0
_SHOWN_LINES = 15


def main() -> int:
    """Run it; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--rate", type=float, default=50.0, help="trades per second")
    parser.add_argument("--kill-every", type=float, default=20.0, metavar="SECONDS", help="0 = never")
    parser.add_argument("--faults", default=",".join(name for name in FAULTS if name != "kill"), metavar="NAME,...")
    parser.add_argument("--provider", help="play the limits of a real provider")
    parser.add_argument("--database", type=Path, help="a new file to keep (default: a temporary one)")
    arguments = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="pumpwatch-soak-") as folder:
        status = run_demo(
            seconds=arguments.seconds,
            rate=arguments.rate,
            faults=tuple(name for name in arguments.faults.split(",") if name),
            provider=arguments.provider,
            database=arguments.database or Path(folder) / "soak.db",
            kill_every_seconds=arguments.kill_every or None,
            afterwards=_audited,
        )
    memory_mb = psutil.Process().memory_info().rss / 2**20
    print(f"soak: status {status} after {time.monotonic() - began:.0f} s; the simulator took {memory_mb:.0f} MB")
    return status


def _audited(environment: Mapping[str, str]) -> int:
    """Both audits of the record; the worse status."""
    return max(_audit(environment), _audit(environment, "--chain"))


def _audit(environment: Mapping[str, str], *options: str) -> int:
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "pumpwatch", "audit", *options],
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        check=False,
        timeout=_AUDIT_SECONDS,
    )
    print(f"audit {' '.join(options)}: status {done.returncode} in {time.monotonic() - began:.1f} s")
    if done.returncode:
        print("\n".join([*done.stdout.splitlines()[-_SHOWN_LINES:], *done.stderr.splitlines()[-_SHOWN_LINES:]]))
    return done.returncode


if __name__ == "__main__":
    raise SystemExit(main())
