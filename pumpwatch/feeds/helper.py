"""A small thread that serves a feed."""

from __future__ import annotations

import threading
from collections.abc import Callable

from pumpwatch.threads import WorkerThread


class Helper(WorkerThread):
    """
    Call *step* again and again: at once when woken, else every tick.

    Args:
        failed: Told of the error that ended this thread, so that whom it serves does not go on without it.

    """

    def __init__(self, name: str, step: Callable[[], None], tick_seconds: float, failed: Callable[[BaseException], None]) -> None:
        super().__init__(name)
        self._step = step
        self._tick_seconds = tick_seconds
        self._failed = failed
        self._woken = threading.Event()

    def work(self) -> None:
        while not self.stopping.is_set():
            self._woken.wait(self._tick_seconds)
            self._woken.clear()
            self.pulse.beat()
            self._step()

    def run(self) -> None:
        super().run()
        if self.error is not None:
            self._failed(self.error)

    def wake(self) -> None:
        """Take the next step now. From any thread."""
        self._woken.set()

    def stop(self) -> None:
        super().stop()
        self._woken.set()
