"""
The status file ``<database>.status.json``: what the worker says about itself, for ``status``, the page and cron.

Written every 2 s and replaced atomically. All times are unix seconds; unknown is null.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
from loguru import logger

from pumpwatch.costs import ProviderCost
from pumpwatch.errors import PumpwatchError
from pumpwatch.files import replace_file
from pumpwatch.storage.lock import beside

STATUS_SCHEMA: Final = 1
WRITTEN_EVERY_SECONDS: Final = 2.0

#: An older file means that its writer hangs or is gone.
STALE_SECONDS: Final = 10.0

_MOST_BYTES: Final = 1 << 20

#: On Windows a file cannot be replaced while someone reads it, nor be read while it is replaced. Both take milliseconds.
_ATTEMPTS: Final = 10
_ATTEMPT_SECONDS: Final = 0.02


class FeedStatus(msgspec.Struct, frozen=True, kw_only=True):
    """
    One feed.

    Attributes:
        state: ``connecting``, ``connected``, ``waiting``, ``refused``, ``banned?``, ``exhausted``, ``paused``, ``stopped``.
        since: When it came into this state.
        last_data_at: When the last data (not a pong or acknowledgement) came.
        reason: Why it is not connected, or what it does not deliver although it is: ``delivers nothing of 3 tokens: refused``.
    """

    state: str
    since: float
    last_data_at: float | None = None
    messages: int = 0
    trades: int = 0
    reason: str | None = None


class BackfillStatus(msgspec.Struct, frozen=True, kw_only=True):
    """
    What fills gaps and proves the record.

    Attributes:
        state: ``idle``, ``working``, ``waiting`` (the endpoint is in trouble), ``refused``, ``exhausted``, ``budget`` or
            ``stopped``.
        reason: Why it does not work as it should.
        requests: Calls sent since the start, each of a batch counted.
        fetched: Transactions.
        anchors: Account states read.
        dropped: Trades of PumpPortal that never landed.
        to_fetch: Transactions still to come of what is being fetched.
        gaps_open: As the database has them.
    """

    state: str
    reason: str | None = None
    requests: int = 0
    fetched: int = 0
    anchors: int = 0
    dropped: int = 0
    to_fetch: int = 0
    gaps_open: int = 0


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """
    The worker at *written_at*.

    Attributes:
        state: ``starting``, ``running``, ``stopping``, ``stopped``; ``stuck``: one of its loops hung, it has ended itself.
        reason: Why it is ``stuck``, or ``stopped`` by itself.
        costs: What the providers have cost, by this worker and those before it, and will.
        database_trouble: Why the database takes nothing, for :data:`pumpwatch.writer.TROUBLE_SECONDS` and more.
        shed: What is given up for lack of disk: ``raw``, ``metadata``, ``admissions``, ``unpinned``.
        feeds: Enabled ones only.
        queue_depth: Deliveries not yet written.
        spilled: Deliveries waiting in the spill file.
        trades: Rows written since the start.
        watched: Tokens and wallets on the watch list.
        backfill: None where it is not enabled.
        alarm: Why an update of pumpwatch may be needed: the programs on chain speak otherwise than it knows.
    """

    pid: int
    started_at: float
    written_at: float
    version: str
    state: str
    feeds: dict[str, FeedStatus]
    queue_depth: int = 0
    spilled: int = 0
    last_commit_at: float | None = None
    trades: int = 0
    watched: int = 0
    gaps_open: int = 0
    backfill: BackfillStatus | None = None
    alarm: str | None = None
    reason: str | None = None
    costs: tuple[ProviderCost, ...] = ()
    shed: tuple[str, ...] = ()
    database_trouble: str | None = None
    schema: int = STATUS_SCHEMA


class StatusUnreadable(PumpwatchError):
    """There is a status file, and this version cannot read it."""


def path_of(database: Path) -> Path:
    """``pumpwatch.db`` -> ``pumpwatch.db.status.json``."""
    return beside(database, "status.json")


class StatusFile:
    """The worker's end. A status that cannot be written is said once and stops nothing: the recording matters more."""

    def __init__(self, path: Path, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self.path = self._path = path
        self._part = path.with_name(f"{path.name}.part")
        self._sleep = sleep
        self._failing = False

    def write(self, status: Status) -> bool:
        """Replace the file; False when that was not possible."""
        try:
            self._part.write_bytes(msgspec.json.encode(status) + b"\n")
            replace_file(self._part, self._path, sleep=self._sleep)
        except OSError as error:
            if not self._failing:
                logger.warning(
                    "{} cannot be written ({}): `pumpwatch status` will call this worker stale", self._path, error.strerror
                )
            self._failing = True
            with contextlib.suppress(OSError):
                self._part.unlink()
            return False
        self._failing = False
        return True


def read(path: Path, *, sleep: Callable[[float], None] = time.sleep) -> Status | None:
    """
    Read the status file; None when there is none.

    Raises:
        StatusUnreadable: It is damaged, of a newer version, or may not be read.

    """
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            with path.open("rb") as file:
                raw = file.read(_MOST_BYTES)
            break
        except FileNotFoundError:
            return None
        except OSError as error:
            if attempt == _ATTEMPTS or not isinstance(error, PermissionError):
                raise StatusUnreadable(f"{path} cannot be read ({error.strerror})") from error
            sleep(_ATTEMPT_SECONDS)
    try:
        status = msgspec.json.decode(raw, type=Status)
    except ValueError as error:
        raise StatusUnreadable(f"{path} is not a status file of this version ({error})") from error
    if status.schema != STATUS_SCHEMA:
        raise StatusUnreadable(f"{path} was written by another pumpwatch (schema {status.schema}, known here {STATUS_SCHEMA})")
    return status


def problems(status: Status | None, now: float) -> list[str]:
    """
    Say why the worker is not healthy at the unix time *now*, a sentence each; empty when it is.

    Healthy: written less than :data:`STALE_SECONDS` ago, every enabled feed connected and delivering what is wanted,
    the database written, spill empty.
    """
    if status is None:
        return ["no worker has run here yet"]
    if status.state == "stopped":
        return ["the worker is stopped" + (f": {status.reason}" if status.reason else "")]
    if status.state == "stuck":
        return [f"the worker was stuck and has ended itself, nothing has started it anew: {status.reason}"]
    age = now - status.written_at
    if abs(age) >= STALE_SECONDS:
        how = f"{age:.0f} s old" if age > 0 else f"from {-age:.0f} s in the future"
        return [f"the status is {how}: the worker (pid {status.pid}) is gone or hangs"]
    found = [f"the worker is {status.state}"] if status.state != "running" else []
    if not status.feeds:
        found.append("no feed is enabled")
    for name, feed in status.feeds.items():
        if feed.state != "connected":
            found.append(f"{name} is {feed.state}" + (f": {feed.reason}" if feed.reason else ""))
        elif feed.reason:
            found.append(f"{name} {feed.reason}")
    if status.database_trouble:
        found.append(f"the database cannot be written: {status.database_trouble}")
    if status.shed:
        found.append(f"the disk is nearly full, given up: {', '.join(status.shed)}")
    if status.spilled:
        found.append(f"{status.spilled} messages wait in the spill file")
    return found
