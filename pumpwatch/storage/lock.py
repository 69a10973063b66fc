"""One writing process per database: an operating system's lock, which dies with its holder, however that dies."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from filelock import FileLock, Timeout

from pumpwatch.errors import AlreadyRunning, DatabaseError
from pumpwatch.process import identity


class WriterLock:
    """
    The right to write to one database.

    The lock file stays: removing it would let a second writer in. The pid is in a file of its own beside it, since a locked file
    cannot be read on Windows.
    """

    def __init__(self, database: Path) -> None:
        self._database = database
        self._lock = FileLock(beside(database, "lock"))
        self._pid_file = beside(database, "pid")

    def acquire(self) -> None:
        """
        Take the lock without waiting.

        Raises:
            AlreadyRunning: Another process holds it; names its pid.
            DatabaseError: The lock file cannot be made.

        """
        try:
            self._database.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
        except Timeout as error:
            holder = f"another pumpwatch (pid {self.holder() or 'unknown'})"
            raise AlreadyRunning(f"{holder} is writing to {self._database}: stop it, or use another `database`") from error
        except OSError as error:
            raise DatabaseError(
                f"{self._database.parent} cannot be written ({error.strerror}): choose another `database`"
            ) from error
        with contextlib.suppress(OSError):
            self._pid_file.write_text(f"{os.getpid()}\n{identity(os.getpid()) or ''}\n", encoding="utf-8")

    def holder(self) -> int | None:
        """Pid of the last process that took the lock. It may be gone: only the lock itself tells."""
        pid, _ = self._noted()
        return pid

    def running_holder(self) -> int | None:
        """Pid of the last process that took the lock, if that very process still runs; None too where that cannot be proven."""
        pid, noted = self._noted()
        return pid if pid is not None and noted and noted == identity(pid) else None

    def _noted(self) -> tuple[int | None, str]:
        try:
            pid, _, noted = self._pid_file.read_text(encoding="utf-8").partition("\n")
            return int(pid), noted.strip()
        except (OSError, ValueError):
            return None, ""

    def release(self) -> None:
        """Give the lock back. Idempotent."""
        self._lock.release()

    def __enter__(self) -> WriterLock:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def beside(database: Path, suffix: str) -> Path:
    """``pumpwatch.db`` and ``lock`` -> ``pumpwatch.db.lock``, in the same folder."""
    return database.with_name(f"{database.name}.{suffix}")
