"""
Months in an hour: everything that can go wrong, and at the end the record is whole, the worker healthy, its memory flat.

    python scripts/soak.py [--seconds 3600] [--rate 30] [--kill-every 20] [--database FILE]

The real worker records the simulator. First a storm (all faults again and again: kill -9, hang, locked database, full disk,
jumping clock, ...), then the same without what ends the process, so that its memory can be looked at, then quiet, with the
troubles that must raise an alert, one after the other. Old trades are pruned all the time, and PumpPortal's budget runs out on
the way. Afterwards: ``audit``, ``audit --chain``, ``db check``.

Exit status 0 only if nothing is missing, no gap is left, every claim of the record is true, the alerts are exactly the scripted
ones, ``status`` said healthy, and memory was flat. (The version of a few minutes in the tests looks at all but memory.)
"""

from __future__ import annotations

import argparse
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import psutil

from pumpwatch.cli.demo import run_demo
from pumpwatch.cli.demo_worker import Worker
from pumpwatch.simulator.faults import FAULTS
from pumpwatch.simulator.simulator import Simulator

_COMMAND_SECONDS: Final = 300.0
_SHOWN_LINES: Final = 15
_MEGABYTE: Final = 2**20

#: Of the time before the script: the share that is storm. The script takes so long at the end, in seconds.
_STORM: Final = 0.3
_SCRIPT_SECONDS: Final = 110.0

#: What ends the process: in the storm only.
_DEADLY: Final = ("kill", "hang")

#: From the middle on, the worker's memory stays within so much.
_FLAT_MEGABYTES: Final = 5.0
#: Too short to be looked at: the caches of a young process still fill.
_MEMORY_FROM_SECONDS: Final = 1200.0

#: How often each fault comes, at most.
_ROUND_SECONDS: Final = 60.0

#: An alert for a feed that is down this long, in seconds: no fault of the storm lasts so long, those of the script do.
_DOWN_SECONDS: Final = 15
#: Raised or not by chance: by poison in the name of the programs, and by a server that stays mute again and again (a ban?).
_SUSPICIONS: Final = ("programs changed", "key refused", "feed impaired")
#: In which a worker that hangs has noticed it, and the next one has begun.
_HANG_SECONDS: Final = 22.0
_TROUBLE_SECONDS: Final = 25.0


@dataclass
class Script:
    """
    What happens when. :meth:`turn` is called a few times a second.

    Attributes:
        paid_messages: What the budget allows, of PumpPortal's.
        expected: The alerts that must be raised: rule and subject.
        memory: Seconds since the beginning, and the worker's bytes.
    """

    seconds: float
    kill_every: float
    database: Path
    paid_messages: int
    expected: Counter[tuple[str, str]] = field(default_factory=Counter)
    memory: list[tuple[float, int]] = field(default_factory=list)
    healthy: int | None = None
    _began: float | None = None
    _done: set[str] = field(default_factory=set)
    _sampled_at: float = 0.0

    def turn(self, simulator: Simulator, worker: Worker) -> None:
        """Do what is due."""
        now = time.monotonic()
        if self._began is None:
            self._began = now
        passed = now - self._began
        self._sample(passed, worker)
        script = self.seconds - _SCRIPT_SECONDS
        for name, second, step in (
            ("storm", 0.0, self._storm),
            ("calm", _STORM * script, self._calm),
            ("quiet", script, lambda simulator: simulator.no_more_faults()),
            ("down", script + 10, self._feed_down),
            ("locked", script + 50, self._locked),
        ):
            if passed >= second and name not in self._done:
                self._done.add(name)
                print(f"soak: {passed:.0f} s: {name}", file=sys.stderr, flush=True)
                step(simulator)
        if passed >= self.seconds - 10 and self.healthy is None:
            self.healthy = command(worker.environment, "status")

    def _sample(self, passed: float, worker: Worker) -> None:
        if passed - self._sampled_at < 5 or worker.process is None:
            return
        self._sampled_at = passed
        try:
            self.memory.append((passed, psutil.Process(worker.process.pid).memory_info().rss))
        except psutil.Error:
            return  # it was killed just now

    def _storm(self, simulator: Simulator) -> None:
        self._again_and_again(simulator, [name for name in FAULTS if name not in _DEADLY])
        start = simulator.seconds
        simulator.fault("hang", at_second=start + 2)
        if self.kill_every:
            simulator.fault("kill", at_second=start + _HANG_SECONDS + self.kill_every / 4, every_seconds=self.kill_every)

    def _calm(self, simulator: Simulator) -> None:
        simulator.no_more_faults()
        self._again_and_again(simulator, [name for name in FAULTS if name not in _DEADLY])

    def _again_and_again(self, simulator: Simulator, names: list[str]) -> None:
        every = max(_ROUND_SECONDS, len(names) * 0.5)
        for place, name in enumerate(names):
            simulator.fault(name, at_second=simulator.seconds + 1 + place * every / len(names), every_seconds=every)

    def _feed_down(self, simulator: Simulator) -> None:
        simulator.fault("refuse", feed="helius", status=503, seconds=_TROUBLE_SECONDS)
        simulator.fault("drop", feed="helius")
        self.expected["feed down", "helius"] += 1

    def _locked(self, simulator: Simulator) -> None:
        simulator.fault("lock_database", seconds=_TROUBLE_SECONDS)
        self.expected["database", ""] += 1

    # Afterwards

    def verdicts(self) -> list[tuple[str, bool]]:
        """What was found, and whether it is as it should be."""
        return [
            (f"status at the end: {self.healthy}", self.healthy == 0),
            self._alerts(),
            self._runs(),
            self._pruned(),
            self._memory(),
        ]

    def _alerts(self) -> tuple[str, bool]:
        raised = Counter((rule, subject) for rule, subject in self._rows("SELECT rule, subject FROM alerts WHERE NOT is_market"))
        for rule, subject in list(raised):
            if rule in _SUSPICIONS:
                del raised[rule, subject]
        lasting = self._rows(
            "SELECT rule, subject FROM alerts WHERE resolved_at_us IS NULL AND rule NOT LIKE 'budget%' "
            "AND rule <> 'programs changed'"
        )
        [(paid,)] = self._rows("SELECT ifnull(sum(paid_messages), 0) FROM usage WHERE provider = 'pumpportal'")
        shares = {"budget 80 %": 0.8, "budget 100 %": 1.0}
        expected = self.expected + Counter(
            {(rule, "pumpportal"): 1 for rule, share in shares.items() if paid >= share * self.paid_messages}
        )
        told = ", ".join(f"{rule} {subject} x{count}".replace("  ", " ") for (rule, subject), count in sorted(raised.items()))
        return f"alerts: {told or 'none'}; {len(lasting)} still last", raised == expected and not lasting

    def _runs(self) -> tuple[str, bool]:
        rows = self._rows("SELECT exit_status, count(*) FROM runs GROUP BY exit_status")
        told = ", ".join(f"{count} ended with {status}" for status, count in rows)
        return f"runs: {told} (None: killed)", {status for status, _ in rows} <= {None, 0, 70}

    def _pruned(self) -> tuple[str, bool]:
        [(tokens, trades, late)] = self._rows("SELECT count(*), ifnull(sum(trades), 0), ifnull(sum(late), 0) FROM baselines")
        return f"pruned: {trades} trades of {tokens} tokens, {late} events came late", trades > 0

    def _memory(self) -> tuple[str, bool]:
        late = [size for at, size in self.memory if at >= self.seconds / 2]
        if not late:
            return "memory: not looked at", False
        spread = (max(late) - min(late)) / _MEGABYTE
        judged = self.seconds >= _MEMORY_FROM_SECONDS
        third, fourth = (statistics.median(part) for part in (late[: len(late) // 2 + 1], late[len(late) // 2 :]))
        medians = f"medians of its quarters {third / _MEGABYTE:.1f} and {fourth / _MEGABYTE:.1f}"
        told = f"memory in the second half: {min(late) / _MEGABYTE:.1f} to {max(late) / _MEGABYTE:.1f} MB, {medians}"
        return f"{told}{'' if judged else ' (too short to be judged)'}", spread <= _FLAT_MEGABYTES or not judged

    def _rows(self, query: str) -> list[Any]:
        with closing(sqlite3.connect(f"{self.database.as_uri()}?mode=ro", uri=True, timeout=10)) as connection:
            return connection.execute(query).fetchall()


def settings(seconds: float, paid_messages: int) -> dict[str, str]:
    """Of the worker: alerts that only the script raises, old trades that go, money that runs out."""
    keep_seconds = max(40.0, seconds / 8)
    return {
        "PUMPWATCH_RETENTION_TRADE_DAYS": f"{keep_seconds / 86_400:.6f}",
        "PUMPWATCH_BUDGET_PUMPPORTAL_SOL_PER_DAY": f"{paid_messages * 1e-6:.6f}",
        "PUMPWATCH_ALERTS_FEED_DOWN_SECONDS": str(_DOWN_SECONDS),
        "PUMPWATCH_ALERTS_FEED_DROPS_PER_HOUR": "0",
        "PUMPWATCH_ALERTS_SILENT_SECONDS": "60",
        "PUMPWATCH_ALERTS_ERRORS_PER_MINUTE": "0",
        "PUMPWATCH_ALERTS_LAG_SECONDS": "120",
        "PUMPWATCH_ALERTS_HOLES_MINUTES": "0",
        "PUMPWATCH_ALERTS_DISK_FREE_GB": "0",
        "PUMPWATCH_RETENTION_MIN_FREE_GB": "0",
    }


def judged(environment: Mapping[str, str]) -> int:
    """Both audits and the recount; the worst status."""
    return max(command(environment, *line) for line in (("audit",), ("audit", "--chain"), ("db", "check")))


def command(environment: Mapping[str, str], *arguments: str) -> int:
    """Run one command of pumpwatch; its output is shown if it ends badly."""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "pumpwatch", *arguments],
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        check=False,
        timeout=_COMMAND_SECONDS,
    )
    print(f"{' '.join(arguments)}: status {done.returncode} in {time.monotonic() - began:.1f} s")
    if done.returncode:
        print("\n".join([*done.stdout.splitlines()[-_SHOWN_LINES:], *done.stderr.splitlines()[-_SHOWN_LINES:]]))
    return done.returncode


def main() -> int:
    """Run it; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--rate", type=float, default=30.0, help="trades per second")
    parser.add_argument("--kill-every", type=float, default=20.0, metavar="SECONDS", help="in the storm; 0 = never")
    parser.add_argument("--database", type=Path, help="a new file to keep (default: a temporary one)")
    arguments = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="pumpwatch-soak-", ignore_cleanup_errors=True) as folder:
        database = (arguments.database or Path(folder) / "soak.db").resolve()
        # Until four fifths are spent most trades are paid for, then those of pinned tokens alone.
        paid_messages = int(0.3 * arguments.seconds * arguments.rate)
        script = Script(arguments.seconds, arguments.kill_every, database, paid_messages)
        status = run_demo(
            seconds=arguments.seconds,
            rate=arguments.rate,
            faults=(),
            provider=None,
            database=database,
            settings=settings(arguments.seconds, paid_messages),
            during=script.turn,
            afterwards=judged,
        )
        verdicts = script.verdicts() if database.exists() else []
    for text, is_right in verdicts:
        print(f"soak: {text}{'' if is_right else '  <- WRONG'}")
    memory_mb = psutil.Process().memory_info().rss / _MEGABYTE
    print(f"soak: record {status} after {time.monotonic() - began:.0f} s; the simulator took {memory_mb:.0f} MB")
    return status or (0 if verdicts and all(is_right for _, is_right in verdicts) else 1)


if __name__ == "__main__":
    raise SystemExit(main())
