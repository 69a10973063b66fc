"""
The file beside the database that takes what the queue cannot: one delivery a line, JSON, in order.

Its first part is written ahead with zeros, so that there is room for trades even when the disk is full. A zero byte ends what was
written; a last line without its line break was being written when the process died.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from pumpwatch.errors import DatabaseError

_CHUNK_BYTES = 1024 * 1024
_END = b"\0"


class Spill:
    """
    A bounded first-in, first-out file of lines. Not thread-safe: :class:`~pumpwatch.storage.intake.Intake` guards it.

    Raises:
        DatabaseError: The file cannot be made, or what is in it cannot be read.

    Attributes:
        lines: Lines that are not forgotten yet.
        torn: What the file ended with after its last whole line, when it was opened.
    """

    def __init__(self, path: Path, *, most_bytes: int, reserve_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._reserve_bytes = min(reserve_bytes, most_bytes)
        self._read_at = 0
        try:
            path.touch(exist_ok=True)
            self._file = path.open("r+b", buffering=0)
            self.lines, self._write_at, self.torn = self._find_end()
        except OSError as error:
            raise DatabaseError(
                f"{path} cannot be opened ({error.strerror}): it must be a file that pumpwatch can write, or not be there; what "
                "a file of that name holds is not in the database yet"
            ) from error
        self._unread = self.lines
        if not self.lines:
            self._reserve()

    def append(self, line: bytes) -> bool:
        """Write one *line* (without line break). Return False, and write nothing that counts, if there is no room for it."""
        data = line + b"\n" + _END
        if self._write_at + len(data) > self._most_bytes:
            return False
        try:
            self._file.seek(self._write_at)
            written = self._file.write(data)
        except OSError:
            written = 0
        if written != len(data):
            self._end_here()
            return False
        self._write_at += len(data) - 1
        self.lines += 1
        self._unread += 1
        return True

    def read(self, most: int) -> list[bytes]:
        """Return the next lines, at most *most*. They stay in the file until :meth:`forget_read`."""
        lines: list[bytes] = []
        rest = b""
        self._file.seek(self._read_at)
        while self._unread and len(lines) < most:
            chunk = self._file.read(min(_CHUNK_BYTES, self._write_at - self._read_at - len(rest)))
            if not chunk:
                break
            *whole, rest = (rest + chunk).split(b"\n")
            for line in whole[: most - len(lines)]:
                lines.append(line)
                self._read_at += len(line) + 1
                self._unread -= 1
        return lines

    @property
    def is_read(self) -> bool:
        """Whether every line was read."""
        return self._unread == 0

    def forget_read(self) -> None:
        """Empty the file. Only when everything was read and is kept elsewhere."""
        assert self.is_read
        self.lines = self._read_at = self._write_at = 0
        self._end_here()
        with contextlib.suppress(OSError):
            self._file.truncate(max(self._reserve_bytes, 1))

    def close(self) -> None:
        """Close the file; what is in it stays. Idempotent."""
        self._file.close()

    def _find_end(self) -> tuple[int, int, bytes]:
        """Return the number of whole lines, where they end, and the piece of a line behind them."""
        lines = end = 0
        tail = b""
        self._file.seek(0)
        while chunk := self._file.read(_CHUNK_BYTES):
            content, zero, _ = chunk.partition(_END)
            lines += content.count(b"\n")
            head, line_break, rest = content.rpartition(b"\n")
            if line_break:
                end += len(tail) + len(head) + 1
                tail = rest
            else:
                tail += rest
            if zero:
                break
        return lines, end, tail

    def _end_here(self) -> None:
        with contextlib.suppress(OSError):
            self._file.seek(self._write_at)
            self._file.write(_END)

    def _reserve(self) -> None:
        """Claim the first part of the file from the disk. Where that fails, the file is only smaller."""
        with contextlib.suppress(OSError):
            self._file.seek(0)
            for start in range(0, self._reserve_bytes, _CHUNK_BYTES):
                self._file.write(bytes(min(_CHUNK_BYTES, self._reserve_bytes - start)))
        self._end_here()
