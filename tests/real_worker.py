"""The recorder as a process of its own, as a person or cron starts it: settings by the environment, stopped by signals."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pumpwatch.simulator.grading import Grade, grade
from pumpwatch.simulator.simulator import Simulator

REPOSITORY: Final = Path(__file__).resolve().parents[1]

#: Trouble is noticed and repaired in tenths of a second, where in earnest it takes ten seconds.
QUICK: Final[Mapping[str, str]] = {
    "PUMPWATCH_CONNECTION_CONNECT_TIMEOUT_SECONDS": "2",
    "PUMPWATCH_CONNECTION_PING_INTERVAL_SECONDS": "2",
    "PUMPWATCH_CONNECTION_PING_TIMEOUT_SECONDS": "1",
    "PUMPWATCH_CONNECTION_PUMPPORTAL_IDLE_SECONDS": "3",
    "PUMPWATCH_CONNECTION_HELIUS_IDLE_SECONDS": "2",
    "PUMPWATCH_CONNECTION_BACKOFF_FIRST_SECONDS": "0.1",
    "PUMPWATCH_CONNECTION_BACKOFF_LONGEST_SECONDS": "0.5",
    "PUMPWATCH_CONNECTION_HEALTHY_AFTER_SECONDS": "1",
    "PUMPWATCH_WRITER_BUSY_TIMEOUT_SECONDS": "0.5",
}

#: Every coin of the market that the worker hears of is recorded, from both feeds.
EVERYTHING: Final[Mapping[str, str]] = {
    "PUMPPORTAL_API_KEY": "test-key-1",
    "HELIUS_API_KEY": "test-key-2",
    "PUMPWATCH_PUMPPORTAL_TRADES": "all",
    "PUMPWATCH_WATCH_ADMIT": "all",
    "PUMPWATCH_WATCH_MAX_TOKENS": "1000",
    "PUMPWATCH_BUDGET_PUMPPORTAL_SOL_PER_DAY": "1000",
    "PUMPWATCH_BUDGET_HELIUS_CREDITS_PER_MONTH": "0",
}

_PATIENCE_SECONDS: Final = 30.0


def until(condition: Callable[[], object], *, what: str = "") -> None:
    """Wait for *condition*; give up with the name of what never came."""
    ends = time.monotonic() + _PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < ends, f"waited in vain for {what or condition}"
        time.sleep(0.02)


def endpoints(simulator: Simulator) -> dict[str, str]:
    """The settings that lead a worker to *simulator*."""
    return {
        "PUMPWATCH_PUMPPORTAL_URL": simulator.pumpportal_url,
        "PUMPWATCH_HELIUS_WS_URL": simulator.ws_url,
        "PUMPWATCH_HELIUS_RPC_URL": simulator.rpc_url,
    }


def opening_coins(simulator: Simulator) -> dict[str, str]:
    """Pin the coins that the market opens with: one has graduated long ago, and its pool is known to those only who watch it."""
    return {"PUMPWATCH_WATCH_MINTS": ",".join(coin.mint for coin in simulator.market.opening.values())}


def clean_environment(home: Path) -> dict[str, str]:
    """Return this process's environment without settings of ours, and with a home of its own: no user's state is touched."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PUMPWATCH_") and name not in {"PUMPPORTAL_API_KEY", "HELIUS_API_KEY", "SENTRY_DSN"}
    }
    places = dict.fromkeys(("HOME", "USERPROFILE", "XDG_STATE_HOME", "LOCALAPPDATA", "WIN_PD_OVERRIDE_LOCAL_APPDATA"), str(home))
    return {**kept, **places, "PYTHONPATH": str(REPOSITORY), "NO_PROXY": "127.0.0.1,localhost"}


@dataclass(frozen=True, slots=True)
class Ended:
    """A process that has ended."""

    status: int
    out: str
    err: str
    seconds: float


@dataclass(slots=True)
class RealWorker:
    """
    One database with whatever process works on it.

    Args:
        folder: Working directory, and home of the user who runs it.
        settings: Environment variables.
        program: What Python is told to run.

    """

    folder: Path
    settings: dict[str, str] = field(default_factory=dict)
    program: tuple[str, ...] = ("-m", "pumpwatch")
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def database(self) -> Path:
        return self.folder / "pumpwatch.db"

    @property
    def spill(self) -> Path:
        return self.folder / "pumpwatch.db.spill"

    @property
    def log(self) -> str:
        """All that the workers have said so far."""
        return (self.folder / "worker.log").read_text(encoding="utf-8", errors="replace")

    @property
    def process(self) -> subprocess.Popen[bytes]:
        return self.processes[-1]

    def start(self, *arguments: str, settings: Mapping[str, str] | None = None, simulator: bool = True) -> None:
        """Start ``run`` in the background, with *settings* beside those of this worker."""
        line = ["run", *(["--simulator"] if simulator else []), *arguments]
        group = 0
        if sys.platform == "win32":
            group = subprocess.CREATE_NEW_PROCESS_GROUP
        with (self.folder / "worker.log").open("ab") as output:
            self.processes.append(
                subprocess.Popen(
                    [sys.executable, *self.program, *line],
                    cwd=self.folder,
                    env={**clean_environment(self.folder), **self.settings, **(settings or {})},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    creationflags=group,
                )
            )

    def command(self, *arguments: str, settings: Mapping[str, str] | None = None, patience: float = _PATIENCE_SECONDS) -> Ended:
        """Run one command to its end, which must come in *patience* seconds."""
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, *self.program, *arguments],
            cwd=self.folder,
            env={**clean_environment(self.folder), **self.settings, **(settings or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=patience,
        )
        out, err = (raw.decode("utf-8", "replace") for raw in (done.stdout, done.stderr))
        return Ended(done.returncode, out, err, time.monotonic() - began)

    def signal(self, number: int = signal.SIGINT) -> None:
        """Ask it to stop, as Ctrl-C or a service manager does."""
        if sys.platform == "win32":
            number = signal.CTRL_BREAK_EVENT
        self.process.send_signal(number)

    def wait(self) -> int:
        """Its exit status."""
        return self.process.wait(_PATIENCE_SECONDS)

    def stop(self) -> int:
        self.signal()
        return self.wait()

    def kill(self) -> None:
        """What no process can prevent."""
        self.process.kill()
        self.process.wait()

    def end_all(self) -> None:
        """For the end of the test, however it ends."""
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()

    def ask(self, query: str, *parameters: object) -> list[Any]:
        """Rows of the database, as any SQL tool reads it; none while it does not exist."""
        if not self.database.exists():
            return []
        connection = sqlite3.connect(f"{self.database.as_uri()}?mode=ro", uri=True, timeout=10)
        try:
            return connection.execute(query, parameters).fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return []
            raise
        finally:
            connection.close()

    def count(self, table: str = "trade_log") -> int:
        """Rows of a table or view."""
        rows = self.ask(f"SELECT count(*) FROM {table}")
        return int(rows[0][0]) if rows else 0

    def grade(self, simulator: Simulator) -> Grade:
        return grade(
            self.database,
            trades=simulator.traded(),
            delivered=simulator.delivered,
            interest=simulator.interest,
            phantoms=simulator.phantoms,
        )


def subscribed(simulator: Simulator) -> bool:
    """Both feeds of the worker are there and have asked for something."""
    return simulator.pumpportal.subscribed_new() and logs_subscribed(simulator) > 0


def logs_subscribed(simulator: Simulator) -> int:
    """How many addresses the chain's feed has asked for."""
    with simulator.solana.world.lock:
        return sum(len(held.logs) for held in simulator.solana._subscriptions.values())


def settled(worker: RealWorker, simulator: Simulator) -> Grade:
    """
    Wait until everything that was delivered is recorded, stop the worker, and grade the record.

    What is never recorded is waited for in vain, and graded as missing.
    """
    ends = time.monotonic() + _PATIENCE_SECONDS / 2
    while not worker.grade(simulator).passed and time.monotonic() < ends:
        time.sleep(0.1)
    assert worker.stop() == 0, worker.log
    return worker.grade(simulator)
