"""How far a long command is, on standard error: a bar on a terminal, else a line now and then."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TextIO

_CELLS: Final = 30
_MINUTE: Final = 60

#: So often at most, and where there is no terminal.
_BAR_SECONDS: Final = 0.1
_LINE_SECONDS: Final = 5.0


class Bar:
    """Use :meth:`show` as often as you like, and :meth:`end` before anything else is printed."""

    def __init__(self, stream: TextIO | None, unit: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._unit = unit
        self._clock = clock
        self._is_terminal = stream is not None and stream.isatty()
        self._began = clock()
        self._next = self._began + (0.0 if self._is_terminal else _LINE_SECONDS)
        self._has_bar = False

    def show(self, done: int, total: int) -> None:
        """*done* of *total* is behind us."""
        now = self._clock()
        if now < self._next:
            return
        seconds = now - self._began
        parts = [f"{done:,} of {total:,} {self._unit}"]
        if done and seconds > 1:
            parts.append(f"{done / seconds:,.0f} a second")
            if done < total:
                parts.append(f"about {_duration(seconds * (total - done) / done)} left")
        share = min(done, total) / total if total else 1.0
        filled = int(_CELLS * share)
        self._write(", ".join(parts), f"[{'#' * filled}{'.' * (_CELLS - filled)}] ", now)

    def say(self, text: str) -> None:
        """Where it is, when no number says it."""
        now = self._clock()
        if now >= self._next:
            self._write(text, "", now)

    def _write(self, text: str, bar: str, now: float) -> None:
        if self._stream is None:
            return
        self._next = now + (_BAR_SECONDS if self._is_terminal else _LINE_SECONDS)
        self._has_bar = self._is_terminal
        self._stream.write(f"\r\x1b[2K{bar}{text}" if self._is_terminal else f"{text}\n")
        self._stream.flush()

    def end(self) -> None:
        """No more: the line of the bar is free again."""
        if self._stream is not None and self._has_bar:
            self._has_bar = False
            self._stream.write("\r\x1b[2K")
            self._stream.flush()


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 2 * _MINUTE else f"{seconds / _MINUTE:.0f} min"
