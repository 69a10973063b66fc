"""The worker's process: signals in, exit status out."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from pumpwatch.cli.hung import end_hung_worker
from pumpwatch.cli.signals import stop_signals
from pumpwatch.config import Settings
from pumpwatch.error_reports import end_process
from pumpwatch.errors import AlreadyRunning, UsageError
from pumpwatch.feeds.opens import state_folder, stored_wait
from pumpwatch.memory import keep_small
from pumpwatch.providers import NAMES
from pumpwatch.session_writer import Recording
from pumpwatch.storage.lock import beside
from pumpwatch.supervisor import Supervisor
from pumpwatch.telemetry import visible


def run_worker(
    settings: Settings,
    *,
    for_seconds: float | None,
    if_not_running: bool,
    simulator: bool,
    provider: str | None = None,
    record: Recording | None = None,
) -> int:
    """
    Record until a signal comes or *for_seconds* have passed.

    Args:
        if_not_running: For cron: end quietly with 0 when a worker runs already (one that hangs is ended and replaced), or while a
            server's refusal says wait.
        simulator: The endpoints are our own simulator's: the database is marked so, and its faults work.
        provider: What the simulator plays.
        record: Where the raw messages of the feeds go; the folder is made when it is missing.

    Raises:
        UsageError: There is no such provider, or the folder cannot be written.
        StopError: A person must act.

    """
    keep_small()
    if provider is not None and provider not in NAMES:
        raise UsageError(f"no provider is called {visible(provider)}; there are {', '.join(NAMES)}")
    if if_not_running and _must_wait(settings):
        return 0
    if record is not None:
        _make_folder(record.folder)
    if simulator:
        from pumpwatch.simulator.worker_faults import install

        install(settings.pumpwatch.database)
    # What is remembered of a played server must not slow down the real ones, nor another demo.
    folder = beside(settings.pumpwatch.database, "servers") if simulator else state_folder()
    origin = "simulator" if simulator else "mainnet"

    def record_until_stopped() -> int:
        # A process that hangs is ended from within, without any of Python's own last steps, which may hang as well.
        supervisor = Supervisor(settings, origin=origin, provider=provider, folder=folder, record=record, end=end_process)
        with stop_signals() as signals:
            return supervisor.run(stop_requested=signals.requested, for_seconds=for_seconds)

    try:
        return record_until_stopped()
    except AlreadyRunning:
        if not if_not_running:
            raise
        return record_until_stopped() if end_hung_worker(settings.pumpwatch.database) else 0


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        shown = visible(folder, limit=300)
        raise UsageError(f"{shown} cannot be written ({error.strerror or error}): name another folder for --record") from error


def _must_wait(settings: Settings) -> bool:
    """Whether every enabled feed was refused a short while ago: then a start would only be refused again."""
    endpoints = [feed.endpoint for feed in (settings.pumpportal,) if feed.enabled]
    endpoints += [feed.ws for feed in (settings.helius,) if feed.enabled]
    waits = [stored_wait(state_folder(), endpoint, now=time.time()) for endpoint in endpoints]
    return bool(waits) and all(wait is not None and wait.state == "refused" for wait in waits)
