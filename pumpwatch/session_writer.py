"""
``run --record DIR``: every message of the feeds, as it was received, into packed files that rotate.

Beside the path of the trades, never in it: a feed leaves a message here and goes on. What finds no room, on a slow disk, is
counted and said; a disk that takes no more ends the recording of messages, and nothing else.
"""

from __future__ import annotations

import contextlib
import gzip
import re
import threading
import time
import zlib
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote

from loguru import logger

from pumpwatch.events import PoolSeen
from pumpwatch.sessions import FeedName, Message, left_out_line, line_of
from pumpwatch.threads import WorkerThread

#: A file ends at either. What bounds all together takes whole files out: one is an eighth of it at most.
_FILE_BYTES: Final = 64 * 1024 * 1024
_FILE_SECONDS: Final = 3600.0
_SHARE_OF_FILE: Final = 8

#: What waits in memory for the disk.
_BUFFER_BYTES: Final = 32 * 1024 * 1024

#: A kill costs at most what came since the last flush.
_FLUSH_SECONDS: Final = 1.0
_TURN_SECONDS: Final = 0.2
_WORD_SECONDS: Final = 60.0

#: Beyond it, files get smaller by little and cost much more.
_LEVEL: Final = 4

#: Of which a file says that they are known; the oldest go first.
_MOST_POOLS: Final = 10_000

_NAME: Final = re.compile(r"session_\d{8}T\d{6}Z(-\d+)?\.jsonl\.gz")
_HIDDEN: Final = b"[hidden]"


class Recording(NamedTuple):
    """
    Where raw messages go.

    Attributes:
        megabytes: Of all sessions in the folder (MiB); the oldest go first.
    """

    folder: Path
    megabytes: int


class SessionWriter(WorkerThread):
    """
    Writes sessions. :meth:`keep` may be called from any thread.

    Args:
        secrets: Taken out of messages, should a server ever repeat one.

    Attributes:
        written: Messages in the files.
        left_out: Messages that found no room.
    """

    def __init__(
        self,
        recording: Recording,
        *,
        secrets: Iterable[str] = (),
        file_bytes: int = _FILE_BYTES,
        file_seconds: float = _FILE_SECONDS,
        buffer_bytes: int = _BUFFER_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__("session writer")
        self._folder = recording.folder
        self._secrets = tuple({spelled.encode() for secret in secrets for spelled in (secret, quote(secret, safe=""))})
        self._most_bytes = recording.megabytes * 1024 * 1024
        self._file_bytes = min(file_bytes, self._most_bytes // _SHARE_OF_FILE)
        self._file_seconds = file_seconds
        self._buffer_bytes = buffer_bytes
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: list[Message] = []
        self._waiting_bytes = 0
        #: Known ones: each file begins with them.
        self._pools: dict[str, PoolSeen] = {}
        self._news: list[PoolSeen] = []
        self._file: _SessionFile | None = None
        self._newest: Path | None = None
        self._began = 0.0
        self._flush_at = 0.0
        self._word_at = 0.0
        self._has_ended = False
        self._is_paused = False
        self._said_left_out = self._noted_left_out = 0
        self.written = 0
        self.left_out = 0

    def keep(self, feed: FeedName, raw: bytes, is_binary: bool, at_us: int) -> None:  # noqa: FBT001 - positional for speed
        """Have this message written soon. Never waits for the disk, never raises."""
        with self._lock:
            if self._has_ended or self._is_paused or self._waiting_bytes + len(raw) > self._buffer_bytes:
                self.left_out += 1
                return
            self._waiting.append(Message(at_us, feed, raw, is_binary))
            self._waiting_bytes += len(raw)

    def pause(self, is_paused: bool) -> None:  # noqa: FBT001 - a switch
        """Leave out what comes from now on, or take it again: the files say how much that was. From any thread."""
        with self._lock:
            self._is_paused = is_paused
            self._said_left_out = self.left_out

    def know_pools(self, pools: Iterable[PoolSeen]) -> None:
        """From now on the feed can read the events of these: so must who replays them. From any thread."""
        with self._lock:
            for pool in pools:
                if self._pools.get(pool.pool) != pool:
                    self._pools[pool.pool] = pool
                    self._news.append(pool)
            while len(self._pools) > _MOST_POOLS:
                del self._pools[next(iter(self._pools))]
            del self._news[:-_MOST_POOLS]

    def work(self) -> None:
        try:
            while not self.stopping.wait(_TURN_SECONDS):
                self.turn()
            self.turn()
        finally:
            self._end()
            logger.info("raw messages: {} recorded in {}, {} left out", self.written, self._folder, self.left_out)

    def turn(self) -> None:
        """Write what has come, end a file that is full, flush once a second."""
        if self._has_ended:
            return
        with self._lock:
            waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
            news, self._news = tuple(self._news), []
        try:
            self._write(waiting, news)
        except OSError as error:
            with self._lock:
                self.left_out += len(waiting)  # how many of them are whole in the file is not known
            logger.error(
                "raw messages are recorded no longer: {} takes no more ({}); trades go on. Make room, start again",
                self._folder,
                error.strerror or error,
            )
            self._end()
        self._say_left_out()

    def _write(self, messages: list[Message], news: tuple[PoolSeen, ...]) -> None:
        now = self._clock()
        if news and self._file is not None:  # a new file begins with all of them
            self._file.write(line_of(Message(_before(messages), "helius", b"", pools=news)))
        for message in messages:
            file = self._open_file(now, message.at_us)
            if self.left_out > self._noted_left_out:
                file.write(left_out_line(message.at_us, self.left_out - self._noted_left_out))
                self._noted_left_out = self.left_out
            file.write(line_of(self._without_secrets(message)))
        self.written += len(messages)
        if self._file is not None and (now >= self._flush_at or self.stopping.is_set()):
            self._flush_at = now + _FLUSH_SECONDS
            self._file.flush()
        if self._file is not None and now - self._began >= self._file_seconds:
            self._close()

    def _open_file(self, now: float, at_us: int) -> _SessionFile:
        if self._file is not None and self._file.size_bytes >= self._file_bytes:
            self._close()
        if self._file is None:
            self._began = now
            self._file = _SessionFile(self._folder, after=self._newest)
            self._newest = self._file.path
            self._take_oldest_out()
            with self._lock:
                pools = tuple(self._pools.values())
            if pools:
                self._file.write(line_of(Message(at_us, "helius", b"", pools=pools)))
        return self._file

    def _take_oldest_out(self) -> None:
        """Keep all sessions, with the one that begins now, within the bound."""
        found = [path for path in self._folder.iterdir() if _NAME.fullmatch(path.name) and path != self._newest]
        sizes = {}
        for path in found:
            with contextlib.suppress(OSError):
                sizes[path] = path.stat().st_size
        # Twice a file: it ends behind the message that fills it, and what is not flushed is not seen in its size.
        total = sum(sizes.values()) + 2 * self._file_bytes
        for path in sorted(sizes, key=_age):
            if total <= self._most_bytes:
                return
            with contextlib.suppress(OSError):
                path.unlink()
                total -= sizes[path]
                logger.info("the oldest session {} is taken out: all together are kept below {} bytes", path, self._most_bytes)

    def _without_secrets(self, message: Message) -> Message:
        raw = message.raw
        for secret in self._secrets:
            if secret in raw:
                raw = raw.replace(secret, _HIDDEN)
        return message if raw is message.raw else Message(message.at_us, message.feed, raw, message.is_binary)

    def _say_left_out(self) -> None:
        now = self._clock()
        if self.left_out > self._said_left_out and now >= self._word_at and not (self._has_ended or self._is_paused):
            self._word_at = now + _WORD_SECONDS
            self._said_left_out = self.left_out
            logger.warning("the disk is too slow: {} raw messages in all found no room and are not recorded", self.left_out)

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _end(self) -> None:
        with self._lock:
            self._has_ended = True
            self.left_out += len(self._waiting)
            self._waiting = []
        with contextlib.suppress(OSError):
            self._close()


def _before(messages: list[Message]) -> int:
    """A time before all *messages*: now, if there are none."""
    return min((message.at_us for message in messages), default=time.time_ns() // 1000)


class _SessionFile:
    """One new file, named by the time in UTC, and numbered after the one of the same second, which may be taken out already."""

    def __init__(self, folder: Path, *, after: Path | None) -> None:
        stem = datetime.now(tz=UTC).strftime("session_%Y%m%dT%H%M%SZ")
        newest, number = ("", 0) if after is None else _age(after)
        number = number + 1 if newest == stem else 1
        while True:
            self.path = folder / (f"{stem}.jsonl.gz" if number == 1 else f"{stem}-{number}.jsonl.gz")
            try:
                self._file = self.path.open("xb")
                break
            except FileExistsError:
                number += 1
        self._packed = gzip.GzipFile(filename="", mode="wb", compresslevel=_LEVEL, fileobj=self._file)

    @property
    def size_bytes(self) -> int:
        """Packed, without what is not flushed."""
        return self._file.tell()

    def write(self, line: bytes) -> None:
        self._packed.write(line)

    def flush(self) -> None:
        """From here on it can be read up to here, whatever happens."""
        self._packed.flush(zlib.Z_SYNC_FLUSH)
        self._file.flush()

    def close(self) -> None:
        try:
            self._packed.close()
        finally:
            self._file.close()


def _age(path: Path) -> tuple[str, int]:
    """The order of their making: ``...Z-2`` after ``...Z``, and before ``...Z-10``."""
    stem, _, number = path.name.removesuffix(".jsonl.gz").partition("-")
    return stem, int(number or 1)
