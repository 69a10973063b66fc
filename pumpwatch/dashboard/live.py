"""
What is new in the record, read once for all who listen.

One thread looks a few times a second, as long as somebody listens, and keeps what it found for all (:mod:`ticks`). A client who
was away is told out of the record itself. There is no queue for a client: one who falls behind loads anew.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
from loguru import logger

from pumpwatch.dashboard.answers import LiveEvent, StatusEvent
from pumpwatch.dashboard.looks import Looks, caught_up, newest_token
from pumpwatch.dashboard.ticks import Covers, Found, Interest, Position, Ticks, events_of, resync
from pumpwatch.errors import DatabaseError, TransientError
from pumpwatch.files import file_identity
from pumpwatch.status import StatusUnreadable, path_of, problems, read
from pumpwatch.storage.following import end
from pumpwatch.storage.queries import Reader, open_reader
from pumpwatch.telemetry import visible
from pumpwatch.threads import WorkerThread

#: Streams that are open at once: each holds a thread of the server.
MOST_STREAMS: Final = 32

#: From one look to the next; longer where looking takes long: the recorder may need the processor.
_TICK_SECONDS: Final = 0.3
_REST_AFTER_WORK: Final = 3.0

_RETRY_SECONDS: Final = 0.5
_STATUS_SECONDS: Final = 2.0

#: Who asks once listens for so long; so many of them are kept in mind.
_ASKED_SECONDS: Final = 10.0
_MOST_ASKERS: Final = 100

#: So long a client waits until the thread reads; so long it may take to tell it out of the record.
_START_SECONDS: Final = 2.0
_LONGEST_SECONDS: Final = 5.0

_REST_SECONDS: Final = 60.0


class TooManyStreams(TransientError):
    """Ask now and then instead, or try again later."""


class Live(WorkerThread):
    """
    The thread that reads, and what it read. All methods but :meth:`work` may be called from any thread.

    Args:
        clock: Seconds that never go back.

    """

    def __init__(self, database: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__("live")
        self._database = database
        self._clock = clock
        self._changed = threading.Condition()
        # Guarded by *_changed*.
        self._ticks = Ticks(secrets.token_hex(4))
        self._origin = ""
        self._streams: dict[int, Interest] = {}
        self._next_stream = 1
        self._askers: dict[Interest, float] = {}
        self._is_reading = self._is_failing = False
        # Of the thread alone.
        self._looks = Looks()
        self._status_at = -_STATUS_SECONDS
        self._trouble = ""

    # For requests

    @property
    def is_stopping(self) -> bool:
        """Nothing more will be told."""
        return self.stopping.is_set()

    @property
    def is_reading(self) -> bool:
        """What happens is told. False: nobody listens, or the record cannot be read now."""
        return self._is_reading

    @property
    def streams(self) -> int:
        """How many are open."""
        return len(self._streams)

    def cursor(self) -> str:
        """Where the record ends now; empty: it cannot be read."""
        try:
            with open_reader(self._database, most_seconds=_LONGEST_SECONDS) as reader:
                return self._position_now(reader).text()
        except DatabaseError:
            return ""

    def changes(self, interest: Interest, after: Position | None = None) -> tuple[list[LiveEvent], Position]:
        """
        What happened since a position (None: nothing yet), and from where to ask next.

        Raises:
            DatabaseError: The record cannot be read now.

        """
        with self._changed:
            self._askers.pop(interest, None)
            self._askers[interest] = self._clock() + _ASKED_SECONDS
            while len(self._askers) > _MOST_ASKERS:
                self._askers.pop(next(iter(self._askers)))
            self._changed.notify_all()
        return self.begin(interest, after)[1:]

    def enter(self, interest: Interest) -> int:
        """
        One more stream; :meth:`leave` it with the number that this returns.

        Raises:
            TooManyStreams: Others have all there are.

        """
        with self._changed:
            if len(self._streams) >= MOST_STREAMS:
                raise TooManyStreams("too many pages stream: ask /api/changes instead")
            number = self._next_stream
            self._next_stream += 1
            self._streams[number] = interest
            self._changed.notify_all()
            return number

    def leave(self, number: int) -> None:
        """One stream less. Idempotent."""
        with self._changed:
            self._streams.pop(number, None)

    def stop(self) -> None:
        """End the thread, and every wait."""
        super().stop()
        with self._changed:
            self._changed.notify_all()

    # For those who have entered

    def begin(self, interest: Interest, after: Position | None) -> tuple[str, list[LiveEvent], Position]:
        """
        The origin of the record, what happened since a position, and from where :meth:`wait` goes on.

        Raises:
            DatabaseError: The record cannot be read now.

        """
        with self._changed:
            self._changed.wait_for(lambda: self._is_reading or self._is_failing or self.is_stopping, _START_SECONDS)
            ticks = self._ticks
            if after is not None and self._is_reading and ticks.reach(after, interest) and ticks.cover(after, interest):
                return self._origin, *ticks.since(after, interest, int(time.time()))
        return self._out_of_record(interest, after)

    def wait(self, interest: Interest, position: Position, timeout_seconds: float) -> tuple[list[LiveEvent], Position]:
        """
        What happened since; waits for it at most so long, and until the thread is stopped.

        Raises:
            DatabaseError: The record cannot be read now.

        """
        ends = self._clock() + timeout_seconds
        with self._changed:
            while not self.is_stopping:
                now = int(time.time())
                if not self._ticks.reach(position, interest):
                    return [resync("the page was too slow")], self._ticks.end(position, now)
                if not self._ticks.cover(position, interest):
                    break
                events, position = self._ticks.since(position, interest, now)
                left = ends - self._clock()
                if events or left <= 0:
                    return events, position
                self._changed.wait(left)
            else:
                return [], position
        return self._out_of_record(interest, position)[1:]

    def wait_for_record(self, timeout_seconds: float) -> None:
        """Wait until it can be read, at most so long."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_reading or self.is_stopping, timeout_seconds)

    def _out_of_record(self, interest: Interest, after: Position | None) -> tuple[str, list[LiveEvent], Position]:
        with open_reader(self._database, most_seconds=_LONGEST_SECONDS) as reader:
            origin, now = reader.origin(), self._position_now(reader)
            if after is None:
                return origin, [], now
            found = caught_up(reader, after, interest)
        if interest.system:
            found = msgspec.structs.replace(found, status=self._status())
        position = msgspec.structs.replace(now, place=found.place, newest_token=found.newest_token)
        return origin, events_of(found, interest, after.place), position

    def _position_now(self, reader: Reader) -> Position:
        """The end of the record, and a tick before it: what is told twice by that is left out by its place."""
        with self._changed:
            run, number = self._ticks.run, self._ticks.number if self._is_reading else 0
        at = int(time.time())
        newest = newest_token(reader)
        return Position(end(reader), newest, at, run, number)

    # The thread

    def work(self) -> None:
        while not self.stopping.is_set():
            self.pulse.beat()
            covers = self._covers()
            if covers is None:
                self._rest()
                continue
            try:
                self._read(covers)
            except (DatabaseError, TransientError) as error:
                self._met(error, covers)

    def _covers(self) -> Covers | None:
        """What is wanted; None: nobody listens."""
        with self._changed:
            now = self._clock()
            self._askers = {interest: until for interest, until in self._askers.items() if until > now}
            interests = [*self._streams.values(), *self._askers]
        return Covers.of(interests) if interests else None

    def _rest(self) -> None:
        """Read nothing until somebody listens. What was found is forgotten."""
        self._looks.forget()
        with self._changed:
            self._is_reading = False
            self._ticks.begin()
            self._changed.wait_for(lambda: self._streams or self._askers or self.is_stopping, _REST_SECONDS)

    def _read(self, covers: Covers) -> None:
        """Look again and again, until nobody listens or the file is another one."""
        file = file_identity(self._database)
        with open_reader(self._database) as reader:
            is_first = not self._looks.has_begun
            self._looks.open(reader, covers)
            origin = reader.origin()
            with self._changed:
                if is_first:
                    self._ticks.begin()
                self._origin, self._is_reading, self._is_failing = origin, True, False
                self._changed.notify_all()
            if self._trouble:
                self._trouble = ""
                logger.info("live: {} can be read again", self._database)
            wanted: Covers | None = covers
            while wanted is not None and file_identity(self._database) == file and not self.stopping.is_set():
                self.pulse.beat()
                began = self._clock()
                self._keep(self._looks.look(wanted, began))
                spent = self._clock() - began
                self.stopping.wait(max(_TICK_SECONDS - spent, _REST_AFTER_WORK * spent))
                wanted = self._covers()

    def _met(self, error: Exception, covers: Covers) -> None:
        """The record cannot be read: the place is kept, and tried again. The worker may still say how it is."""
        if str(error) != self._trouble:
            self._trouble = str(error)
            logger.warning("live: {}; waiting", visible(error, limit=500))
        with self._changed:
            self._is_reading, self._is_failing = False, True
            self._changed.notify_all()
        if self._looks.has_begun:
            self._keep(self._looks.nothing(covers))
        self.stopping.wait(_RETRY_SECONDS)

    def _keep(self, found: Found) -> None:
        """For all clients, and wake them if there is something to tell."""
        if found.covers.system and self._clock() - self._status_at >= _STATUS_SECONDS:
            self._status_at = self._clock()
            found = msgspec.structs.replace(found, status=self._status())
        with self._changed:
            self._ticks.add(found, self._clock())
            if found.is_something:
                self._changed.notify_all()

    def _status(self) -> StatusEvent:
        try:
            status = read(path_of(self._database))
            found = problems(status, time.time())
        except StatusUnreadable as error:
            status, found = None, [str(error)]
        return StatusEvent(status, not found, found)
