"""
How another process asks the running worker for something: one JSON file in ``<database>.commands/``, the answer beside it.

The asker writes ``<id>.json`` aside and renames it; the worker applies it, writes ``<id>.answer.json`` the same way and removes
the request. Nobody but the worker writes to the database. Files that are no requests are set aside, never obeyed, never fatal.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import stat
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec
from loguru import logger

from pumpwatch.errors import TransientError
from pumpwatch.files import replace_file
from pumpwatch.storage.lock import beside
from pumpwatch.telemetry import visible

#: A request or answer older than this has nobody waiting for it.
STALE_SECONDS: Final = 60.0

#: At most so many requests in one look, so many directory entries in one look, and so many bytes of a request.
_MOST_REQUESTS: Final = 20
_MOST_ENTRIES: Final = 1000
_MOST_BYTES: Final = 64 * 1024

#: So many files that were set aside are kept to be looked at.
_KEPT_BAD_FILES: Final = 20

#: An applied request whose file cannot be removed (Windows, while somebody reads it) is remembered, and not applied twice.
_REMEMBERED: Final = 1000

_REQUEST_NAME: Final = re.compile(r"[0-9a-f]{16}\.json")
_POLL_SECONDS: Final = 0.05


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """
    What is asked.

    Attributes:
        command: ``watch add``, ``watch remove``, ...
        asked_at: Unix time in seconds.
    """

    id: str
    command: str
    asked_at: float
    arguments: dict[str, str] = {}


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it. *text* is one sentence for a person; *ok* False: it was not done."""

    ok: bool
    text: str


def directory_of(database: Path) -> Path:
    """``pumpwatch.db`` -> ``pumpwatch.db.commands``."""
    return beside(database, "commands")


class CommandBox:
    """
    The worker's end. One thread calls :meth:`serve` a few times a second.

    Args:
        handlers: What each command does. A handler answers and does not raise.
        clock: Unix time in seconds.

    """

    def __init__(
        self, directory: Path, *, handlers: Mapping[str, Callable[[Request], Answer]], clock: Callable[[], float] = time.time
    ) -> None:
        self._directory = directory
        self._handlers = dict(handlers)
        self._clock = clock
        self._applied: OrderedDict[str, None] = OrderedDict()

    def serve(self) -> int:
        """Apply the requests that are there, clean up what is stale, and return how many were applied."""
        applied = 0
        for path in self._entries():
            if path.suffix == ".bad":
                continue
            if path.name.endswith(".answer.json") or path.suffix == ".part":
                self._remove_if_stale(path)
            elif path.stem in self._applied:
                _remove(path)
            else:
                applied += self._serve_file(path)
        return applied

    def _serve_file(self, path: Path) -> int:
        try:
            request = _read_request(path)
        except FileNotFoundError:
            return 0  # withdrawn by its asker
        except OSError as error:
            logger.warning("commands: {} cannot be read now: {}", path.name, error.strerror)
            return 0
        except ValueError as error:
            self._set_aside(path, str(error))
            return 0
        if abs(self._clock() - request.asked_at) > STALE_SECONDS:
            logger.warning("commands: {} was asked too long ago and is not applied", visible(request.command))
            _remove(path)
            return 0
        handler = self._handlers.get(request.command)
        answer = (
            handler(request)
            if handler
            else Answer(ok=False, text=f"the running worker knows no command {visible(request.command)}")
        )
        self._applied[request.id] = None
        if len(self._applied) > _REMEMBERED:
            self._applied.popitem(last=False)
        try:
            _write(self._directory / f"{request.id}.answer.json", msgspec.json.encode(answer))
        except OSError as error:
            logger.warning(
                "commands: {} was applied, but the answer cannot be written: {}", visible(request.command), error.strerror
            )
        _remove(path)
        return 1

    def _entries(self) -> list[Path]:
        """Oldest name first is not oldest asked first, but requests that wait for each other are asked one after the other."""
        try:
            with os.scandir(self._directory) as entries:
                names = sorted(entry.name for entry, _ in zip(entries, range(_MOST_ENTRIES), strict=False))
        except OSError:
            return []  # nobody has asked anything yet
        requests = [name for name in names if _REQUEST_NAME.fullmatch(name)]
        late = set(requests[_MOST_REQUESTS:])
        return [self._directory / name for name in names if name not in late]

    def _remove_if_stale(self, path: Path) -> None:
        with contextlib.suppress(OSError):
            if abs(self._clock() - path.lstat().st_mtime) > STALE_SECONDS:
                path.unlink()

    def _set_aside(self, path: Path, reason: str) -> None:
        logger.warning("commands: {} is no request ({}): set aside", visible(path.name), visible(reason))
        try:
            replace_file(path, path.with_name(f"{secrets.token_hex(8)}.bad"))
        except OSError:
            _remove(path)
        with contextlib.suppress(OSError):
            bad = sorted(self._directory.glob("*.bad"), key=lambda found: found.lstat().st_mtime)
            for old in bad[:-_KEPT_BAD_FILES]:
                _remove(old)


def ask(
    directory: Path,
    command: str,
    arguments: Mapping[str, str],
    *,
    timeout_seconds: float = 5.0,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> Answer:
    """
    Ask the running worker, and wait for its answer.

    Raises:
        TransientError: No answer in time, or the directory cannot be written. The request is withdrawn.

    """
    request = Request(id=secrets.token_hex(8), command=command, asked_at=clock(), arguments=dict(arguments))
    path = directory / f"{request.id}.json"
    answered = directory / f"{request.id}.answer.json"
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
        _write(path, msgspec.json.encode(request))
    except OSError as error:
        raise TransientError(f"the worker cannot be asked: {directory} cannot be written ({error.strerror})") from error
    for _ in _polls(timeout_seconds, sleep):
        try:
            raw = answered.read_bytes()
        except OSError:  # not there yet, or being put there (Windows)
            continue
        _remove(answered)
        return msgspec.json.decode(raw, type=Answer)
    _remove(path)
    raise TransientError(
        f"the worker did not answer within {timeout_seconds:g} s, and the request is withdrawn: "
        "look at `python -m pumpwatch status`, and try again"
    )


def _polls(timeout_seconds: float, sleep: Callable[[float], None]) -> Iterator[None]:
    for _ in range(max(1, round(timeout_seconds / _POLL_SECONDS))):
        sleep(_POLL_SECONDS)
        yield


def _read_request(path: Path) -> Request:
    """
    Read one request file.

    Raises:
        ValueError: It is not one.
        OSError: It is gone, or cannot be read now.

    """
    status = path.lstat()
    if not _REQUEST_NAME.fullmatch(path.name):
        raise ValueError("not a request's name")
    if not stat.S_ISREG(status.st_mode) or status.st_size > _MOST_BYTES:
        raise ValueError("not a small regular file")  # reading a pipe would wait for ever
    request = msgspec.json.decode(path.read_bytes(), type=Request)  # its errors are ValueErrors
    if request.id != path.stem:
        raise ValueError("another id than its name says")
    return request


def _write(path: Path, raw: bytes) -> None:
    """Write aside, then rename: whoever sees the name sees all of it."""
    part = path.with_suffix(".part")
    part.write_bytes(raw)
    replace_file(part, path)


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()
