"""A thread that never dies unnoticed, and never hangs unnoticed."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod

from loguru import logger

from pumpwatch.errors import StopError


class Pulse:
    """
    When a loop last turned: what :mod:`pumpwatch.watchdog` looks at.

    Attributes:
        alive_until: Monotonic seconds up to which nothing is to be expected of it.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive_until = time.monotonic()

    def beat(self, quiet_seconds: float = 0.0) -> None:
        """The loop turns; it is about to wait for something that may take so long."""
        self.alive_until = time.monotonic() + quiet_seconds


def alive(quiet_seconds: float = 0.0) -> None:
    """Tell, from somewhere deep in a loop, that it turns: the pulse of the thread that calls this. Of another thread: nothing."""
    thread = threading.current_thread()
    if isinstance(thread, WorkerThread):
        thread.pulse.beat(quiet_seconds)


class WorkerThread(threading.Thread, ABC):
    """
    A long-running daemon thread whose end is always seen. Its loop beats :attr:`pulse` with every turn.

    :meth:`work` returns when :attr:`stopping` is set. If it raises, the error is kept in :attr:`error` for the supervisor, which
    stops the process. Daemon, so that a thread that hangs in the network cannot keep the process alive.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self.stopping = threading.Event()
        self.pulse = Pulse(name)
        self.error: BaseException | None = None

    @abstractmethod
    def work(self) -> None:
        """Do the work until :attr:`stopping` is set."""

    def run(self) -> None:
        self.pulse.beat()
        try:
            self.work()
        except BaseException as error:  # noqa: BLE001 - the one place where a thread ends: nothing may pass it unseen
            self.error = error
            is_defect = not isinstance(error, StopError)
            logger.opt(exception=error if is_defect else None).critical("the {} thread failed: {}", self.name, error)

    def stop(self) -> None:
        """Ask the thread to end. Idempotent, from any thread, never blocks; overridden where a wait must be interrupted."""
        self.stopping.set()


class Deadline:
    """One point in time that several waits share."""

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds until the deadline, never negative."""
        return max(0.0, self._at - time.monotonic())
