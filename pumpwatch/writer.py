"""Queue to database: the one thread that writes."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from loguru import logger

from pumpwatch.errors import DatabaseBusy
from pumpwatch.storage.intake import Intake
from pumpwatch.storage.store import Store
from pumpwatch.threads import Deadline, WorkerThread

_FIRST_RETRY_SECONDS = 0.05
_LONGEST_RETRY_SECONDS = 5.0
_REMIND_SECONDS = 60.0
_UPKEEP_SECONDS = 60.0
_LOOK_SECONDS = 0.5
_CHECKPOINT_SECONDS = 600.0


class Writer(WorkerThread):
    """
    Take whatever is queued and commit it in one transaction, for ever.

    Batches form by themselves: a quiet system commits each message at once, a busy one up to *batch_size* together. A database
    that cannot be written is tried again for as long as it takes; meanwhile the intake spills. After :meth:`finish`, what is not
    committed at the deadline goes to the spill file.
    """

    def __init__(self, store: Store, intake: Intake, *, batch_size: int, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__("writer")
        self._store = store
        self._intake = intake
        self._batch_size = batch_size
        self._clock = clock
        self._deadline: Deadline | None = None
        self._next_upkeep = clock() + _UPKEEP_SECONDS
        self._next_look = clock()
        self._next_checkpoint = clock() + _CHECKPOINT_SECONDS
        #: Batches that had to be tried again, and why the last one had to.
        self.retries = 0
        self.trouble: str | None = None

    def work(self) -> None:
        try:
            while not self._is_done():
                self.turn()
        finally:
            self._end()

    def finish(self, spill_after: Deadline) -> None:
        """Nothing is put any more: write what is left, until the deadline, and end. From any thread, never blocks."""
        self._deadline = spill_after
        self.stopping.set()

    def turn(self) -> None:
        """Store one batch, or do one piece of upkeep."""
        batch = self._intake.take(self._batch_size, timeout_seconds=0.05 if self.stopping.is_set() else 0.25)
        if batch and self._attempt("storing", lambda: self._store.apply(batch)):
            self._intake.stored()
        now = self._clock()
        if now >= self._next_look and self._store.has_unsettled:
            self._next_look = now + _LOOK_SECONDS
            self._attempt("judging the record", lambda: self._store.look(now_us=time.time_ns() // 1000), tries=1)
        if now >= self._next_upkeep or self._store.is_crowded:
            self._next_upkeep = now + _UPKEEP_SECONDS
            self._store.check_file()
            self._attempt("taking old messages out", lambda: self._store.prune(now_us=time.time_ns() // 1000), tries=1)
        if now >= self._next_checkpoint:
            self._next_checkpoint = now + _CHECKPOINT_SECONDS
            self._attempt("emptying the write-ahead log", self._store.checkpoint, tries=1)

    def _attempt(self, what: str, action: Callable[[], object], *, tries: int | None = None) -> bool:
        """Do *action*, again and again while the database is busy. Return whether it was done."""
        delay = _FIRST_RETRY_SECONDS
        attempt = 0
        next_word = 0.0
        while True:
            try:
                action()
            except DatabaseBusy as error:
                attempt += 1
                self.retries += 1
                self.trouble = str(error)
                if attempt == tries or self._time_is_up():
                    return False
                if self._clock() >= next_word:
                    logger.error("{} must wait: {}; trying again until it works, new messages are kept meanwhile", what, error)
                    next_word = self._clock() + _REMIND_SECONDS
                self._pause(delay * random.uniform(0.5, 1.0))
                delay = min(2 * delay, _LONGEST_RETRY_SECONDS)
            else:
                if attempt:
                    logger.info("{} works again after {} tries", what, attempt + 1)
                self.trouble = None
                return True

    def _pause(self, seconds: float) -> None:
        if self.stopping.is_set():
            time.sleep(min(seconds, 0.2))
        else:
            self.stopping.wait(seconds)

    def _time_is_up(self) -> bool:
        return self._deadline is not None and self._deadline.left() <= 0

    def _is_done(self) -> bool:
        return self.stopping.is_set() and (self._intake.is_empty or self._time_is_up())

    def _end(self) -> None:
        lost = self._intake.keep()
        if self._intake.spilled:
            logger.warning("{} messages wait in the spill file and are stored at the next start", self._intake.spilled)
        if lost:
            logger.critical("{} messages found no room on the disk and are lost: a gap in the record from now on", lost)
        self._intake.close()
        if self._attempt("emptying the write-ahead log", self._store.checkpoint, tries=1):
            self._store.close()
