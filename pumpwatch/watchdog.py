"""A stuck worker is worse than a dead one: what ends the process when one of its loops has not turned for too long."""

from __future__ import annotations

import faulthandler
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from typing import Final

from loguru import logger

from pumpwatch.threads import Pulse

#: Of a defect of ours (design: exit statuses).
EXIT_STATUS: Final = 70

_LOOK_SECONDS: Final = 1.0

#: A look that comes so much later than it should have: the machine slept, or stood still. Nobody is blamed for that time.
_LATE_SECONDS: Final = 5.0

#: Saying why may hang as well: in a full disk, or in a lock that the stuck thread holds.
_LAST_WORDS_SECONDS: Final = 10.0

#: When even this thread cannot run (C code keeps the interpreter's lock), the interpreter ends the process, so much later.
_FAULT_SECONDS: Final = 60.0


class Watchdog(threading.Thread):
    """
    Looks at every pulse once a second.

    Args:
        pulses: Those to look at, asked anew each time.
        stuck_after_seconds: A loop that has not turned for so long, beyond what it said it would take, is stuck.
        on_stuck: Told what hangs, before the end; may fail, may hang.
        alive: Called with every look that finds all well: for who watches the process from outside.
        end: Ends the process.

    """

    def __init__(
        self,
        pulses: Callable[[], Iterable[Pulse]],
        *,
        stuck_after_seconds: float,
        on_stuck: Callable[[str], None],
        alive: Callable[[], None] = lambda: None,
        end: Callable[[int], object] = os._exit,
    ) -> None:
        super().__init__(name="watchdog", daemon=True)
        self._pulses = pulses
        self._stuck_after_seconds = stuck_after_seconds
        self._on_stuck = on_stuck
        self._alive = alive
        self._end = end
        self._over = threading.Event()
        self._looked_at = time.monotonic()
        #: Before this moment (monotonic seconds) nothing is held against anybody.
        self._fair_since = self._looked_at

    def run(self) -> None:
        """Until :meth:`stop`, or until something is stuck."""
        try:
            while not self._over.wait(_LOOK_SECONDS):
                _arm(self._stuck_after_seconds + _FAULT_SECONDS)
                stuck = self.look(time.monotonic())
                if stuck is not None:
                    self._finish(stuck)
                    return
        finally:
            _disarm()

    def stop(self) -> None:
        """Look no more. Idempotent, from any thread."""
        self._over.set()

    def look(self, now: float) -> str | None:
        """One look at *now* (monotonic seconds): what is stuck, as a sentence; None: nothing."""
        if now - self._looked_at > _LOOK_SECONDS + _LATE_SECONDS:
            logger.info("this machine stood still for {:.0f} s", now - self._looked_at)
            self._fair_since = now
        self._looked_at = now
        late = [
            (pulse.name, now - max(pulse.alive_until, self._fair_since))
            for pulse in self._pulses()
            if now - max(pulse.alive_until, self._fair_since) > self._stuck_after_seconds
        ]
        if not late:
            self._alive()
            return None
        return "; ".join(f"{name}: its loop has not turned for {seconds:.0f} s" for name, seconds in late)

    def _finish(self, stuck: str) -> None:
        threading.Thread(target=self._end_anyway, name="watchdog's end", daemon=True).start()
        logger.critical("stuck: {}: the process ends with status {}; the stacks of all threads follow", stuck, EXIT_STATUS)
        for name, stack in stacks():
            logger.critical("{}", name)
            for line in stack:
                logger.critical("    | {}", line)
        self._on_stuck(stuck)
        self._end(EXIT_STATUS)

    def _end_anyway(self) -> None:
        time.sleep(_LAST_WORDS_SECONDS)
        self._end(EXIT_STATUS)


def stacks() -> list[tuple[str, list[str]]]:
    """Name and stack of each thread: lines of code, without their variables."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    return [
        (f"thread {names.get(number, number)}", "".join(traceback.format_stack(frame)).splitlines())
        for number, frame in sys._current_frames().items()  # noqa: SLF001 - documented, and the only way to them
    ]


def _arm(seconds: float) -> None:
    # Windows' monotonic clock goes on while the machine sleeps: there it would end a healthy process.
    if os.name != "nt" and sys.__stderr__ is not None:
        faulthandler.dump_traceback_later(seconds, exit=True, file=sys.__stderr__)


def _disarm() -> None:
    if os.name != "nt" and sys.__stderr__ is not None:
        faulthandler.cancel_dump_traceback_later()
