"""Logging, the rendering of hostile text, the redaction of secrets, and counters."""

from __future__ import annotations

import logging
import os
import stat
import sys
import threading
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol

import msgspec
from loguru import logger

from pumpwatch.log_files import LogFile
from pumpwatch.redaction import Redactor

if TYPE_CHECKING:
    import loguru

_LONGEST_LINE = 4000

#: Letters and symbols that show nothing, beyond those that Unicode classes as control or format.
_BLANK_LETTERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
_MOST_MARKS_IN_A_ROW = 2


_redactor = Redactor()


def redact(text: str) -> str:
    """*text* without the secrets that :func:`set_up_logging` was given."""
    return _redactor.redact(text)


def redact_bytes(raw: bytes) -> bytes:
    """*raw* without the secrets that :func:`set_up_logging` was given; the same object where there is none."""
    return _redactor.redact_bytes(raw)


def visible(text: object, *, limit: int = 80) -> str:
    """
    *text* as a terminal or a log may show it: one line, at most *limit* characters, every invisible character spelled out.

    Control, format (zero-width, bidi), private and unassigned characters, blanks other than the space, and piled-up accents
    become their Python escapes. Secrets are taken out before the cut, which could leave half of one.
    """
    plain = redact(str(text))
    shown = plain if plain.isascii() and plain.isprintable() else _spelled_out(plain[: limit + 1])
    return shown if len(shown) <= limit else f"{shown[: limit - 1]}…"


def _spelled_out(text: str) -> str:
    pieces = []
    marks = 0
    for character in text:
        category = unicodedata.category(character)
        marks = marks + 1 if category[0] == "M" else 0
        is_invisible = category[0] in "CZ" and character != " "
        if is_invisible or marks > _MOST_MARKS_IN_A_ROW or character in _BLANK_LETTERS:
            pieces.append(character.encode("unicode_escape").decode("ascii"))
        else:
            pieces.append(character)
    return "".join(pieces)


class Counters:
    """Named numbers that any thread may add to."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def add(self, name: str, n: int = 1) -> None:
        with self._lock:
            self._counts[name] += n

    def add_all(self, counts: Mapping[str, int]) -> None:
        with self._lock:
            self._counts.update(counts)

    def snapshot(self) -> dict[str, int]:
        """All numbers at one moment."""
        with self._lock:
            return dict(self._counts)


class _Writable(Protocol):
    def write(self, text: str, /) -> object: ...
    def flush(self) -> object: ...


class LogSink:
    """
    Where loguru's records go: rendered, redacted, one line for the message, and never an error for the caller.

    A sink that fails (full disk, closed terminal) must neither stop the program nor fill the other one: failures are counted.
    """

    def __init__(self, stream: _Writable, render: Callable[[loguru.Message], str] | None = None) -> None:
        self._stream = stream
        self._render = render or rendered
        self.failures = 0

    def write(self, message: loguru.Message) -> None:
        try:
            self._stream.write(self._render(message))
            self._stream.flush()
        except Exception:  # noqa: BLE001 - loguru would print the record with its secrets, or raise into the caller
            self.failures += 1

    def stop(self) -> None:
        """Called by loguru when the sink is removed."""
        if isinstance(self._stream, LogFile):
            self._stream.close()


def rendered(message: loguru.Message) -> str:
    """
    One record as text. A traceback follows on lines that begin with a bar.

    So no text in it can pass for a line of the log. The format of the handler gives *message* the traceback alone.
    """
    record = message.record
    time = record["time"].astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    lines = [f"{time}Z {record['level'].name:<8} {visible(record['message'], limit=_LONGEST_LINE)}"]
    lines += [f"    | {visible(line, limit=_LONGEST_LINE)}" for line in str(message).splitlines() if line.strip()]
    return "\n".join(lines) + "\n"


def rendered_as_json(message: loguru.Message) -> str:
    """
    One record as a JSON object on a line: ``time`` (RFC 3339, UTC), ``level``, ``thread``, ``where`` (module:line), ``message``.

    And ``exception``, the lines of a traceback, where there is one. Texts are as visible and as free of secrets as elsewhere.
    """
    record = message.record
    time = record["time"].astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    told: dict[str, str | list[str]] = {
        "time": time,
        "level": record["level"].name,
        "thread": visible(record["thread"].name),
        "where": visible(f"{record['name']}:{record['line']}", limit=200),
        "message": visible(record["message"], limit=_LONGEST_LINE),
    }
    if lines := [visible(line, limit=_LONGEST_LINE) for line in str(message).splitlines() if line.strip()]:
        told["exception"] = lines
    return msgspec.json.encode(told).decode() + "\n"


class _StandardLogging(logging.Handler):
    """Pass on what libraries say through the standard library's logging."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and isinstance(record.exc_info[1], KeyboardInterrupt):
            return  # Ctrl-C is no trouble of the library in whose lines it came: who raised it tells what it ends
        try:
            level: str | int = logger.level(record.levelname).name
        except ValueError:
            level = record.levelno

        def name(ours: loguru.Record) -> None:
            ours["name"], ours["line"] = record.name, record.lineno

        logger.patch(name).opt(exception=record.exc_info).log(level, "{}: {}", record.name, record.getMessage())


def set_up_logging(
    *, level: str, log_file: Path | None, secrets: Iterable[str], log_files: int = 1, as_json: bool = False
) -> None:
    """
    Send all logs to standard error and *log_file*, without *secrets*. Called again it replaces what it set up before.

    Args:
        log_file: Where standard error is a file too, that gets warnings and worse alone.
        log_files: How many old ones are kept beside it.
        as_json: *log_file* gets an object a line; standard error, which people read, gets text anyway.

    Raises:
        OSError: The log file cannot be opened.

    """
    global _redactor  # one process has one set of secrets, and any module may render text
    _redactor = Redactor(secrets)
    sinks: list[tuple[LogSink, str]] = []
    if sys.stderr is not None:  # a windowed Python has none
        # Where cron puts it into a file, that grows for ever: all is in the one that is kept short.
        is_twice = log_file is not None and _is_file(sys.stderr) and logger.level(level).no < logger.level("WARNING").no
        sinks.append((LogSink(sys.stderr), "WARNING" if is_twice else level))
    if log_file is not None:
        sinks.append((LogSink(LogFile(log_file, kept=log_files), rendered_as_json if as_json else rendered), level))
    logger.remove()
    for sink, least in sinks:
        # diagnose would print the variables of every frame, keys among them; the sink never raises, so nothing is to be caught.
        logger.add(sink, level=least, format=_traceback_alone, colorize=False, diagnose=False, backtrace=False, catch=False)
    _take_standard_logging()


def _is_file(stream: IO[str]) -> bool:
    """Whether it is an ordinary file, and no terminal, pipe or journal."""
    try:
        return stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    except (OSError, ValueError, AttributeError):
        return False


def _traceback_alone(_record: loguru.Record) -> str:
    return "{exception}"


def _take_standard_logging() -> None:
    root = logging.getLogger()
    root.handlers = [handler for handler in root.handlers if not isinstance(handler, _StandardLogging)] + [_StandardLogging()]
    for name in ("websocket", "websockets", "urllib3", "sqlalchemy"):
        logging.getLogger(name).setLevel(logging.WARNING)  # below it they write URLs and every message
