"""Files of ours: private where the system knows that, and under their name only when they are whole."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeVar

_R = TypeVar("_R")

_PRIVATE: Final = 0o600
_NOT_FOR_OTHERS: Final = 0o077

#: On Windows a file cannot be replaced while someone reads it, nor be read while it is replaced. Both take milliseconds.
_ATTEMPTS: Final = 10
_ATTEMPT_SECONDS: Final = 0.02


@contextlib.contextmanager
def private_files() -> Iterator[None]:
    """What this process makes from here on is its user's alone (POSIX; elsewhere the folder decides)."""
    if os.name == "nt":
        yield
        return
    before = os.umask(_NOT_FOR_OTHERS)
    try:
        yield
    finally:
        os.umask(before)


def make_private(path: Path) -> None:
    """
    Make an empty file that only its owner may read. One that is there is left as it is.

    Raises:
        OSError: It cannot be made.

    """
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE))


def others_may_read(path: Path) -> bool:
    """Whether the file's mode gives anything to its group or to everybody; False where there are no modes."""
    return os.name != "nt" and bool(path.stat().st_mode & _NOT_FOR_OTHERS)


def replace_file(part: Path, path: Path, *, sleep: Callable[[float], None] = time.sleep) -> None:
    """
    Give *part* the name *path*, over what has it now. Waits a moment for whoever reads that.

    Raises:
        OSError: It cannot be done.

    """
    _patiently(part.replace, path, sleep=sleep)


def read_file(path: Path) -> bytes:
    """
    The content. Waits a moment for whoever replaces it.

    Raises:
        OSError: It cannot be read.

    """
    return _patiently(path.read_bytes, sleep=time.sleep)


def _patiently(act: Callable[..., _R], *arguments: object, sleep: Callable[[float], None]) -> _R:
    for _ in range(_ATTEMPTS - 1):
        try:
            return act(*arguments)
        except PermissionError:
            sleep(_ATTEMPT_SECONDS)
    return act(*arguments)


def put_in_place(part: Path, path: Path, *, replace: bool) -> None:
    """
    Give *part* the name *path*.

    Raises:
        FileExistsError: There is such a file, and it is not to be replaced.
        OSError: It cannot be done.

    """
    if replace:
        replace_file(part, path)
        return
    try:
        os.link(part, path)  # unlike a rename, it replaces nothing
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        if path.exists():
            raise FileExistsError(path) from None
        replace_file(part, path)
    else:
        part.unlink(missing_ok=True)


def make_durable(path: Path) -> None:
    """
    Wait until what was written to *path* is on the disk.

    Raises:
        OSError: The disk failed.

    """
    with path.open("r+b") as file:
        os.fsync(file.fileno())


def file_identity(path: Path) -> tuple[int, int] | None:
    """Which file is at *path* now: another one in its place has another. None: there is none, or it may not be looked at."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def size_of(path: Path) -> int:
    """Bytes of the file; 0 if there is none."""
    with contextlib.suppress(OSError):
        return path.stat().st_size
    return 0


def free_bytes(path: Path) -> int | None:
    """Room on the disk where *path* is or will be; None: unknown."""
    with contextlib.suppress(OSError, StopIteration):
        return shutil.disk_usage(next(folder for folder in path.absolute().parents if folder.exists())).free
    return None


def gigabytes(size_bytes: float) -> str:
    """``2.46 GB``, ``57 MB``, ``812 kB``: 10^9, 10^6, 10^3 bytes."""
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size_bytes >= size:
            number = size_bytes / size
            return f"{number:.0f} {unit}" if number >= 100 else f"{number:.3g} {unit}"
    return f"{size_bytes:.0f} bytes"
