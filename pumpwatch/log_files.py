"""A log file that is private, and rotates."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Final

from pumpwatch.files import make_private

_FILE_BYTES: Final = 10_000_000


class LogFile:
    """
    A log file that starts anew at 10 MB and keeps so many old ones. One that it makes is its user's alone (0600 on POSIX).

    A rename that fails (on Windows, when another program has the file open) is no reason to lose a line: the file grows on and
    the rename is tried again a megabyte later.
    """

    def __init__(self, path: Path, *, kept: int, most_bytes: int = _FILE_BYTES) -> None:
        self._path = path
        self._most_bytes = most_bytes
        self._kept = kept
        self._open()

    def _open(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(OSError):  # a pipe, or a file that only its owner may change: what is there is appended to
            make_private(self._path)
        self._file = self._path.open("a", encoding="utf-8", errors="backslashreplace", newline="\n")
        self._bytes = self._path.stat().st_size
        self._rotate_at = self._most_bytes

    def write(self, text: str) -> None:
        if self._file.closed:
            self._open()
        if self._bytes >= self._rotate_at:
            self._rotate()
        self._file.write(text)
        self._bytes += len(text.encode("utf-8", "backslashreplace"))

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()

    def _rotate(self) -> None:
        self._file.close()
        try:
            for age in range(self._kept - 1, 0, -1):
                older = self._numbered(age)
                if older.exists():
                    older.replace(self._numbered(age + 1))
            self._path.replace(self._numbered(1))
        except OSError:
            self._open()
            self._rotate_at = self._bytes + self._most_bytes // 10
        else:
            self._open()

    def _numbered(self, age: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{age}")
