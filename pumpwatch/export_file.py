"""A file that appears under its name when it is whole, and standard output as a stream of bytes."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from pumpwatch.errors import StopError
from pumpwatch.files import put_in_place
from pumpwatch.telemetry import visible


class NotExported(StopError):
    """Nothing was exported, and no file is left behind."""

    exit_status = 1


@contextlib.contextmanager
def whole_file(path: Path, *, overwrite: bool) -> Iterator[BinaryIO]:
    """
    A new file to write, beside *path*; it takes that name at the end, or goes away if there is an error or Ctrl-C.

    Raises:
        NotExported: *path* is there already and *overwrite* is not set, or it cannot be written (no room, no permission).

    """
    _check(path, overwrite=overwrite)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        _name(part, path, overwrite=overwrite)
    except OSError as error:
        raise NotExported(f"{_shown(path)} cannot be written ({error.strerror or error}): no file was left behind") from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def _check(path: Path, *, overwrite: bool) -> None:
    if path.exists() and not path.is_file():
        raise NotExported(f"{_shown(path)} is no file: name one, or write to standard output with --output -")
    if path.exists() and not overwrite:
        raise _exists(path)


def _exists(path: Path) -> NotExported:
    return NotExported(f"{_shown(path)} exists already: name another file, or replace it with --force")


def _name(part: Path, path: Path, *, overwrite: bool) -> None:
    try:
        put_in_place(part, path, replace=overwrite)
    except FileExistsError as error:
        raise _exists(path) from error


def _shown(path: Path) -> str:
    return visible(path, limit=300)


class _Whole(io.RawIOBase):
    """Every byte of a write, or an error; nothing is kept back that the end of the process would try to write again."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        left = memoryview(data).cast("B")
        while left:
            left = left[os.write(self._descriptor, left) :]
        return len(memoryview(data).cast("B"))


class _Text(io.RawIOBase):
    """Bytes for a stream of text that has none below it."""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        sys.stdout.write(bytes(data).decode())
        return len(data)


@contextlib.contextmanager
def standard_output() -> Iterator[BinaryIO]:
    """
    Standard output.

    Raises:
        NotExported: It cannot be written. BrokenPipeError: who reads it has enough.

    """
    try:
        sys.stdout.flush()
        yield cast("BinaryIO", _bytes_out())
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise NotExported(f"standard output cannot be written ({error.strerror or error})") from error


def _bytes_out() -> Any:
    if not sys.stdout.isatty():  # a console has its own encoding of bytes on some systems
        with contextlib.suppress(OSError, AttributeError):
            return _Whole(sys.stdout.fileno())
    return getattr(sys.stdout, "buffer", None) or _Text()
