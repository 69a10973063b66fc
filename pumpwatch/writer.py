"""Queue to database: the one thread that writes."""

from __future__ import annotations

import random
import statistics
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from loguru import logger

from pumpwatch.errors import DatabaseBusy
from pumpwatch.events import Delivery, Trade
from pumpwatch.storage.intake import Intake
from pumpwatch.storage.pruner import Pruner
from pumpwatch.storage.store import Store
from pumpwatch.threads import Deadline, WorkerThread

_FIRST_RETRY_SECONDS = 0.05
_LONGEST_RETRY_SECONDS = 5.0
_REMIND_SECONDS = 60.0

#: Shorter trouble is somebody else's transaction.
TROUBLE_SECONDS = 10.0
_UPKEEP_SECONDS = 60.0
_LOOK_SECONDS = 0.5
_CHECKPOINT_SECONDS = 600.0

_TAKE_SECONDS = 0.25

#: After a step of taking old trades out, so many times what it took belongs to what is new, and at least so long.
_PRUNING_REST = 3.0
_PRUNING_SECONDS = 0.02

#: Of commits and of the trades in them: the stretch over which they are looked at, and at most so many.
_LATELY_SECONDS: Final = 60.0
_MOST_LATELY: Final = 2000


class Timings:
    """
    How long commits take, and how late trades are stored. The writer notes, any thread reads.

    Attributes:
        commits: That stored something.
        seconds: That they took together.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._commits: deque[tuple[float, float]] = deque(maxlen=_MOST_LATELY)
        self._lags: deque[tuple[float, float]] = deque(maxlen=_MOST_LATELY)
        self.commits = 0
        self.seconds = 0.0

    def note(self, batch: Sequence[Delivery], seconds: float, wall_seconds: float) -> None:
        """*batch* was committed in so many *seconds*; it is *wall_seconds* by the clock now (unix)."""
        now = self._clock()
        self.commits += 1
        self.seconds += seconds
        self._commits.append((now, seconds))
        last = next((delivery for delivery in reversed(batch) if delivery.source == "helius"), None)  # one of a batch will do
        for event in () if last is None else last.events:
            if type(event) is Trade and event.block_time is not None:
                self._lags.append((now, wall_seconds - event.block_time))
                return

    def longest(self) -> float:
        """Seconds of the longest commit of the last minute; 0 if there was none."""
        return max(_lately(self._commits, self._clock()), default=0.0)

    def lag_seconds(self) -> float | None:
        """From the block time of a trade to its commit, the median of the last minute; None: there was none."""
        lags = _lately(self._lags, self._clock())
        return max(0.0, statistics.median(lags)) if lags else None


def _lately(noted: deque[tuple[float, float]], now: float) -> list[float]:
    return [value for at, value in noted.copy() if now - at <= _LATELY_SECONDS]


class Writer(WorkerThread):
    """
    Take whatever is queued and commit it in one transaction, for ever.

    Batches form by themselves: a quiet system commits each message at once, a busy one up to *batch_size* together. A database
    that cannot be written is tried again for as long as it takes; meanwhile the intake spills. After :meth:`finish`, what is not
    committed at the deadline goes to the spill file.
    """

    def __init__(
        self,
        store: Store,
        intake: Intake,
        *,
        batch_size: int,
        pruner: Pruner | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__("writer")
        self._store = store
        self._intake = intake
        self._batch_size = batch_size
        self._pruner = pruner
        self._next_pruning = clock()
        self._clock = clock
        self._deadline: Deadline | None = None
        self._next_upkeep = clock() + _UPKEEP_SECONDS
        self._next_look = clock()
        self._next_checkpoint = clock() + _CHECKPOINT_SECONDS
        #: Batches that had to be tried again, and why one has to now.
        self.retries = 0
        self.trouble: str | None = None
        self._trouble_since: float | None = None
        self.timings = Timings(clock)

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
        self.pulse.beat()
        batch = self._intake.take(self._batch_size, timeout_seconds=self._patience())
        if batch and self._attempt("storing", lambda: self._apply(batch)):
            self._intake.stored()
        now = self._clock()
        if now >= self._next_look and self._store.has_unsettled:
            self._next_look = now + _LOOK_SECONDS
            self._attempt("judging the record", lambda: self._store.look(now_us=time.time_ns() // 1000), tries=1)
        if now >= self._next_upkeep or self._store.is_crowded:
            self._next_upkeep = now + _UPKEEP_SECONDS
            self._store.check_file()
            self._attempt("taking old messages out", lambda: self._store.prune(now_us=time.time_ns() // 1000), tries=1)
        if self._is_pruning() and now >= self._next_pruning and len(batch) < self._batch_size:
            self._attempt("taking old trades out", self._prune, tries=1)
            self._next_pruning = self._clock() + max(_PRUNING_SECONDS, _PRUNING_REST * (self._clock() - now))
        if now >= self._next_checkpoint:
            self._next_checkpoint = now + _CHECKPOINT_SECONDS
            self._attempt("emptying the write-ahead log", self._store.checkpoint, tries=1)

    def _patience(self) -> float:
        """For how long a turn waits for something to store."""
        if self._is_pruning():
            return min(_TAKE_SECONDS, max(0.0, self._next_pruning - self._clock()))
        return _TAKE_SECONDS / 5 if self.stopping.is_set() else _TAKE_SECONDS

    def _is_pruning(self) -> bool:
        return self._pruner is not None and not self.stopping.is_set() and self._pruner.is_due()

    def _prune(self) -> None:
        assert self._pruner is not None
        self._pruner.step(now_us=time.time_ns() // 1000)

    def _apply(self, batch: Sequence[Delivery]) -> None:
        began = self._clock()
        self._store.apply(batch)
        self.timings.note(batch, self._clock() - began, time.time())

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
                if tries is None:  # else it is not tried again at once, and nothing is kept back by it
                    self.trouble = str(error)
                    self._trouble_since = self._clock() if self._trouble_since is None else self._trouble_since
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
                self.trouble = self._trouble_since = None
                return True

    def lasting_trouble(self) -> str | None:
        """Why the database takes nothing, when it has for so long that somebody should know. From any thread."""
        since = self._trouble_since
        return self.trouble if since is not None and self._clock() - since >= TROUBLE_SECONDS else None

    def _pause(self, seconds: float) -> None:
        self.pulse.beat(seconds)
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
