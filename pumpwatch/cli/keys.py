"""Single keys, as they are pressed: on a terminal, and on no other input."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

#: Waits so many seconds at most, and returns the key that was pressed meanwhile.
Pressed: TypeAlias = Callable[[float], str | None]

_LOOK_SECONDS: Final = 0.1


@contextlib.contextmanager
def keys() -> Iterator[Pressed]:
    """
    Return what waits for a key. Without a terminal to read from it only waits.

    The terminal is as it was afterwards. Ctrl-C stays what it is.
    """
    if sys.stdin is None or not sys.stdin.isatty():
        yield _only_wait
    elif sys.platform == "win32":
        yield _windows_key
    else:
        import termios
        import tty

        number = sys.stdin.fileno()
        before = termios.tcgetattr(number)
        try:
            tty.setcbreak(number)
            yield lambda seconds: _posix_key(number, seconds)
        finally:
            termios.tcsetattr(number, termios.TCSADRAIN, before)


def _only_wait(seconds: float) -> None:
    time.sleep(seconds)


def _posix_key(number: int, seconds: float) -> str | None:
    import select

    ready, _, _ = select.select([number], [], [], seconds)
    return os.read(number, 1).decode("ascii", "replace") or None if ready else None


def _windows_key(seconds: float) -> str | None:
    if sys.platform == "win32":
        import msvcrt

        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if msvcrt.kbhit():
                return msvcrt.getwch()
            time.sleep(_LOOK_SECONDS)
    return None
