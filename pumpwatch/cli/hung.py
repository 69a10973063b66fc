"""
A worker that hangs altogether, its own watchdog included (a stopped process, a dead disk): found and ended by the one that cron
starts.

Nothing else is ever ended: it must be the very process that took the lock, and it must be a worker that has said nothing in its
status file for longer than any healthy one, while the disk does take what is written.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import psutil
from loguru import logger

from pumpwatch import status as status_file
from pumpwatch.errors import AlreadyRunning
from pumpwatch.status import STALE_SECONDS, Status, StatusUnreadable
from pumpwatch.storage.lock import WriterLock, beside

#: Between two looks at the status file, which a healthy worker replaces every 2 s.
BETWEEN_LOOKS_SECONDS: Final = 30.0

#: How long an end that was asked for may take before it is forced, and a forced one.
_END_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 0.1

#: A worker in another state is busy with something that has no upper bound: an update of a large file, say.
_STATES: Final = ("running", "stopping", "stuck")


def end_hung_worker(database: Path, *, wait: Callable[[float], object] = time.sleep) -> bool:
    """
    End the worker of *database* if it provably hangs. Return whether it is gone, and its place is free.

    Takes :data:`BETWEEN_LOOKS_SECONDS` where it may hang, else no time.
    """
    lock = WriterLock(database)
    first = _silent(database)
    if first is None or lock.running_holder() != first.pid:
        return False
    wait(BETWEEN_LOOKS_SECONDS)
    second = _silent(database)
    if second is None or second.written_at != first.written_at or not _takes_writes(database):
        return False
    pid = lock.running_holder()
    if pid is None or pid != first.pid:
        return False
    silent_seconds = time.time() - first.written_at
    logger.error("the worker (pid {}) hangs: its status is {:.0f} s old; it is ended and replaced", pid, silent_seconds)
    return _end(pid, lock)


def _silent(database: Path) -> Status | None:
    """The status of a worker that should have written a newer one; None: there is none, or nothing is to be said of it."""
    try:
        status = status_file.read(status_file.path_of(database))
    except StatusUnreadable:
        return None
    if status is None or status.state not in _STATES or abs(time.time() - status.written_at) < STALE_SECONDS:
        return None
    return status


def _takes_writes(database: Path) -> bool:
    """Whether the disk takes what is written: where it does not, a worker hangs for a reason, and so would the next."""
    probe = beside(database, f"probe-{os.getpid()}")
    try:
        with probe.open("wb") as file:
            file.write(b"pumpwatch")
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        return False
    finally:
        with contextlib.suppress(OSError):
            probe.unlink()
    return True


def _end(pid: int, lock: WriterLock) -> bool:
    try:
        process = psutil.Process(pid)
        if lock.running_holder() != pid:  # looked at once more, now that the process cannot become another unseen
            return False
        for end in (process.terminate, process.kill):
            end()
            if _is_freed(lock):
                return True
    except psutil.NoSuchProcess:
        return _is_freed(lock)
    except psutil.Error as error:
        logger.error("the worker (pid {}) hangs and cannot be ended ({}): end it by hand", pid, type(error).__name__)
        return False
    logger.error("the worker (pid {}) hangs in the operating system and cannot be ended: look at the disk", pid)
    return False


def _is_freed(lock: WriterLock) -> bool:
    """Wait for the lock: a process that is dead but not yet taken note of by its parent holds none."""
    ends = time.monotonic() + _END_SECONDS
    while time.monotonic() < ends:
        with contextlib.suppress(AlreadyRunning), lock:
            return True
        time.sleep(_LOOK_SECONDS)
    return False
