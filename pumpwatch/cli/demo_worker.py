"""The real recorder as a child of the demo: its settings, its start, and its end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pumpwatch.config_file import SECRET_NAMES
from pumpwatch.simulator.markers import clock_marker, hang_marker
from pumpwatch.simulator.simulator import Simulator
from pumpwatch.watchdog import EXIT_STATUS as STUCK_STATUS

_STOP_SECONDS: Final = 10.0
_LOG_TAIL_LINES: Final = 12

#: Failures are noticed and repaired faster than in earnest: a demo is short.
_SETTINGS: Final[Mapping[str, str]] = {
    "PUMPWATCH_PUMPWATCH_LOG_LEVEL": "INFO",
    "PUMPWATCH_PUMPPORTAL_TRADES": "all",
    "PUMPWATCH_WATCH_ADMIT": "all",
    "PUMPWATCH_BUDGET_PUMPPORTAL_SOL_PER_DAY": "1000",
    "PUMPWATCH_BUDGET_HELIUS_CREDITS_PER_MONTH": "0",
    "PUMPWATCH_CONNECTION_CONNECT_TIMEOUT_SECONDS": "2",
    "PUMPWATCH_CONNECTION_PING_INTERVAL_SECONDS": "3",
    "PUMPWATCH_CONNECTION_PING_TIMEOUT_SECONDS": "2",
    "PUMPWATCH_CONNECTION_PUMPPORTAL_IDLE_SECONDS": "4",
    "PUMPWATCH_CONNECTION_HELIUS_IDLE_SECONDS": "2",
    "PUMPWATCH_CONNECTION_BACKOFF_FIRST_SECONDS": "0.2",
    "PUMPWATCH_CONNECTION_BACKOFF_LONGEST_SECONDS": "1",
    "PUMPWATCH_CONNECTION_HEALTHY_AFTER_SECONDS": "1",
    "PUMPWATCH_WRITER_BUSY_TIMEOUT_SECONDS": "0.5",
    "PUMPWATCH_BACKFILL_ANCHOR_ACTIVE_SECONDS": "2",
    "PUMPWATCH_BACKFILL_ANCHOR_IDLE_SECONDS": "5",
    "PUMPWATCH_BACKFILL_BREAK_GRACE_SECONDS": "1.5",
    "PUMPWATCH_PRICES_REFRESH_SECONDS": "2",
    "PUMPWATCH_PUMPWATCH_STUCK_AFTER_SECONDS": "15",
}


@dataclass(slots=True)
class Worker:
    """The recorder as a child process, restarted if a fault kills it."""

    environment: Mapping[str, str]
    folder: Path
    log: Path
    options: tuple[str, ...] = ()
    database: Path | None = None
    process: subprocess.Popen[bytes] | None = None
    asked_to_stop: bool = False

    def start(self) -> None:
        """Start it."""
        # In a group of its own: a Ctrl-C on the terminal is for the demo, which stops the worker in its own time.
        group = 0
        if sys.platform == "win32":
            group = subprocess.CREATE_NEW_PROCESS_GROUP
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(  # noqa: S603 - ourselves, with options of our own
                [sys.executable, "-m", "pumpwatch", "run", "--simulator", *self.options],
                cwd=self.folder,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                creationflags=group,
                start_new_session=sys.platform != "win32",
            )

    def kill(self) -> None:
        """What no process can prevent; then start it again, as cron would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        self.start()

    def ended(self) -> int | None:
        """Its exit status, None while it runs. One that was made to hang and has ended itself is started again, as cron would."""
        status = None if self.process is None else self.process.poll()
        if (
            status == STUCK_STATUS
            and not self.asked_to_stop
            and self.database is not None
            and hang_marker(self.database).exists()
        ):
            if not clock_marker(self.database).exists():
                self.start()
                say("  the worker has noticed that it hangs, and is started again")
            return None
        return status

    def stop(self) -> int | None:
        """Ask it to stop, as Ctrl-C does; None if it had to be killed."""
        self.asked_to_stop = True
        if self.process is None:
            return 0
        if self.process.poll() is None:
            if sys.platform == "win32":
                self.process.send_signal(signal.CTRL_BREAK_EVENT)
            else:
                self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return None

    def last_words(self) -> str:
        """The end of its log."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(lines[-_LOG_TAIL_LINES:])


def worker_environment(simulator: Simulator, target: Path, provider: str | None) -> dict[str, str]:
    """The worker's settings: everything by environment, nothing of the user's own."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PUMPWATCH_") and name not in SECRET_NAMES
    }
    tokens = {} if provider is not None else {"PUMPWATCH_WATCH_MAX_TOKENS": "1000"}
    opening = ",".join(coin.mint for coin in simulator.market.opening.values())
    package = Path(__file__).resolve().parents[2]
    return {
        **environment,
        **_SETTINGS,
        **tokens,
        "PYTHONPATH": os.pathsep.join(filter(None, (str(package), os.environ.get("PYTHONPATH")))),
        "NO_PROXY": "127.0.0.1,localhost",
        "PUMPPORTAL_API_KEY": "demo-key",
        "HELIUS_API_KEY": "demo-key",
        "PUMPWATCH_PUMPPORTAL_URL": simulator.pumpportal_url,
        "PUMPWATCH_HELIUS_WS_URL": simulator.ws_url,
        "PUMPWATCH_HELIUS_RPC_URL": simulator.rpc_url,
        "PUMPWATCH_PRICES_URL": simulator.rpc_url,
        "PUMPWATCH_PUMPWATCH_DATABASE": str(target),
        "PUMPWATCH_WATCH_MINTS": opening,
    }


def say(text: str) -> None:
    """Tell the user of the demo, beside its result."""
    print(text, file=sys.stderr, flush=True)
