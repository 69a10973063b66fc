"""``demo``: the real worker against the built-in simulator, graded at the end. No key, no network, a new file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pumpwatch.errors import UsageError
from pumpwatch.simulator.faults import FAULTS
from pumpwatch.simulator.grading import grade, recorded_count
from pumpwatch.simulator.limits import PROVIDERS
from pumpwatch.simulator.markers import clock_marker, hang_marker
from pumpwatch.simulator.proof import Claims, claims, examine
from pumpwatch.simulator.report import summary
from pumpwatch.simulator.simulator import Simulator
from pumpwatch.watchdog import EXIT_STATUS as STUCK_STATUS

#: The worker must have subscribed by then.
_START_SECONDS: Final = 30.0

#: After the last trade: how long the worker may take to catch up, and how long it may stand still before, and after it has.
_DRAIN_SECONDS: Final = 30.0
_STANDSTILL_SECONDS: Final = 8.0
_SETTLED_SECONDS: Final = 1.5
_STOP_SECONDS: Final = 10.0

#: Then: how long it may take to close all gaps and prove every token, and how long nothing may change in that.
_SETTLE_SECONDS: Final = 120.0
_UNSETTLED_SECONDS: Final = 20.0
_LOOK_SECONDS: Final = 0.5

#: The last part of a run is without new faults, so that all connections are up again at its end.
_QUIET_SHARE: Final = 0.3
_QUIET_SECONDS: Final = 20.0

#: Each fault comes again at least so often.
_ROUND_SECONDS: Final = 45.0
_POLL_SECONDS: Final = 0.2
_PROGRESS_SECONDS: Final = 2.0
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
                _say("  the worker has noticed that it hangs, and is started again")
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


def run_demo(
    *,
    seconds: float,
    rate: float,
    faults: tuple[str, ...],
    provider: str | None,
    database: Path | None,
    kill_every_seconds: float | None = None,
    settings: Mapping[str, str] | None = None,
    during: Callable[[Simulator, Worker], None] | None = None,
    afterwards: Callable[[Mapping[str, str]], int] | None = None,
) -> int:
    """
    Record a simulated market for *seconds* at *rate* trades per second, then print how well that went.

    Args:
        faults: Names of :data:`FAULTS` that happen again and again during the run.
        provider: Play the limits of one of :data:`PROVIDERS`.
        database: A file that does not exist yet; by default one named after the time, in the current directory.
        kill_every_seconds: Kill the worker so often, as the fault ``kill`` does.
        settings: Of the worker, over those of a demo: environment variables.
        during: Called a few times a second while the market is open.
        afterwards: Called with the worker's environment when it has stopped and the chain is still there; what it returns is the
            status unless the run itself has a worse one.

    Returns:
        0; 1 if a trade is missing, doubled or wrong, a gap is left open, or the record claims what is not true; the worker's own
        status if it ended by itself.

    Raises:
        UsageError: An unknown fault or provider, or a file that exists.

    """
    target = (database or Path(f"pumpwatch-demo-{time.strftime('%Y%m%d-%H%M%S')}.db")).absolute()
    _check(faults, provider, target)
    played = () if provider is None else ("--provider", provider)
    with tempfile.TemporaryDirectory(prefix="pumpwatch-demo-", ignore_cleanup_errors=True) as scratch:
        folder = Path(scratch)
        with Simulator(
            seed=int(time.time()), rate=rate, provider=provider, chain_delay_seconds=0.25, database=target
        ) as simulator:
            environment = {**worker_environment(simulator, target, provider), **(settings or {})}
            worker = Worker(environment, folder, folder / "worker.log", played, target)
            simulator.kill_worker = worker.kill
            worker.start()
            settled = True
            try:
                plan = _Plan(seconds, faults, kill_every_seconds)
                status, settled = _run(simulator, worker, plan, target, during)
            finally:
                stopped = worker.stop()
            if status is not None:
                _say(f"the worker ended by itself with status {status}; its last words:\n{worker.last_words()}")
                return status or 70
            if not target.exists():
                _say(f"the worker made no database; its last words:\n{worker.last_words()}")
                return 70
            result = grade(
                target,
                trades=simulator.traded(),
                delivered=simulator.delivered,
                interest=simulator.interest,
                phantoms=simulator.phantoms,
            )
            proof = examine(target, market=simulator.market, slot_us=simulator.slot_us)
            print(summary(result, proof, happened=simulator.happened, target=target))
            if stopped != 0:
                _say(f"the worker did not stop cleanly ({stopped}); its last words:\n{worker.last_words()}")
            kept = proof.is_true and not (settled and (proof.missing or proof.gaps_left))
            then = 0 if afterwards is None else afterwards(worker.environment)
            return then if result.passed and kept and stopped == 0 else 1


def _check(faults: tuple[str, ...], provider: str | None, target: Path) -> None:
    unknown = [name for name in faults if name not in FAULTS]
    if unknown:
        raise UsageError(f"no fault is called {', '.join(unknown)}; there are {', '.join(FAULTS)}")
    if provider is not None and provider not in PROVIDERS:
        raise UsageError(f"no provider is called {provider}; there are {', '.join(PROVIDERS)}")
    if target.exists():
        raise UsageError(f"{target} exists already: the demo writes a new file only")


def worker_environment(simulator: Simulator, target: Path, provider: str | None) -> dict[str, str]:
    """The worker's settings: everything by environment, nothing of the user's own."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PUMPWATCH_") and name not in {"PUMPPORTAL_API_KEY", "HELIUS_API_KEY", "SENTRY_DSN"}
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


@dataclass(frozen=True, slots=True)
class _Plan:
    """How long the market trades, and what goes wrong meanwhile."""

    seconds: float
    faults: tuple[str, ...] = ()
    kill_every_seconds: float | None = None

    @property
    def active_seconds(self) -> float:
        """When new faults end."""
        return self.seconds - min(self.seconds * _QUIET_SHARE, _QUIET_SECONDS)

    def schedule(self, simulator: Simulator) -> None:
        """Spread each fault over the run, at least once each, the last part left quiet."""
        active = self.active_seconds
        start = simulator.seconds + min(1.0, active / 10)
        if self.kill_every_seconds is not None:
            simulator.fault("kill", at_second=start + self.kill_every_seconds, every_seconds=self.kill_every_seconds)
        round_seconds = max(min(active / 3, _ROUND_SECONDS), len(self.faults) * 0.5)
        for place, name in enumerate(self.faults):
            first = start + place * min(round_seconds, active) / len(self.faults)
            simulator.fault(name, at_second=first, every_seconds=round_seconds)


def _run(
    simulator: Simulator, worker: Worker, plan: _Plan, target: Path, during: Callable[[Simulator, Worker], None] | None
) -> tuple[int | None, bool]:
    """
    The run itself. Ctrl-C ends the run, not the grading.

    Returns:
        The worker's status if it ended by itself, and whether it had its time to fetch what was missing.

    """
    settled = False
    try:
        _say(f"starting the worker; it records into {target}")
        _wait(lambda: simulator.pumpportal.subscribed_new() and bool(simulator.solana.open_clients()), worker, _START_SECONDS)
        if worker.ended() is not None:
            return worker.ended(), False
        troubles = f", faults: {', '.join(plan.faults)}" if plan.faults else ""
        _say(f"the market opens: {plan.seconds:g} s at {simulator.rate:g} trades/s{troubles}")
        plan.schedule(simulator)
        simulator.open_market()
        _watch(simulator, worker, plan, target, during)
        simulator.close_market()
        simulator.no_more_faults()
        _drain(simulator, worker, target)
        settle(simulator, worker, target, _SETTLE_SECONDS)
        settled = True
    except KeyboardInterrupt:
        _say("stopped by Ctrl-C")
        simulator.close_market()
        simulator.no_more_faults()
    return worker.ended(), settled


def _wait(condition: Callable[[], bool], worker: Worker, seconds: float) -> bool:
    ends = time.monotonic() + seconds
    while not condition():
        if worker.ended() is not None or time.monotonic() > ends:
            return False
        time.sleep(_POLL_SECONDS / 4)
    return True


def _watch(
    simulator: Simulator, worker: Worker, plan: _Plan, target: Path, during: Callable[[Simulator, Worker], None] | None
) -> None:
    """Show progress until the market closes; new faults end before."""
    began = time.monotonic()
    shown = 0
    next_progress = began + _PROGRESS_SECONDS
    quiet = False
    while (passed := time.monotonic() - began) < plan.seconds and worker.ended() is None:
        time.sleep(min(_POLL_SECONDS, max(0.0, plan.seconds - passed)))
        if during is not None:
            during(simulator, worker)
        if not quiet and passed > plan.active_seconds:
            simulator.no_more_faults()
            quiet = True
        for happened in simulator.happened[shown:]:
            _say(f"  {passed:5.1f} s  fault {happened.name}: {happened.text}")
            shown += 1
        if time.monotonic() >= next_progress:
            next_progress += _PROGRESS_SECONDS
            _say(f"  {passed:5.1f} s  traded {len(simulator.market.ledger)}, recorded {recorded_count(target)}")


def _drain(simulator: Simulator, worker: Worker, target: Path) -> None:
    """Give the worker time to write what it has; stop waiting when nothing moves any more."""
    began = moved = time.monotonic()
    before, complete = -1, False
    while time.monotonic() < began + _DRAIN_SECONDS and worker.ended() is None:
        count = recorded_count(target)
        if count != before:
            before, moved = count, time.monotonic()
            complete = count >= simulator.delivered.count_any()
        elif time.monotonic() > moved + (_SETTLED_SECONDS if complete else _STANDSTILL_SECONDS):
            return
        time.sleep(_POLL_SECONDS)


def settle(simulator: Simulator, worker: Worker, target: Path, seconds: float) -> None:
    """Wait until no gap is open and every token is proven to its last trade; at most *seconds*, and not while nothing moves."""
    began = moved = time.monotonic()
    next_progress = began + _PROGRESS_SECONDS
    before: Claims | None = None
    while time.monotonic() < began + seconds and worker.ended() is None:
        found = claims(target)
        if found != before:
            before, moved = found, time.monotonic()
            if found.is_whole and examine(target, market=simulator.market, slot_us=simulator.slot_us).is_whole:
                return
        elif time.monotonic() > moved + _UNSETTLED_SECONDS:
            return
        if time.monotonic() >= next_progress:
            next_progress += _PROGRESS_SECONDS
            _say(f"  waiting for proof: {found.open_gaps} gaps open, {found.proven} of {found.watched} tokens proven")
        time.sleep(_LOOK_SECONDS)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
