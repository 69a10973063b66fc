"""
Recorded sessions: what the feeds' servers sent, message by message, one JSON line each, plain or packed (gzip).

Ours (``run --record``): ``{"at_us": 1783165101632449, "feed": "helius", "text": "..."}``, where a message that is no UTF-8 text
has ``"base64"`` in place of ``"text"``, and ``"binary": true`` if it came as a binary one. Between them stands what the recorder
knew and no message tells: ``{"at_us": ..., "feed": "helius", "pools": [...]}``, whose events can be read from then on; and
``{"at_us": ..., "left_out": 3}``, messages that found no room.

Also read, of other recorders: ``{"t_wall": seconds, "raw": text}`` and ``{"t_ms": since the start, "dir": "in", "data": JSON}``.
"""

from __future__ import annotations

import contextlib
import gzip
import re
import zlib
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final, Literal, TypeAlias, cast, get_args

import msgspec

from pumpwatch.errors import DecodeError
from pumpwatch.events import PoolSeen

FeedName: TypeAlias = Literal["pumpportal", "helius"]
FEEDS: Final[tuple[FeedName, ...]] = get_args(FeedName)

#: A line that is longer is no message of ours.
LONGEST_LINE_BYTES: Final = 64 * 1024 * 1024

#: What a packed file begins with.
_GZIP: Final = b"\x1f\x8b"
_DATE: Final = re.compile(r"(20\d\d)-(\d\d)-(\d\d)")


class Message(msgspec.Struct, frozen=True, gc=False):
    """
    One message of a session.

    Attributes:
        at_us: When it was received, in unix microseconds.
        feed: Whose it is; None: the file does not say.
        raw: Its exact bytes.
        pools: It is none: these pools were known from then on.
    """

    at_us: int
    feed: FeedName | None
    raw: bytes
    is_binary: bool = False
    pools: tuple[PoolSeen, ...] = ()


class _Ours(msgspec.Struct, gc=False, kw_only=True, omit_defaults=True):
    at_us: int
    feed: FeedName
    text: str | None = None
    base64: str | None = None
    binary: bool = False
    pools: tuple[PoolSeen, ...] = ()


class _Line(msgspec.Struct, gc=False):
    """All fields of all formats."""

    at_us: int | None = None
    feed: str | None = None
    text: str | None = None
    base64: str | None = None
    binary: bool = False
    pools: tuple[PoolSeen, ...] = ()
    left_out: int | None = None
    t_wall: float | None = None
    raw: str | None = None
    t_ms: float | None = None
    dir: str | None = None
    data: msgspec.Raw = msgspec.Raw()


_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(_Line)


def line_of(message: Message) -> bytes:
    """*message*, which has a feed, as a line of our format, with its end."""
    assert message.feed is not None
    line = _Ours(at_us=message.at_us, feed=message.feed, binary=message.is_binary, pools=message.pools)
    if message.pools:
        return _encoder.encode(line) + b"\n"
    with contextlib.suppress(UnicodeDecodeError):
        line.text = None if message.is_binary else message.raw.decode()
    if line.text is None:
        line.base64 = b64encode(message.raw).decode()
    return _encoder.encode(line) + b"\n"


def left_out_line(at_us: int, count: int) -> bytes:
    """A line that says that *count* messages before *at_us* found no room in the recording."""
    return _encoder.encode({"at_us": at_us, "left_out": count}) + b"\n"


def parse_line(line: bytes, *, began_us: int = 0) -> Message | None:
    """
    The message of one line; None for a line of what was sent, not received.

    Args:
        began_us: When the session began, for lines that count from there.

    Raises:
        DecodeError: It is none.

    """
    try:
        found = _decoder.decode(line)
        return _message(found, began_us)
    except (msgspec.DecodeError, UnicodeError, ValueError, RecursionError) as error:
        raise DecodeError(str(error) or type(error).__name__) from error


def _message(line: _Line, began_us: int) -> Message | None:
    if line.left_out is not None:
        raise DecodeError(f"{line.left_out} messages before it found no room when it was recorded")
    if line.at_us is not None and line.pools:
        return Message(_checked(line.at_us), "helius", b"", pools=line.pools)
    if line.at_us is not None:
        if line.feed not in FEEDS or (line.text is None) == (line.base64 is None):
            raise DecodeError("at_us needs a feed (pumpportal, helius), and text or base64")
        raw = b64decode(line.base64 or "", validate=True) if line.text is None else line.text.encode()
        return Message(_checked(line.at_us), line.feed, raw, line.binary)
    if line.t_wall is not None and line.raw is not None:
        return Message(_checked(line.t_wall * 1_000_000), None, line.raw.encode())
    if line.t_ms is not None and bytes(line.data):
        return Message(_checked(began_us + line.t_ms * 1000), None, bytes(line.data)) if line.dir in (None, "in") else None
    raise DecodeError("none of the fields of a recorded message: at_us and text, t_wall and raw, t_ms and data")


def _checked(time_us: float) -> int:
    if not 0 <= time_us < 2**53:  # the year 2255
        raise DecodeError("its time is none")
    return round(time_us)


@dataclass(frozen=True, slots=True)
class Problem:
    """
    What could not be read.

    Attributes:
        line: Its number, from 1.
        is_end: Nothing behind it can be read either.
    """

    path: Path
    line: int
    reason: str
    is_end: bool = False


class Lines:
    """
    The lines of a file, plain or packed, with their numbers. A context manager.

    A packed file that was cut off, by a kill say, is read as far as it goes; *told* hears of that.
    """

    def __init__(self, path: Path, told: Callable[[Problem], None]) -> None:
        self._path = path
        self._told = told
        self._file = path.open("rb")
        is_packed = self._file.read(len(_GZIP)) == _GZIP
        self._file.seek(0)
        self._lines: IO[bytes] = cast("IO[bytes]", gzip.GzipFile(fileobj=self._file)) if is_packed else self._file

    @property
    def bytes_read(self) -> int:
        """How far we are in the file, packed as it is."""
        return 0 if self._file.closed else self._file.tell()

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        number = 0
        while True:
            number += 1
            try:
                line = self._lines.readline(LONGEST_LINE_BYTES)
            except EOFError:
                self._told(Problem(self._path, number, "the file was cut off here", is_end=True))
                return
            except (OSError, zlib.error) as error:
                self._told(Problem(self._path, number, f"the rest of the file cannot be read ({error})", is_end=True))
                return
            if not line:
                return
            if line.strip():
                yield number, line

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()
        self._file.close()


def began_us(path: Path) -> int:
    """When a session began whose lines only count from there: the day in the file's name, else 1970, so that it never changes."""
    found = _DATE.search(path.name)
    try:
        day = datetime(*map(int, found.groups()), tzinfo=UTC) if found else None  # type: ignore[arg-type,misc] # three numbers
    except ValueError:
        day = None
    return 0 if day is None else int(day.timestamp()) * 1_000_000


def feed_of(raw: bytes) -> FeedName | None:
    """Whose message it is, by its content; None: of neither."""
    try:
        fields: Any = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    if not isinstance(fields, dict):
        return None
    if "jsonrpc" in fields:
        return "helius"
    return "pumpportal" if fields.keys() & {"txType", "message", "errors"} else None
