"""``demo``: the real worker against the built-in simulator, graded at the end. No key, no network, a new file."""

from __future__ import annotations

import contextlib
import math
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pumpwatch.cli.demo_page import Page
from pumpwatch.cli.demo_worker import Worker, say, worker_environment
from pumpwatch.errors import UsageError
from pumpwatch.simulator.faults import FAULTS
from pumpwatch.simulator.grading import grade, recorded_count
from pumpwatch.simulator.limits import PROVIDERS
from pumpwatch.simulator.proof import Claims, claims, examine
from pumpwatch.simulator.report import summary
from pumpwatch.simulator.simulator import Simulator

#: The worker must have subscribed by then.
_START_SECONDS: Final = 30.0

#: After the last trade: how long the worker may take to catch up, and how long it may stand still before, and after it has.
_DRAIN_SECONDS: Final = 30.0
_STANDSTILL_SECONDS: Final = 8.0
_SETTLED_SECONDS: Final = 1.5

#: Then: how long it may take to close all gaps and prove every token, and how long nothing may change in that.
_SETTLE_SECONDS: Final = 120.0
_UNSETTLED_SECONDS: Final = 20.0

#: The same for who has said that it is enough.
_STOPPED_SETTLE_SECONDS: Final = 8.0
_LOOK_SECONDS: Final = 0.5

#: The last part of a run is without new faults, so that all connections are up again at its end.
_QUIET_SHARE: Final = 0.3
_QUIET_SECONDS: Final = 20.0

#: Each fault comes again at least so often.
_ROUND_SECONDS: Final = 45.0
_POLL_SECONDS: Final = 0.2
_PROGRESS_SECONDS: Final = 2.0


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
    page: Page | None = None,
) -> int:
    """
    Record a simulated market for *seconds* (infinite: until Ctrl-C) at *rate* trades per second, then print how well that went.

    Args:
        faults: Names of :data:`FAULTS` that happen again and again during the run.
        provider: Play the limits of one of :data:`PROVIDERS`.
        database: A file that does not exist yet; by default one named after the time, in the current directory.
        kill_every_seconds: Kill the worker so often, as the fault ``kill`` does.
        settings: Of the worker, over those of a demo: environment variables.
        during: Called a few times a second while the market is open.
        afterwards: Called with the worker's environment when it has stopped and the chain is still there; what it returns is the
            status unless the run itself has a worse one.
        page: The web page to be shown beside it.

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
            settled = True
            try:
                if page is not None:
                    page.start(environment, folder)
                worker.start()
                plan = _Plan(seconds, faults, kill_every_seconds)
                status, settled = _run(simulator, worker, plan, target, during)
            finally:
                stopped = worker.stop()
                if page is not None:
                    page.stop()
            if status is not None:
                say(f"the worker ended by itself with status {status}; its last words:\n{worker.last_words()}")
                return status or 70
            if not target.exists():
                say(f"the worker made no database; its last words:\n{worker.last_words()}")
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
                say(f"the worker did not stop cleanly ({stopped}); its last words:\n{worker.last_words()}")
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
        say(f"starting the worker; it records into {target}")
        _wait(lambda: simulator.pumpportal.subscribed_new() and bool(simulator.solana.open_clients()), worker, _START_SECONDS)
        if worker.ended() is not None:
            return worker.ended(), False
        troubles = f", faults: {', '.join(plan.faults)}" if plan.faults else ""
        how_long = f"{plan.seconds:g} s" if math.isfinite(plan.seconds) else "until Ctrl-C"
        say(f"the market opens: {how_long} at {simulator.rate:g} trades/s{troubles}")
        plan.schedule(simulator)
        simulator.open_market()
        _watch(simulator, worker, plan, target, during)
        simulator.close_market()
        simulator.no_more_faults()
        _drain(simulator, worker, target)
        settle(simulator, worker, target, _SETTLE_SECONDS)
        settled = True
    except KeyboardInterrupt:
        say("stopped by Ctrl-C: what is under way is still stored and proven (Ctrl-C again: not even that)")
        simulator.close_market()
        simulator.no_more_faults()
        with contextlib.suppress(KeyboardInterrupt):
            _drain(simulator, worker, target)
            settle(simulator, worker, target, _STOPPED_SETTLE_SECONDS)
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
            say(f"  {passed:5.1f} s  fault {happened.name}: {happened.text}")
            shown += 1
        if time.monotonic() >= next_progress:
            next_progress += _PROGRESS_SECONDS
            say(f"  {passed:5.1f} s  traded {len(simulator.market.ledger)}, recorded {recorded_count(target)}")


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
            say(f"  waiting for proof: {found.open_gaps} gaps open, {found.proven} of {found.watched} tokens proven")
        time.sleep(_LOOK_SECONDS)
