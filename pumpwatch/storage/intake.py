"""What stands between the feeds and the writer: the bounded queue with the spill file behind it, and backfill's small queue."""

from __future__ import annotations

import threading
import time
from collections import deque
from pathlib import Path

import msgspec
from loguru import logger

from pumpwatch.events import Delivery, GapOpened, Rejected
from pumpwatch.storage.spill import Spill
from pumpwatch.telemetry import redact, redact_bytes

#: The queue is bounded by memory too: a message of the chain is several kilobytes.
_MOST_QUEUED_BYTES = 8 * 1024 * 1024

#: Backfill's queue. What does not fit waits in the backfill thread, which waits for nobody else.
_MOST_BACKFILL = 1000
_MOST_BACKFILL_BYTES = 4 * 1024 * 1024

#: At most so many live deliveries wait: then backfill's may fill the batch. Else it has its share, so that it never starves.
_NEARLY_EMPTY = 100
_BACKFILL_SHARE = 10

#: How long a full queue is waited for before it spills. The feeds' sockets bear it; a second would cost them their pings.
_PATIENCE_SECONDS = 0.3

#: Written ahead, so that there is room when the disk is full.
_RESERVE_BYTES = 8 * 1024 * 1024

_decoder = msgspec.json.Decoder(Delivery)
_encoder = msgspec.json.Encoder()


class Intake:
    """
    The one way into the database: in order, bounded, and nothing in it is lost.

    Many threads put, one takes. What does not fit into the queue goes to the spill file, and then all does until the file is
    empty again, so that order is kept. A batch that was taken stays ours until :meth:`stored`: a kill costs what was in memory,
    never what was in the file.

    Backfill has a queue of its own, from which a batch takes what live trades leave room for, and a tenth at least: it delays
    nothing and never starves. It may be lost at a stop, as what it is for is a gap on record.
    """

    def __init__(self, spill_path: Path, *, queue_size: int, spill_bytes: int, now_us: int) -> None:
        self._queue: deque[Delivery] = deque()
        self._queued_bytes = 0
        self._queue_size = queue_size
        self._backfill: deque[Delivery] = deque()
        self._backfill_bytes = 0
        self._lock = threading.Lock()
        self._backfill_room_made = threading.Condition(self._lock)
        self._arrived = threading.Condition(self._lock)
        self._room_made = threading.Condition(self._lock)
        self._spill = Spill(spill_path, most_bytes=spill_bytes, reserve_bytes=_RESERVE_BYTES)
        self._spilling = self._spill.lines > 0
        #: When the last line that could be read was received: what cannot be read came later.
        self._readable_until_us = 0
        self._full = False
        self._closed = False
        self._taken_from_queue: list[Delivery] = []
        if self._spill.lines:
            logger.info("{} messages were left in {}: storing them first", self._spill.lines, spill_path.name)
        if self._spill.torn:
            detail = f"{len(self._spill.torn)} bytes of a message at the end of {spill_path.name}"
            gap = GapOpened(cause="spill torn", from_us=_last_change_us(spill_path, now_us), to_us=now_us, detail=detail)
            rejected = Rejected(kind="spill torn", reason="the process died while writing this line", raw=self._spill.torn)
            self._queue.append(Delivery(source="pumpwatch", received_at_us=now_us, events=(gap, rejected)))

    def put(self, delivery: Delivery) -> bool:
        """
        Take a delivery in. Return False if there is no room even on disk, or after the end: nothing was taken then.

        Waits a moment for a writer that is only slower (which slows the server down in turn), never for one that does not write.
        """
        with self._lock:
            if self._closed:
                return False
            if not (self._spilling or self._room_in_queue()):
                self._room_made.wait_for(self._room_in_queue, _PATIENCE_SECONDS)
            if not self._spilling and self._room_in_queue():
                if not self._queue:  # the one that takes waits for the first only
                    self._arrived.notify()
                self._queue.append(delivery)
                self._queued_bytes += len(delivery.raw)
                return True
            if not self._to_spill(delivery):
                return False
            self._arrived.notify()
            return True

    def put_backfill(self, delivery: Delivery, *, timeout_seconds: float) -> bool:
        """Take in what backfill fetched, or says. Waits for room; False if there was none in time, or after the end."""
        with self._lock:
            room = self._backfill_room_made.wait_for(lambda: self._closed or self._room_for_backfill(), timeout_seconds)
            if self._closed or not room:
                return False
            self._backfill.append(delivery)
            self._backfill_bytes += len(delivery.raw)
            self._arrived.notify()
            return True

    def room(self) -> bool:
        """Whether :meth:`put` can be called again after it returned False. Never after the end."""
        with self._lock:
            return not (self._full or self._closed)

    def take(self, most: int, *, timeout_seconds: float) -> list[Delivery]:
        """Return the oldest deliveries, waiting up to *timeout_seconds* for the first. Call :meth:`stored` when they are safe."""
        with self._lock:
            self._settle()
            if not self._queue and not self._spilling and not self._backfill:
                self._arrived.wait(timeout_seconds)
            if self._queue:
                batch = [self._queue.popleft() for _ in range(min(most, len(self._queue)))]
                self._queued_bytes -= sum(len(delivery.raw) for delivery in batch)
                self._taken_from_queue = batch
                self._room_made.notify_all()
            else:
                batch = self._deliveries(self._spill.read(most))
            return [*batch, *self._take_backfill(most - len(batch), most)]

    def _take_backfill(self, room: int, most: int) -> list[Delivery]:
        """Behind the live ones of the same batch: what judges a gap comes after what may close it."""
        if not self._backfill:
            return []
        share = max(1, most // _BACKFILL_SHARE)
        number = max(share, room) if len(self._queue) <= _NEARLY_EMPTY else share
        taken = [self._backfill.popleft() for _ in range(min(number, len(self._backfill)))]
        self._backfill_bytes -= sum(len(delivery.raw) for delivery in taken)
        self._backfill_room_made.notify_all()
        return taken

    def stored(self) -> None:
        """Tell that all that was taken is committed."""
        with self._lock:
            self._taken_from_queue = []
            self._settle()

    def keep(self) -> int:
        """
        Write everything that is only in memory to the spill: taken and not stored, and queued. For the end of the process. Not
        backfill's, which is fetched again.

        Returns:
            How many deliveries found no room: they are lost, and the caller must say so.

        """
        with self._lock:
            remaining = [*self._taken_from_queue, *self._queue]
            self._taken_from_queue = []
            self._queue.clear()
            self._queued_bytes = 0
            return sum(not self._to_spill(delivery) for delivery in remaining)

    @property
    def depth(self) -> int:
        """Deliveries waiting in memory."""
        return len(self._queue)

    @property
    def backfill_depth(self) -> int:
        """Deliveries of backfill waiting in memory."""
        return len(self._backfill)

    @property
    def spilled(self) -> int:
        """Deliveries waiting in the file."""
        return self._spill.lines

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits anywhere."""
        with self._lock:
            return not (self._queue or self._taken_from_queue or self._spilling or self._backfill)

    def close(self) -> None:
        """Close the file. What is in it is stored by the next process."""
        with self._lock:
            self._closed = True
            self._backfill_room_made.notify_all()
            self._spill.close()

    def _deliveries(self, lines: list[bytes]) -> list[Delivery]:
        """A line that cannot be read (written by another version, damaged) is set aside, never skipped silently."""
        read = [_read_line(line) for line in lines]
        batch = []
        for place, found in enumerate(read):
            delivery = found
            if isinstance(delivery, Rejected):
                later = (after.received_at_us for after in read[place + 1 :] if isinstance(after, Delivery))
                until_us = max(self._readable_until_us, next(later, time.time_ns() // 1000))
                detail = "an unreadable line in the spill file"
                gap = GapOpened(cause="spill torn", from_us=self._readable_until_us, to_us=until_us, detail=detail)
                delivery = Delivery(source="pumpwatch", received_at_us=until_us, events=(gap, delivery))
            else:
                self._readable_until_us = delivery.received_at_us
            batch.append(delivery)
        return batch

    def _room_for_backfill(self) -> bool:
        return len(self._backfill) < _MOST_BACKFILL and self._backfill_bytes < _MOST_BACKFILL_BYTES

    def _room_in_queue(self) -> bool:
        return len(self._queue) < self._queue_size and self._queued_bytes < _MOST_QUEUED_BYTES

    def _settle(self) -> None:
        """Go back to the queue when all that was spilled is stored. Nothing is taken and not stored when this is called."""
        if self._spilling and self._spill.is_read and not self._queue:
            self._spill.forget_read()
            self._spilling = self._full = False

    def _to_spill(self, delivery: Delivery) -> bool:
        if self._full:
            return False
        if not self._spilling:
            self._spilling = True
            logger.warning("the queue is full: messages go to the spill file until the database takes them again")
        if self._spill.append(_encoder.encode(_without_secrets(delivery))):
            return True
        self._full = True
        logger.error("the spill file is full: the feeds pause until the database takes what is in it")
        return False


def _without_secrets(delivery: Delivery) -> Delivery:
    """A server may tell us our own key. In the file it would be in base64, where nobody finds it any more."""
    raw = redact_bytes(delivery.raw)
    if raw is delivery.raw and not any(isinstance(event, Rejected) for event in delivery.events):
        return delivery
    events = tuple(
        msgspec.structs.replace(event, raw=redact_bytes(event.raw), reason=redact(event.reason))
        if isinstance(event, Rejected)
        else event
        for event in delivery.events
    )
    return msgspec.structs.replace(delivery, raw=raw, events=events)


def _read_line(line: bytes) -> Delivery | Rejected:
    try:
        return _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeError) as error:
        return Rejected(kind="spill line", reason=f"unreadable line in the spill file: {error}", raw=line)


def _last_change_us(path: Path, now_us: int) -> int:
    return min(path.stat().st_mtime_ns // 1000, now_us)
