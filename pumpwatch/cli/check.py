"""``pumpwatch check``: one line for each thing checked, with what to do about it. Changes nothing."""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import sqlite3
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import msgspec
from dotenv.parser import parse_stream
from filelock import FileLock, Timeout

from pumpwatch import __version__
from pumpwatch.budget import Budget, projected_cost
from pumpwatch.cli.finding import Finding
from pumpwatch.config import Settings, load
from pumpwatch.config_file import SECRET_NAMES
from pumpwatch.error_reports import MISSING_EXTRA as MISSING_SENTRY
from pumpwatch.errors import DatabaseBusy, DatabaseError, SettingsError
from pumpwatch.events import Usage
from pumpwatch.files import others_may_read
from pumpwatch.metrics_server import MISSING_EXTRA as MISSING_METRICS
from pumpwatch.providers import Provider, provider_of
from pumpwatch.storage.glance import glance_at
from pumpwatch.storage.lock import WriterLock, beside
from pumpwatch.telemetry import redact, set_up_logging, visible

#: STRICT tables came with it.
_OLDEST_SQLITE: Final = (3, 37, 0)
_SCARCE_DISK_BYTES: Final = 1_000_000_000
#: Before this day pumpwatch did not exist: a clock that says so is wrong. 2026-11-01.
_EARLIEST_NOW: Final = 1_793_491_200


def check(
    *, config: Path | None, environ: Mapping[str, str], directory: Path, live_seconds: float | None, as_json: bool = False
) -> int:
    """Check everything, print it, return 0, 4 (settings or database), 5 (every enabled feed refuses us) or 1 (anything else)."""
    findings: list[Finding] = []
    for finding in _look(config, environ, directory, live_seconds):
        findings.append(finding)
        if not as_json:
            print(f"{finding.level:<6} {finding.what + ':':<12} {visible(finding.text, limit=600)}", flush=True)
    if as_json:
        # Not visible(): it is for terminals. Secrets have no place in JSON either.
        print(redact(msgspec.json.encode([asdict(finding) for finding in findings]).decode()))
    statuses = {finding.status for finding in findings if finding.level == "wrong"}
    return next((status for status in (4, 5, 1) if status in statuses), 0)


def _look(config: Path | None, environ: Mapping[str, str], directory: Path, live_seconds: float | None) -> Iterator[Finding]:
    yield _versions()
    try:
        settings = load(config=config, environ=environ, directory=directory)
    except SettingsError as error:
        for problem in error.problems:
            yield Finding("settings", "wrong", problem, 4)
        return
    set_up_logging(level="WARNING", log_file=None, secrets=settings.secrets)
    used = settings.config_file or "no pumpwatch.ini here, so the defaults; `pumpwatch init` writes one"
    yield Finding("settings", "ok", str(used))
    yield from dotenv_findings(settings.directory / ".env")
    yield from key_findings(settings)
    yield from extra_findings(settings)
    usage: list[Usage] = []
    yield from database_findings(settings, usage)
    yield clock_finding(time.time())
    from pumpwatch.cli.check_endpoints import endpoint_findings  # after the settings: these libraries load slowly

    yield from endpoint_findings(settings)
    budget = _budget(settings, usage)
    for line in projected_cost(settings, _chain(settings), budget, time.time()):
        yield Finding("cost", "ok", line)
    if live_seconds is not None:
        from pumpwatch.cli.check_live import live_findings

        yield from live_findings(settings, live_seconds, budget)


def _versions() -> Finding:
    versions = f"pumpwatch {__version__}, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        return Finding("versions", "wrong", f"{versions}: this SQLite is too old (3.37 is needed), install a newer Python", 1)
    return Finding("versions", "ok", f"{versions}, {platform.system()}")


def dotenv_findings(path: Path) -> Iterator[Finding]:
    """Is there a ``.env``, can only its owner read it, and does it hold names that were probably meant to be ours?"""
    if not path.exists():
        yield Finding("secrets", "ok", f"no .env in {path.parent}: keys come from the environment only, if there are any")
        return
    if others_may_read(path):
        yield Finding("secrets", "note", f"{path} can be read by other users: chmod 600 {shlex.quote(str(path))}")
    else:
        yield Finding("secrets", "ok", str(path))
    with path.open(encoding="utf-8-sig") as file:
        names = [binding.key.upper() for binding in parse_stream(file) if binding.key]
    for name in names:
        near = get_close_matches(name, SECRET_NAMES, n=1, cutoff=0.7)
        if near and name not in SECRET_NAMES:
            yield Finding("secrets", "note", f"{name} in .env is not a name of ours and has no effect; is {near[0]} meant?")


def key_findings(settings: Settings) -> Iterator[Finding]:
    """Which keys are there, and what their absence means. Never the keys."""
    pumpportal, helius = settings.pumpportal, settings.helius
    if pumpportal.enabled and pumpportal.has_key:
        yield Finding("keys", "ok", "PumpPortal: there is a key; trades need at least 0.02 SOL in its wallet")
    elif pumpportal.enabled:
        yield Finding(
            "keys", "note", "PumpPortal: no key, so new tokens and migrations only; PUMPPORTAL_API_KEY in .env adds trades"
        )
    if helius.enabled and helius.has_key:
        yield Finding("keys", "ok", f"{helius.ws.host}: there is a key")
    elif helius.enabled:
        yield Finding(
            "keys",
            "note",
            f"{helius.ws.host}: no key; HELIUS_API_KEY in .env (a free plan will do) is steadier than a public endpoint",
        )


def extra_findings(settings: Settings) -> Iterator[Finding]:
    """Is there what the settings ask for beyond the core?"""
    if settings.metrics.port and find_spec("prometheus_client") is None:
        yield Finding("metrics", "wrong", f"[metrics] port is set, but {MISSING_METRICS}", 4)
    elif settings.metrics.port:
        yield Finding("metrics", "ok", f"the worker serves /metrics and /health on port {settings.metrics.port} of 127.0.0.1")
    if settings.sentry_dsn and find_spec("sentry_sdk") is None:
        yield Finding("sentry", "wrong", f"SENTRY_DSN is set, but {MISSING_SENTRY}", 4)
    elif settings.sentry_dsn:
        yield Finding("sentry", "ok", "the worker reports its errors")
    yield from _alerts(settings)


def _alerts(settings: Settings) -> Iterator[Finding]:
    """Will alerts reach somebody?"""
    urls = settings.alerts.urls
    if not settings.alerts.enabled or not urls:
        return
    from pumpwatch.alerts.sending import NoSender, senders  # its library loads slowly

    try:
        services = ", ".join(scheme for scheme, _ in senders(urls))
    except NoSender as error:
        yield Finding("alerts", "wrong", str(error), 4)
    else:
        yield Finding("alerts", "ok", f"are sent by {services}; `pumpwatch alerts test` tries it")


def database_findings(settings: Settings, usage: list[Usage]) -> Iterator[Finding]:
    """Can the database be written, is it ours, who holds it? What it says of *usage* is added there."""
    path = settings.pumpwatch.database
    folder = next(parent for parent in path.parents if parent.exists())
    if not os.access(folder, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
        yield Finding(
            "database", "wrong", f"{path} cannot be written by this user: change its permissions, or [pumpwatch] database", 4
        )
        return
    free = shutil.disk_usage(folder).free
    least = settings.retention.min_free_gb
    if free < least * 1e9:
        what = "raw messages, metadata, new tokens and then all but pinned tokens are given up"
        yield Finding("disk", "note", f"less than [retention] min_free_gb = {least:g} is free at {folder}: {what}; make room")
    needed = settings.writer.spill_megabytes * 1_000_000
    if free < needed + _SCARCE_DISK_BYTES:
        yield Finding("disk", "note", f"{free / 1e9:.1f} GB free at {folder}: make room (a million trades take about half a GB)")
    else:
        yield Finding("disk", "ok", f"{free / 1e9:.0f} GB free at {folder}")
    yield _content(path, usage)
    yield from _privacy(path)
    if holder := _writer_of(path):
        yield Finding("worker", "ok", f"running ({holder})")
    else:
        yield Finding("worker", "ok", "not running")


def _content(path: Path, usage: list[Usage]) -> Finding:
    if not path.exists():
        return Finding("database", "ok", f"{path} will be made")
    try:
        glance = glance_at(path)
    except (DatabaseError, DatabaseBusy) as error:
        return Finding("database", "wrong", str(error), 4)
    usage.extend(glance.usage)
    if glance.origin is None and glance.schema == 0 and not path.stat().st_size:
        return Finding("database", "ok", f"{path} is empty and will be filled")
    if glance.origin is None:
        return Finding("database", "wrong", f"{path} is a database of another program: choose another [pumpwatch] database", 4)
    if glance.origin != "mainnet":
        text = f"{path} holds {glance.origin} data, which is never mixed with the real: choose another [pumpwatch] database"
        return Finding("database", "wrong", text, 4)
    return Finding("database", "ok", f"{path}, schema {glance.schema}, {path.stat().st_size / 1e6:.1f} MB")


def _privacy(path: Path) -> Iterator[Finding]:
    """What the user's own mode of the database lets others do is left as it is, and said."""
    neighbours = [path.with_name(path.name + end) for end in ("", "-wal", "-shm")]
    readable = [str(file) for file in neighbours if file.exists() and others_may_read(file)]
    if readable:
        text = f"other users can read the record: chmod 600 {shlex.join(readable)} (or leave it so, if they shall)"
        yield Finding("database", "note", text)


def _writer_of(path: Path) -> str | None:
    """Who holds the lock of the database. Trying it is the only sure way, and makes no file that is not there."""
    lock = beside(path, "lock")
    if not lock.exists():
        return None
    try:
        FileLock(lock, blocking=False).acquire().lock.release()
    except (Timeout, OSError):
        return f"pid {WriterLock(path).holder() or 'unknown'}"
    return None


def clock_finding(now: float) -> Finding:
    """Is our own clock plausible? It dates everything that is received."""
    shown = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(now))
    if now < _EARLIEST_NOW:
        return Finding("clock", "wrong", f"it is not {shown} UTC: set the clock of this machine", 1)
    return Finding("clock", "ok", f"{shown} UTC")


def _budget(settings: Settings, usage: list[Usage]) -> Budget:
    return Budget(
        pumpportal_sol_per_day=settings.budget.pumpportal_sol_per_day,
        helius_credits_per_month=settings.budget.helius_credits_per_month,
        metered=_chain(settings).metered and settings.helius.enabled,
        start=usage,
    )


def _chain(settings: Settings) -> Provider:
    return provider_of(settings.helius.ws.host, is_loopback=settings.helius.ws.is_loopback)
